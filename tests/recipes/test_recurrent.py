"""A recipe for images searches recurrent cells too, with the settings that they need laid over it."""

from __future__ import annotations

from pathlib import Path

import pytest

import archgrad
from archgrad import registry
from archgrad.api.settings import search_config
from archgrad.errors import InputError
from archgrad.recipes.recurrent import CHOICE_CLIP, is_recurrent_space

SMALL = {"supernet.hidden": 4, "space.nodes": 2, "data.window": 4, "data.horizon": 2, "data.batch": 16}


def test_series_ask_for_a_recurrent_space() -> None:
    config = search_config("darts", data="macro")
    assert (config.space.name, config.derivation.options["k"]) == ("darts-rnn", 1)
    assert (config.weights.rate, config.weights.clip, config.choices.clip) == (0.1, 1.0, CHOICE_CLIP)
    named = search_config("constrained", data="macro", space="two-input-rnn", settings={"weights.rate": 0.3})
    assert (named.space.name, named.space.options["none"], named.weights.rate) == ("two-input-rnn", False, 0.3)
    assert search_config("entrannas-dst", data="macro").derivation.name == "non-zero"
    images = search_config("darts")
    assert (images.space.name, images.derivation.options["k"], images.weights.rate) == ("darts", 2, 0.025)
    assert (images.choices.clip, search_config("darts", data="text:x").choices.clip) == (None, None)
    assert search_config("snas", data="macro", settings={"choices.clip": 3.0}).choices.clip == 3
    assert is_recurrent_space("two-input-rnn") and not is_recurrent_space("darts") and not is_recurrent_space("d")


@pytest.mark.parametrize("recipe", registry.names("recipe"))
@pytest.mark.parametrize("space", ["darts-rnn", "two-input-rnn"])
def test_every_recipe_searches_a_recurrent_cell(
    recipe: str, space: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("archgrad.engine.evaluate.STATISTICS_BATCHES", 2)
    if "resource" in search_config(recipe).penalties:
        with pytest.raises(InputError, match="does not go with penalty resource"):
            archgrad.search(recipe, data="macro", space=space, epochs=1, settings=SMALL)
        return
    quick = {"derivation.batches": 1} if "batches" in search_config(recipe).derivation.options else {}
    result = archgrad.search(recipe, data="macro", space=space, epochs=1, settings=SMALL | quick, run=tmp_path / "run")
    assert set(result.architecture.cells) == {"recurrent"}
    assert {"loss", "mse", "mae", "rse", "corr"} <= set(result.validation)
    read = archgrad.Architecture.load(tmp_path / "run" / "architecture.json")
    assert read == result.architecture
    network = archgrad.build(read, hidden=4, inputs=12, horizon=2)
    x, _ = next(result.state.parts.data.once("test"))
    assert network(x).shape == (len(x), 2, 12)


def test_a_space_for_images_cannot_forecast() -> None:
    with pytest.raises(InputError, match="macro is forecast by a recurrent cell, and the space darts has none"):
        archgrad.search("darts", data="macro", space="darts", epochs=1, settings={"data.window": 4})


def test_text_asks_for_a_recurrent_space_and_the_rates_of_language_models() -> None:
    config = search_config("darts", data="text:x")
    assert (config.space.name, config.derivation.options["k"], config.epochs) == ("darts-rnn", 1, 5)
    assert (config.weights.rate, config.weights.rate_end, config.weights.clip) == (5, 0.5, 0.25)
    assert (config.supernet.slowness, config.train.rate, config.train.rate_end) == (1e-3, 20, 0)
    assert search_config("entrannas", data="text:x").data.batch == 20
    small = search_config("darts", data="pydoc")
    assert (small.data.batch, small.train.batch, small.train.optimizer) == (40, 40, "adam")
    assert (small.weights, small.epochs, small.train.epochs) == (config.weights, config.epochs, config.train.epochs)
    assert search_config("random", data="pydoc").epochs == search_config("random").epochs
    with pytest.raises(InputError, match="pydoc is read by a recurrent cell, and the space darts has none"):
        archgrad.search("darts", data="pydoc", space="darts", epochs=1)

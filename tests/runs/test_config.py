from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from archgrad import registry
from archgrad._version import __version__
from archgrad.errors import InputError
from archgrad.runs.config import SearchConfig, defaults, from_yaml, merge, parse_set, resolve, to_yaml
from archgrad.runs.layers import group_of
from archgrad.runs.parts import PART_KINDS


@dataclass(frozen=True)
class Concrete:
    start: float = 1.0
    end: float = 0.03
    shape: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Resource:
    weight: float = 1.0
    method: str = "expectation"


def load_series(argument: str, *, window: int = 30, **_: Any) -> None:
    raise NotImplementedError


def load_table(argument: str, *, window: int = 30) -> None:
    raise NotImplementedError


@pytest.fixture(autouse=True, scope="module")
def parts() -> Any:
    with pytest.MonkeyPatch.context() as patched:
        for kind, name, target in [
            *(("relaxation", "concrete", Concrete), ("penalty", "resource", Resource)),
            *(("data", "series", load_series), ("data", "table", load_table)),
        ]:
            patched.setitem(registry.PARTS[kind], name, target)
        yield


def test_the_defaults_are_those_of_darts() -> None:
    config = resolve({})
    assert (config.epochs, config.supernet.cells, config.supernet.channels, config.data.batch) == (50, 8, 16, 64)
    weights = config.weights
    assert (weights.rate, weights.rate_end, weights.momentum, weights.decay, weights.clip) == (
        0.025,
        0.001,
        0.9,
        3e-4,
        5,
    )
    choices = config.choices
    assert (choices.rate, choices.beta1, choices.beta2, choices.decay) == (3e-4, 0.5, 0.999, 1e-3)
    train = config.train
    assert (train.epochs, train.batch, train.cells, train.channels) == (600, 96, 20, 36)
    assert (train.rate, train.rate_end, train.auxiliary, train.cutout, train.drop_path) == (0.025, 0.0, 0.4, None, 0.2)
    assert config.version == __version__
    names = {"space": "darts", "relaxation": "softmax", "derivation": "top-edges", "schedule": "always"}
    assert {key: getattr(config, key).name for key in names} == names


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        resolve({}).epochs = 3


def test_layers_are_laid_over_each_other_and_defaults_of_parts_written_out() -> None:
    recipe = {"relaxation": {"name": "concrete", "end": 0.1}, "penalties": {"size": "resource"}, "epochs": 150}
    config = resolve(recipe, {"epochs": 20}, parse_set(["relaxation.start=2", "supernet.cells=4"]))
    assert config.epochs == 20
    assert config.supernet.cells == 4
    assert config.relaxation.spec() == {"name": "concrete", "start": 2, "end": 0.1, "shape": None}
    assert config.penalties["size"].options == {"weight": 1.0, "method": "expectation"}


def test_a_swapped_part_loses_the_options_of_the_old_one() -> None:
    config = resolve({"relaxation": {"name": "concrete", "end": 0.1}}, parse_set(["relaxation=softmax"]))
    assert config.relaxation.name == "softmax"
    assert config.relaxation.options["end"] == 1.0  # softmax' own default


def test_a_penalty_can_be_taken_away_and_named_by_itself() -> None:
    recipe = {"penalties": {"size": {"name": "resource", "weight": 2}}}
    assert resolve(recipe, parse_set(["penalties.size=none"])).penalties == {}
    assert resolve({}, parse_set(["penalties.resource.weight=3"])).penalties["resource"].spec() == {
        **{"name": "resource", "weight": 3},
        "method": "expectation",
    }


def test_all_problems_of_all_layers_are_listed_at_once() -> None:
    with pytest.raises(InputError) as caught:
        resolve(
            {"epochs": 0, "supernet": {"cels": 4, "channels": "16", "evaluation": "fats"}},
            {"relaxation": "concret", "layout": {"size": 2}, "weights": 3, "rate": 0.1, "penalties": {"a": 3}},
            {"data": {"limit": 0, "windw": 3}, "growth": 4, "device": "gpu", "seed": True, "space": {"nodes": "4"}},
            {"epochs": 3, "train": {"drop_path": 1.5, "clip": -1, "batchs": 3}, "schedule": 7, "format": 9},
        )
    message = str(caught.value)
    for words in [
        "epochs must be a whole number of at least 1; got 0.",  # though a later layer says 3
        "supernet.cels: there is no such setting. Did you mean supernet.cells? Allowed: activation, cells",
        "supernet.channels must be a whole number of at least 1; got '16' (text).",
        "supernet.evaluation must be one of 'fast', 'reference'; got 'fats'. Did you mean 'fast'?",
        "relaxation.name: Unknown relaxation 'concret'. Did you mean 'concrete'?",
        "layout.size: there is no such option of layout 'all-engines'.",
        "weights is a group of settings, such as weights.rate; got 3.",
        "rate: there is no such setting here. Did you mean weights.rate or choices.rate or train.rate?",
        "penalties.a must be the name of a penalty, or its name and options; got 3.",
        "data.limit must be a whole number of at least 1, or null; got 0.",
        "data.windw: there is no such setting.",
        "growth must be the name of a growth",
        "device must be one of 'auto', 'cpu', 'cuda', 'cuda:N', 'mps'; got 'gpu'.",
        "seed must be a whole number",
        "space.nodes must be a whole number",
        "train.drop_path must be a number of at least 0 and at most 1; got 1.5.",
        "train.clip must be a number of more than 0, or null; got -1.",
        "train.batchs: there is no such setting. Did you mean train.batch?",
        "schedule must be the name of a schedule, or its name and options; got 7.",
        "format must be 1; got 9.",
    ]:
        assert f"  - {words}" in message
    assert "20 problems" in message
    assert "pydantic" not in message


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:1", "mps"])
def test_devices_are_words_that_torch_knows(device: str) -> None:
    assert resolve({"device": device}).device == device


@pytest.mark.parametrize("device", ["cuda:", "cpu ", "cuda:x", "cuda\n", ""])
def test_other_devices_are_refused(device: str) -> None:
    with pytest.raises(InputError, match="device must be one of"):
        resolve({"device": device})


def test_further_settings_of_the_data_are_those_of_its_loader() -> None:
    assert resolve({"data": "table:x.csv"}, {"data": {"window": 12, "flip": False}}).data.options() == {
        **{"flip": False, "window": 12}
    }
    assert resolve({"data": {"spec": "series:x", "anything": [1]}}).data.options() == {"anything": [1]}
    with pytest.raises(InputError, match=r"data\.windo: .* Did you mean data\.window\?"):
        resolve({"data": {"spec": "table:x.csv", "windo": 12}})
    with pytest.raises(InputError, match=r"data\.window must be a whole number; got 'long'"):
        resolve({"data": {"spec": "table:x.csv", "window": "long"}})
    with pytest.raises(InputError, match=r"data\.argument: there is no such setting"):
        resolve({"data": {"spec": "table:x.csv", "argument": "y.csv"}})


numbers = st.floats(min_value=1e-12, max_value=1e12) | st.integers(1, 10**6)
overrides = st.fixed_dictionaries(
    {},
    optional={
        "command": st.lists(st.text(), max_size=3),
        "citation": st.text(),
        "seed": st.integers(0, 2**63 - 1),
        "epochs": st.integers(1, 10**6),
        "device": st.sampled_from(["auto", "cuda:3"]),
        "data": st.fixed_dictionaries({"spec": st.text().filter(lambda text: text != "none")}),
        "relaxation": st.fixed_dictionaries(
            {"name": st.just("concrete")},
            optional={"start": numbers, "shape": st.none() | st.lists(st.integers(), max_size=3)},
        ),
        "penalties": st.dictionaries(
            st.text(min_size=1), st.fixed_dictionaries({"name": st.just("resource"), "method": st.text()}), max_size=2
        ),
        "weights": st.fixed_dictionaries({"rate": numbers, "clip": st.none() | numbers}),
    },
)


@settings(max_examples=20)
@given(overrides)
def test_the_yaml_alone_gives_the_configuration_back(override: dict[str, Any]) -> None:
    config = resolve({}, override)
    text = to_yaml(config)
    again = from_yaml(text)
    assert again == config
    assert to_yaml(again) == text


def test_resolving_a_resolved_configuration_changes_nothing() -> None:
    config = resolve({"relaxation": "concrete"})
    assert resolve(config.model_dump()) == config
    assert merge(defaults(), {}) == defaults()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epochs: [1", "config.yaml is no valid YAML at line 1, column 11"),
        ("epochs", "config.yaml holds no settings"),
        ("epochs: 0\nsed: 1", "2 problems"),
        ("format: 2", "config.yaml: The settings are not right: format must be 1; got 2."),
    ],
)
def test_a_wrong_file_is_named(text: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        from_yaml(text)
    assert words in str(caught.value)
    assert "config.yaml" in str(caught.value)


def test_every_single_setting_has_a_line_in_its_documentation() -> None:
    groups: list[type[BaseModel]] = [SearchConfig]
    groups += [group for key in SearchConfig.model_fields if (group := group_of(SearchConfig, key))]
    assert len(groups) == 6
    for model in groups:
        single = [key for key in model.model_fields if key not in PART_KINDS and not group_of(model, key)]
        assert single
        assert [key for key in single if f"\n    {key}: " not in str(inspect.getdoc(model))] == []

"""Recipes in the space of NAS-Bench-201: the benchmark's network, one operation an edge, whatever the rule."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.testing import assert_close

import archgrad
from archgrad import registry, space
from archgrad.api.settings import search_config
from archgrad.choices import Mixing
from archgrad.engine.derivations.argmax import ArgmaxPerEdge
from archgrad.engine.derivations.derive import TopEdges, kept
from archgrad.engine.derivations.nonzero import NonZero
from archgrad.engine.penalties.admm import admm_copy
from archgrad.recipes.nasbench201 import STAND_INS, replaced_rule
from archgrad.space.nasbench201_strings import read_string, write_string
from archgrad.supernet.inherit import inherit

TINY: dict[str, Any] = {"supernet.cells": 3, "supernet.channels": 2, "data.batch": 16}
LABELS = torch.arange(20) % 2
IMAGES = torch.rand(20, 3, 8, 8, generator=torch.Generator().manual_seed(0)) / 2 + LABELS.view(-1, 1, 1, 1) / 2


@pytest.mark.parametrize("name", registry.names("recipe"))
def test_every_recipe_has_the_benchmarks_network_and_a_rule_that_fits(name: str) -> None:
    config, elsewhere = search_config(name, space="nasbench201"), search_config(name)
    assert (config.supernet.cells, config.supernet.channels) == (15, 16)
    assert (config.train.cells, config.train.channels, config.train.epochs) == (15, 16, 200)
    own = elsewhere.derivation.name
    assert config.derivation.name == STAND_INS.get(own, own)
    assert config.space.options["none"] == elsewhere.space.options.get("none", True)
    words = replaced_rule(config)
    assert (words is None) == (config.derivation.name == own)
    assert words is None or words.startswith("argmax-per-edge in place of the recipe's top-edges")
    assert replaced_rule(elsewhere) is None


def test_what_is_set_counts_more() -> None:
    config = search_config(
        "darts", space="nasbench201", settings={"derivation": "top-edges", "supernet.cells": 3, "space.none": False}
    )
    assert (config.derivation.name, config.supernet.cells, config.space.options["none"]) == ("top-edges", 3, False)
    assert replaced_rule(config) is None


@pytest.mark.parametrize("rule", [TopEdges(k=2), ArgmaxPerEdge(), NonZero()])
def test_every_rule_ends_in_one_operation_an_edge(rule: Any) -> None:
    cell = space.get("nasbench201").cells["normal"]
    weights = torch.rand(6, 5, generator=torch.Generator().manual_seed(0))
    weights[2] = 0.0
    mixing = Mixing(weights, tuple((row > 0,) * 5 for row in weights.sum(1).tolist()))
    support = kept(rule, mixing, cell)
    assert [sum(row) for row in support] <= [1] * 6
    assert not any(support[2])
    full = rule(mixing, cell)
    for row, whole, of in zip(support, full, weights, strict=True):
        if any(whole):  # of several that the rule keeps, the strongest stays
            assert row.index(True) == max((k for k in range(5) if whole[k]), key=lambda k: float(of[k]))
    assert torch.equal(admm_copy(mixing, torch.zeros(6, 5), rule, cell), torch.tensor(support).float())


@pytest.mark.parametrize(("recipe", "side"), [("entrannas", 8), ("entrannas-dst", 7), ("snas-mild", 8)])
def test_searches_end_in_a_cell_with_a_string_that_inherits(
    recipe: str, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("archgrad.engine.evaluate.STATISTICS_BATCHES", 2)
    images = IMAGES[:, :, :side, :side]
    result = archgrad.search(recipe, data=(images, LABELS), space="nasbench201", epochs=1, settings=TINY, metrics={})
    assert read_string(write_string(result.architecture)).cells == result.architecture.cells
    supernet = result.state.supernet
    network = inherit(supernet, result.architecture)  # type: ignore[arg-type]
    cell = result.state.parts.space.cells["normal"]
    edges = {(edge.source, edge.target): edge.operation for edge in result.architecture.cells["normal"].edges}
    support = tuple(tuple(edges.get(ends) == name for name in cell.operations) for ends in cell.edges)
    child = {"normal": Mixing(torch.tensor(support).float(), support)}
    supernet.eval(), network.eval()
    assert_close(network(images), supernet(images, child), rtol=1e-5, atol=1e-5)

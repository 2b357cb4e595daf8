"""EnTranNAS counted and checked as a whole: what runs in Engine- and Transit-cells, and what the thresholds derive."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

import archgrad
from archgrad.api.settings import search_config
from archgrad.choices import Choices, Mixing, Progress, Sparse
from archgrad.engine.derivations.derive import architecture_of, expected_mixings, project
from archgrad.engine.derivations.nonzero import NonZero
from archgrad.engine.mixings import transit_mixings
from archgrad.engine.problem import SearchProblem
from archgrad.engine.update import Streams, update
from archgrad.recipes.assemble import Assembled
from archgrad.supernet import ImageSupernet
from archgrad.supernet.inherit import inherit
from archgrad.supernet.memory import saved_bytes
from archgrad.supernet.storage import StackedBank

IMAGES = torch.rand(20, 3, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(20) % 2
SMALL = {"supernet.channels": 2, "supernet.evaluation": "reference", "data.batch": 16}


def assembled(recipe: str = "entrannas", settings: Mapping[str, Any] | None = None) -> Assembled:
    config = search_config(recipe, data=(IMAGES, LABELS), epochs=4, settings={**SMALL, **(settings or {})})
    return Assembled(config, own_data=(IMAGES, LABELS))


def problem_of(ready: Assembled) -> SearchProblem:
    state = ready.state
    streams = Streams(state)
    return SearchProblem(state, {"train": streams.next("weights"), "validation": streams.next("choices")})


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[StackedBank]:
    """Return a list that grows by the bank of every operation that is really evaluated."""
    calls: list[StackedBank] = []
    run = StackedBank.run

    def watched(self: StackedBank, index: int, x: Tensor) -> Tensor:
        calls.append(self)
        return run(self, index, x)

    monkeypatch.setattr(StackedBank, "run", watched)
    return calls


@pytest.mark.parametrize(("space", "K"), [("darts", 7), ("extended", 11)])
@pytest.mark.parametrize("share", [True, False])
def test_operation_evaluations_of_every_cell(space: str, K: int, share: bool, counted: list[StackedBank]) -> None:
    ready = assembled(settings={"supernet.share_features": share, "space": {"name": space, "none": False}})
    problem = problem_of(ready)
    supernet = ready.state.supernet
    supernet(problem.batches["train"][0], problem.view().mixings)
    layers = [{id(bank) for bank in cell.storage.values()} for cell in supernet.cells]  # type: ignore[union-attr]
    found = [sum(id(call) in banks for call in counted) for banks in layers]
    print(f"{space}, K={K}, share_features={share}: evaluations per cell {found}")
    engine = 5 * K if share else 14 * K
    for layer, count in enumerate(found):
        if layer in (0, 2):
            assert count == engine
        elif share:  # two edges that leave one node with the same operation need it once
            assert 4 <= count <= 8
        else:
            assert count == 8


def test_choices_get_exactly_no_gradient_through_transit_cells() -> None:
    ready = assembled()
    problem, supernet = problem_of(ready), ready.state.supernet
    choices, (images, labels) = problem.choices, problem.batches["validation"]

    def gradients(mixings: list[Mapping[str, Mixing]]) -> list[Tensor | None]:
        loss = torch.nn.functional.cross_entropy(supernet(images, mixings), labels)
        return list(torch.autograd.grad(loss, choices, allow_unused=True, retain_graph=True))

    layers = list(problem.view().mixings)
    held = [{kind: Mixing(m.weights.detach(), m.support) for kind, m in layer.items()} for layer in layers]
    everywhere = gradients(layers)
    through_transit = gradients([held[k] if k in (0, 2) else layer for k, layer in enumerate(layers)])
    through_engines = gradients([layer if k in (0, 2) else held[k] for k, layer in enumerate(layers)])
    assert through_transit == [None] * len(choices)
    for whole, engines in zip(everywhere, through_engines, strict=True):
        assert whole is not None and engines is not None
        assert torch.equal(whole, engines)
        assert float(whole.abs().sum()) > 0


def test_transit_cells_keep_nothing_for_what_they_do_not_run() -> None:
    x, sizes = IMAGES[:8], {}
    for space in ("darts", "extended"):
        found = archgrad.space.get(space, none=False)
        network = ImageSupernet(found, cells=1, channels=4, in_channels=3, evaluation="reference")
        names = found.cells["normal"].operations
        wanted = {(0, "sep_conv_3x3"), (1, "skip_connect"), (4, "dil_conv_5x5"), (9, "max_pool_3x3")}
        support = tuple(tuple((edge, name) in wanted for name in names) for edge in range(14))
        child = transit_mixings({"normal": Mixing(torch.zeros(14, len(names)), ())}, {"normal": support})
        known = [*network.parameters(), *network.buffers(), x]
        sizes[space] = saved_bytes(lambda: network(x, child), known)  # noqa: B023
    print(f"bytes that a Transit-cell saves for the backward among 7 and 11 candidates: {sizes}")
    # nothing but the factors themselves, one float for each of the 14 edges and 4 further candidates
    assert sizes["extended"] - sizes["darts"] == 14 * 4 * 4


def test_a_step_leaves_weights_outside_of_its_support_as_they_were() -> None:
    ready = assembled(settings={"supernet.share_features": False})
    state = ready.state
    streams = Streams(state)
    update(state, streams)
    before = {name: weight.detach().clone() for name, weight in state.weights.items()}
    moments = {name: state.weight_optimizer.state[w].get("momentum_buffer") for name, w in state.weights.items()}
    moments = {name: None if m is None else m.clone() for name, m in moments.items()}
    ran: dict[str, frozenset[int]] = {}
    live = ImageSupernet.live_slices

    class Watched(ImageSupernet):
        def live_slices(self, mixings: Any) -> Any:
            ran.update(live(self, mixings))
            return ran

    state.supernet.__class__ = Watched
    update(state, streams)
    assert any(".storage." in name for name in ran)
    assert not any(name.startswith(("cells.0.", "cells.2.")) for name in ran)  # engines run everything
    for name, used in ran.items():
        weight = state.weights[name]
        for k in set(range(len(weight))) - used:
            assert torch.equal(weight[k], before[name][k])
            now = state.weight_optimizer.state[weight].get("momentum_buffer")
            if now is not None:
                old = moments[name]
                assert torch.equal(now[k], torch.zeros_like(now[k]) if old is None else old[k])


def decided(share: bool, spread: float) -> tuple[ImageSupernet, Choices, Sparse]:
    """Return a supernet with statistics of its own, and choices of which the thresholds leave out a good part."""
    space, sparse = archgrad.space.get("darts", none=False), Sparse()
    network = ImageSupernet(space, cells=5, channels=4, in_channels=3, classes=4, share_features=share)
    choices = Choices(space, sparse, torch.Generator().manual_seed(1))
    with torch.no_grad():
        for _, table in choices.items():
            table.logits.normal_(0, spread)
        for name, buffer in network.named_buffers():
            if name.endswith("running_mean"):
                buffer.uniform_(-0.5, 0.5)
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 2.0)
    return network.eval(), choices, sparse


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("spread", [0.05, 0.3, 2.0])
def test_the_derived_network_is_the_engines_graph(share: bool, spread: float) -> None:
    network, choices, sparse = decided(share, spread)
    expected = expected_mixings(choices, sparse, Progress(epoch=1.0))
    supports = project(expected, NonZero(), network.space)
    assert supports == {kind: mixing.support for kind, mixing in expected.items()}
    kept = {kind: sum(map(sum, support)) for kind, support in supports.items()}
    images = IMAGES[:6]
    with torch.no_grad():
        for weights, mixings in ((expected, expected), (None, transit_mixings(expected, supports))):
            child = inherit(network, architecture_of(network.space, supports, weights)).eval()
            theirs = network(images, mixings)
            difference = float((child(images) - theirs).abs().max() / theirs.abs().max())
            print(f"share={share}, spread {spread}: {kept} of 98 kept, difference {difference:.1e}")
            assert difference < 1e-5
            assert float(theirs.std()) > 1e-3


def test_the_transit_cells_of_dst_run_what_the_engines_run() -> None:
    ready = assembled("entrannas-dst", {"relaxation.start": 0.001, "relaxation.end": 0.001})
    view = problem_of(ready).view()
    for kind, support in view.projections.items():
        assert [layer[kind].support for layer in view.mixings] == [support] * 8
        assert 98 > sum(map(sum, support)) >= 4
        assert bool((view.mixings[1][kind].weights.sum(dim=1) >= 1).any())
        sums = view.mixings[0][kind].weights.sum(dim=1)
        assert set(sums.detach().round(decimals=5).tolist()) <= {0.0, 1.0}

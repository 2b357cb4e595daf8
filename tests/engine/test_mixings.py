"""What every layer is given: draws shared as the seats say, Transit-cells with the derived support."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tests.engine.toys import NoisySoftmax, next_update, toy_state

from archgrad.choices import Choices, Progress, Softmax
from archgrad.engine.derivations.derive import TopEdges, expected_mixings, project
from archgrad.engine.mixings import draw_noise, layer_mixings, transit_mixings
from archgrad.space.darts import DartsSpace
from archgrad.supernet import Seat

SPACE = DartsSpace(nodes=2)()
SEATS = (Seat(), Seat(draw=1), Seat(engine=False), Seat(draw=1), Seat(engine=False, draw=9))


def choices() -> Choices:
    return Choices(SPACE, Softmax(deviation=1.0), torch.Generator().manual_seed(0))


def test_noise_is_drawn_once_for_every_draw_and_table() -> None:
    tables = choices()
    noise = draw_noise(tables, NoisySoftmax(), SEATS, torch.Generator().manual_seed(1))
    assert len(noise) == 2
    drawn = [noise[draw][kind] for draw in (0, 1) for kind in ("normal", "reduce")]
    generator = torch.Generator().manual_seed(1)
    for given in drawn:
        assert given is not None
        assert torch.equal(given, torch.randn(5, 8, generator=generator))
    assert draw_noise(tables, Softmax(), SEATS, torch.Generator()) == [{"normal": None, "reduce": None}] * 2


def test_layers_are_given_their_seats_mixings() -> None:
    tables, relaxation, progress = choices(), NoisySoftmax(), Progress()
    noise = draw_noise(tables, relaxation, SEATS, torch.Generator().manual_seed(1))
    expected = expected_mixings(tables, relaxation, progress)
    supports = project(expected, TopEdges(), SPACE)
    layers = layer_mixings(tables, relaxation, progress, noise, SEATS, transit_mixings(expected, supports))
    for kind, table in tables.items():
        for layer, draw in ((0, 0), (1, 1), (3, 1)):
            drawn = noise[draw][kind]
            assert drawn is not None
            torch.testing.assert_close(layers[layer][kind].weights, torch.softmax(table.logits + drawn, 1))
            assert layers[layer][kind].weights.requires_grad
        assert layers[1][kind] is layers[3][kind]  # computed once
        for layer in (2, 4):
            transit = layers[layer][kind]
            assert transit.support == supports[kind] == TopEdges()(expected[kind], SPACE.cells[kind])
            assert torch.equal(transit.weights, torch.tensor(supports[kind]).float())
            assert not transit.weights.requires_grad


class EveryOther:
    """A layout of engines and Transit-cells in turn."""

    def __call__(self, kinds: Sequence[str]) -> tuple[Seat, ...]:
        return tuple(Seat(engine=index % 2 == 0) for index in range(len(kinds)))


def test_an_update_lays_out_transit_cells_by_the_current_derivation() -> None:
    state = toy_state(cells=2, nodes=2, layout=EveryOther(), relaxation=NoisySoftmax())
    update = next_update(state)
    engine, transit = (given["normal"] for given in update.problem.view().mixings)
    assert engine.support == ((True,) * 8,) * 5
    kept = torch.tensor(transit.support)
    assert torch.equal(transit.weights, kept.float())
    assert int(kept.sum()) == 4
    update.weight_gradients()
    update.weight_step()
    second = [name for name in update.live if name.startswith("cells.1.")]
    assert second
    assert all(name.startswith("cells.1.storage.") for name in update.live)

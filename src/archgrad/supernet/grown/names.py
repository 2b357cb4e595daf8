"""Which tensor of a grown supernet comes from which before: the moves of a change, by the tensors' names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from torch import Tensor, nn

from archgrad.choices.table import ChoiceTable
from archgrad.choices.tables import Choices
from archgrad.network.modules import FactorizedReduce
from archgrad.space.change import NEW, Axis, Change
from archgrad.supernet.grown.carry import Move
from archgrad.supernet.grown.widening import widened_moves
from archgrad.supernet.image import ImageSupernet, MixedCell
from archgrad.supernet.recurrent.supernet import RecurrentSupernet
from archgrad.supernet.storage import StackedBank

__all__ = ["Moves", "choice_moves", "supernet_moves"]

Moves = dict[str, Move]
"""Name of a grown tensor -> where it comes from."""


def supernet_moves(supernet: nn.Module, change: Change) -> Moves:
    """Return the move of every tensor of a grown supernet that has something to take over; the others start fresh.

    Args:
        supernet: the grown one, of any task.
        change: from the form before to its own.
    """
    if change.widths is not None:
        return widened_moves(supernet, change)
    if isinstance(supernet, ImageSupernet):
        return dict(_image_moves(supernet, change))
    found: Moves = {name: Move(name) for name in supernet.state_dict()}
    for prefix, core in supernet.named_modules():
        if isinstance(core, RecurrentSupernet):
            at = f"{prefix}." if prefix else ""
            for name in core.state_dict():
                found.pop(at + name)
            found |= {at + name: Move(at + move.source, move.axes) for name, move in _recurrent_moves(core, change)}
    return found


def choice_moves(choices: Choices, change: Change) -> Moves:
    """Return the move of every tensor of grown tables; what a relaxation declared has an entry per group or per row."""
    found: Moves = {}
    for kind, table in choices.items():
        rows, candidates = change.rows(kind), Axis.from_places(change.candidates[kind])
        at = f"tables.{kind}."
        found |= {f"{at}{name}": Move(f"{at}{name}", (rows, candidates)) for name in ("logits", "alive")}
        for name, value in table.extras.items():
            found[f"{at}extras.{name}"] = Move(f"{at}extras.{name}", _extra_axes(value, table, rows, change, kind))
    return found


def _extra_axes(value: Tensor, table: ChoiceTable, rows: Axis, change: Change, kind: str) -> tuple[Axis, ...]:
    if value.shape[:1] == (len(set(table.groups)),):
        return (change.groups(kind),)
    if value.shape == table.logits.shape:
        return (rows, Axis.from_places(change.candidates[kind]))
    return (rows,) if value.shape[:1] == table.logits.shape[:1] else ()


def _recurrent_moves(core: RecurrentSupernet, change: Change) -> Iterator[tuple[str, Move]]:
    """Yield the moves of a cell over time: its matrices belong to nodes, or to the operands of nodes."""
    kind, cell = core.kind, core.space.cells[core.kind]
    nodes, entering = change.computed(kind), len(core.cell.norms) - cell.nodes
    copies = {target: old for (_, target), (_, old) in change.copies.get(kind, {}).items()}
    matrices = Axis(
        tuple(
            copies[node + cell.inputs] - cell.inputs if place == NEW and node + cell.inputs in copies else place
            for node, place in enumerate(nodes.of)
        ),
        nodes.own,
    ).blocks(max(1, len(cell.operands)))
    for name in core.state_dict():
        _, own, *rest = name.split(".")
        if own == "weight":
            yield name, Move(name, (matrices,))
        elif own == "gates":
            yield name, Move(name, (nodes,))
        elif own == "norms":
            index = int(rest[0])
            before = index if index < entering else nodes.of[index - entering]
            if before != NEW:
                before = before if index < entering else before + entering
                yield name, Move(".".join(["cell", "norms", str(before), *rest[1:]]))
        elif own != "gate":
            yield name, Move(name)


def _image_moves(supernet: ImageSupernet, change: Change) -> Iterator[tuple[str, Move]]:
    """Yield the moves of a stack of cells."""
    for name in supernet.state_dict():
        first, _, rest = name.partition(".")
        if first == "cells":
            index, _, inner = rest.partition(".")
            before = change.layers[int(index)]
            if before != NEW:
                for move in _cell_moves(supernet, int(index), inner, change):
                    yield name, Move(f"cells.{before}.{move.source}", move.axes, move.zero)
        elif name == "classifier.weight":
            last = _channels(supernet, len(supernet.layers) - 1, change)
            yield name, Move(name, (Axis.same(supernet.classifier.out_features), last), zero=True)
        elif first != "gates":
            yield name, Move(name)


def _cell_moves(supernet: ImageSupernet, layer: int, name: str, change: Change) -> Iterator[Move]:
    """Yield the move of one tensor of one layer, if there is one; names are relative to the cell."""
    cell, kind = cast(MixedCell, supernet.cells[layer]), supernet.layers[layer].cell
    part, _, rest = name.partition(".")
    if part == "preprocess":
        place, _, inner = rest.partition(".")
        source = layer - len(cell.preprocess) + int(place)
        convolution = inner in _INPUT_WEIGHTS[type(cell.preprocess[int(place)]) is FactorizedReduce]
        if convolution and source >= 0:
            outputs = cell.state_dict()[name].shape[0]
            yield Move(name, (Axis.same(outputs), _channels(supernet, source, change)), zero=True)
        else:
            yield Move(name)
    elif part == "node_norms":
        place, _, inner = rest.partition(".")
        before = change.computed(kind).of[int(place)]
        if before != NEW:
            yield Move(f"node_norms.{before}.{inner}")
    elif part == "storage":
        yield from _storage_moves(cell, kind, rest, change)
    else:
        yield Move(name)


_INPUT_WEIGHTS = {True: ("even.weight", "odd.weight"), False: ("1.weight",)}
"""The convolutions that bring a cell's input to its channels, by whether they halve the sides."""


def _storage_moves(cell: MixedCell, kind: str, name: str, change: Change) -> Iterator[Move]:
    """Yield the move of one tensor of the stacked weights."""
    bank, _, inner = name.partition(".")
    source, _, operation = bank.partition("_")
    was, before = change.before.space.cells[kind], change.nodes[kind][int(source)]
    if before == NEW or operation not in was.operations or not was.slots(before):
        return
    slices = Axis.same(1) if cell.share_features else change.slices(kind, int(source))
    if isinstance(cell.storage[bank], StackedBank):
        yield Move(f"storage.{before}_{operation}.{inner}", (slices,))
        return
    _, index, rest = inner.split(".", 2)  # operations.<slice>.<name>
    if slices.of[int(index)] != NEW:
        yield Move(f"storage.{before}_{operation}.operations.{slices.of[int(index)]}.{rest}")


def _channels(supernet: ImageSupernet, layer: int, change: Change) -> Axis:
    """Return the axis of a layer's output: its nodes' channels, one node behind another."""
    kind, channels = supernet.layers[layer].cell, supernet.layers[layer].channels
    return change.computed(kind).blocks(channels)

"""Which tensor comes from which when a supernet becomes wider: Net2Wider (Chen, Goodfellow, Shlens, arXiv 1511.05641).

Units are doubled and what reads them is divided between the copies, so the sum stays. The copies get unequal shares:
with equal ones their gradients would be the same for ever.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

import torch
from torch import nn

from archgrad.errors import InputError
from archgrad.network.modules import FactorizedReduce, Stem
from archgrad.space.change import Axis, Change
from archgrad.supernet.grown.carry import Move
from archgrad.supernet.image import ImageSupernet, MixedCell
from archgrad.supernet.recurrent.forecast import ForecastSupernet
from archgrad.supernet.storage import StackedBank

__all__ = ["halved_units", "widened_moves", "widened_units"]


def widened_units(before: int, after: int, generator: torch.Generator, halves: bool = False) -> Axis:
    """Return which unit each of more units is, with the share that each has in what reads them.

    Args:
        before: units before.
        after: units after, more.
        generator: draws which units are doubled, and the shares.
        halves: keep the first half of the units in the first half, where two convolutions make a half each.
    """
    if halves:
        first = widened_units(before // 2, after // 2, generator)
        second = widened_units(before - before // 2, after - after // 2, generator)
        shift = before // 2
        assert first.share is not None and second.share is not None
        return Axis(
            (*first.of, *(place + shift for place in second.of)), first.own + second.own, first.share + second.share
        )
    picks = torch.randint(before, (after - before,), generator=generator).tolist()
    of = (*range(before), *picks)
    parts = (0.5 + torch.rand(after, generator=generator, dtype=torch.float64)).tolist()
    totals = [sum(part for place, part in zip(of, parts, strict=True) if place == unit) for unit in range(before)]
    share = tuple(part / totals[place] for place, part in zip(of, parts, strict=True))
    return Axis(of, (True,) * before + (False,) * (after - before), share)


def halved_units(axis: Axis, before: int) -> tuple[Axis, Axis]:
    """Return the axes of the two convolutions that make a half of the units each.

    Args:
        axis: of all units, as :func:`widened_units` made it with ``halves``.
        before: units before.
    """
    middle, shift = len(axis.of) // 2, before // 2
    return (
        Axis(axis.of[:middle], axis.own[:middle]),
        Axis(tuple(place - shift for place in axis.of[middle:]), axis.own[middle:]),
    )


def widened_moves(supernet: nn.Module, change: Change) -> dict[str, Move]:
    """Return the move of every tensor of a supernet that has become wider.

    Args:
        supernet: the wider one.
        change: its ``widths`` say for every width before which unit is which.

    Raises:
        InputError: it holds operations of the user's own, bypassed channels, a large stem, or no forecaster's ends.
    """
    assert change.widths is not None
    if isinstance(supernet, ImageSupernet):
        return dict(_image_moves(supernet, change.widths))
    if not isinstance(supernet, ForecastSupernet):
        raise InputError(
            "The growth step wider knows supernets for images and forecasters; the embedding of a language model reads "
            "and scores, and cannot be doubled in one of the two alone. Leave wider out of growth.steps."
        )
    return dict(_forecast_moves(supernet, next(iter(change.widths.values()))))


def _made(axis: Axis) -> Axis:
    """Return the axis of units where they are made: copies of the whole, not shares."""
    return Axis(axis.of, axis.own)


def _behind(axes: list[Axis], sizes: list[int]) -> Axis:
    """Return the axis of blocks that stand one behind another, of so many places before."""
    starts = [sum(sizes[:index]) for index in range(len(sizes))]
    return Axis(
        tuple(place + start for axis, start in zip(axes, starts, strict=True) for place in axis.of),
        tuple(own for axis in axes for own in axis.own),
        tuple(share for axis in axes for share in (axis.share or (1.0,) * len(axis.of))),
    )


def _forecast_moves(supernet: ForecastSupernet, axis: Axis) -> Iterator[tuple[str, Move]]:
    core = supernet.core
    before, made = sum(axis.own), _made(axis)
    wide = made if core.cell.two_inputs else _made(_behind([made, made], [before, before]))
    slices = Axis.same(core.cell.weight.shape[0])
    axes = {
        "core.cell.weight": (slices, axis, wide),
        "core.cell.enter": (_behind([Axis.same(core.inputs), axis], [core.inputs, before]), wide),
        "core.cell.enter_x": (Axis.same(core.inputs), made),
        "core.cell.enter_h": (axis, made),
        "ends.decoder.weight": (Axis.same(supernet.ends.decoder.out_features), axis),
    }
    for name, value in supernet.state_dict().items():
        statistics = name.startswith("core.cell.norms.") and value.dim() == 1
        yield name, Move(name, (made,) if statistics else axes.get(name, ()))


def _image_moves(supernet: ImageSupernet, widths: Mapping[int, Axis]) -> Iterator[tuple[str, Move]]:
    if type(supernet.stem) is not Stem:
        raise InputError("The growth step wider knows the plain stem alone; take supernet.stem=plain, or leave it out.")
    by_width = {len(axis.of): axis for axis in widths.values()}
    stem = by_width[supernet.stem.convolution.out_channels]
    outputs = [stem, stem]  # what the next cell's two inputs are made of
    for name, value in supernet.stem.state_dict().items():
        own = name.startswith(("convolution", "norm")) and value.dim() > 0
        yield f"stem.{name}", Move(f"stem.{name}", (_made(stem),) if own else ())
    for index, module in enumerate(supernet.cells):
        cell, axis = cast(MixedCell, module), by_width[supernet.layers[index].channels]
        for name, move in _cell_moves(cell, axis, outputs):
            yield f"cells.{index}.{name}", Move(f"cells.{index}.{move.source}", move.axes)
        count = len(cell.cell.output)
        outputs = [outputs[1], _behind([axis] * count, [sum(axis.own)] * count)]
    yield "classifier.weight", Move("classifier.weight", (Axis.same(supernet.classifier.out_features), outputs[1]))
    yield "classifier.bias", Move("classifier.bias")


def _cell_moves(cell: MixedCell, axis: Axis, inputs: list[Axis]) -> Iterator[tuple[str, Move]]:
    for place, (entrance, source) in enumerate(zip(cell.preprocess, inputs, strict=True)):
        for name, move in _module_moves(entrance, axis, source, ()):
            yield f"preprocess.{place}.{name}", Move(f"preprocess.{place}.{move.source}", move.axes)
    for place, norm in enumerate(cell.node_norms):
        for name, move in _module_moves(norm, axis, axis, ()):
            yield f"node_norms.{place}.{name}", Move(f"node_norms.{place}.{move.source}", move.axes)
    for key, bank in cell.storage.items():
        if not isinstance(bank, StackedBank):
            raise InputError(
                f"The growth step wider cannot double the channels of '{key.partition('_')[2]}', an operation of your "
                "own; leave wider out of growth.steps."
            )
        for name, move in _module_moves(bank.operation, axis, axis, (Axis.same(bank.slices),)):
            yield f"storage.{key}.operation.{name}", Move(f"storage.{key}.operation.{move.source}", move.axes)


def _module_moves(module: nn.Module, made: Axis, read: Axis, slices: tuple[Axis, ...]) -> Iterator[tuple[str, Move]]:
    """Yield the moves of an operation that reads some units and makes others.

    Args:
        module: of convolutions and batch norms.
        made: its outputs.
        read: its inputs.
        slices: the axis of the stacked slices in front, if there are any.
    """
    halves = halved_units(made, sum(made.own)) if isinstance(module, FactorizedReduce) else None
    for prefix, layer in module.named_modules():
        at = f"{prefix}." if prefix else ""
        for name, value in [*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False)]:
            axes: tuple[Axis, ...] = ()
            if isinstance(layer, nn.Conv2d):
                makes = _made(made) if halves is None else halves[0 if prefix == "even" else 1]
                axes = (makes,) if layer.groups > 1 else (makes, read)
            elif value.dim() > len(slices):  # statistics; the count of batches has no units
                axes = (_made(made),)
            yield at + name, Move(at + name, (*slices, *axes))

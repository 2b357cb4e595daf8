"""The image supernet: a stack of cells that hold the weights of every candidate; a function of input and mixings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from archgrad.choices.mixing import Mixing
from archgrad.errors import InputError, at_least_one, unknown
from archgrad.network.image import entrances
from archgrad.network.modules import STEMS
from archgrad.network.residual import LastNorm
from archgrad.space.cells import CellSpace, Space
from archgrad.space.skeleton import Layer
from archgrad.supernet import reference
from archgrad.supernet.fast import cell as fast_cell
from archgrad.supernet.fast import plain as fast_plain
from archgrad.supernet.fast.beside import Evaluate, evaluate_beside
from archgrad.supernet.fast.entering import use_fast_entrances
from archgrad.supernet.fast.modules import use_fast_depthwise
from archgrad.supernet.plan import make_plan
from archgrad.supernet.storage import Bank, CellStorage, Liveness

__all__ = ["EVALUATIONS", "ImageSupernet", "MixedCell", "Mixings", "by_reference", "frozen_statistics"]

EVALUATIONS = ("fast", "reference")

Mixings = Mapping[str, Mixing] | Sequence[Mapping[str, Mixing]]
"""A mixing per cell kind, for all layers or one such mapping per layer."""


class MixedCell(nn.Module):
    """One cell of the supernet.

    Args:
        cell: its graph and candidates.
        sources: channels of its inputs, nearest last.
        channels: channels of every node.
        reduction: edges from input nodes have stride 2.
        halve: whether the farther input's sides are still twice as large as the nearest one's.
        residual: whether a residual block halves the single input.
        partial: one channel in so many goes through the mixture, the others bypass it.
        share_features: one set of weights per (source, operation).
        node_norm: a non-affine batch norm on every node's sum.
        fast: how it is evaluated.
        steady: whether its size has no say in that.
    """

    def __init__(
        self,
        cell: CellSpace,
        sources: Sequence[int],
        channels: int,
        reduction: bool,
        halve: bool,
        share_features: bool,
        node_norm: bool,
        fast: bool = False,
        residual: bool = False,
        partial: int = 1,
        steady: bool = False,
    ) -> None:
        super().__init__()
        self.partial, self.steady = partial, steady
        self.cell, self.stride, self.share_features, self.fast = cell, 2 if reduction else 1, share_features, fast
        self.preprocess = entrances(list(sources), channels, [halve, False], residual, affine=False)
        self.storage = CellStorage(cell, channels // partial, reduction, share_features)
        self.node_norms = nn.ModuleList(
            nn.BatchNorm2d(channels, affine=False) if node_norm else nn.Identity() for _ in range(cell.nodes)
        )

    def forward(self, inputs: Sequence[Tensor], mixing: Mixing, drop: float = 0.0) -> Tensor:
        """Return the cell's output [N, joined nodes * channels, H, W]; exactly the mixing's support is run."""
        states = [preprocess(x) for preprocess, x in zip(self.preprocess, inputs, strict=True)]
        plan = make_plan(self.cell, mixing.support, self.share_features)
        drop = drop if self.training else 0.0
        evaluate: Evaluate = reference.evaluate_cell
        if self.fast and fast_plain.suits(self.cell):
            evaluate = fast_plain.evaluate_cell
        elif self.fast:
            evaluate = partial(fast_cell.evaluate_cell, together=self.steady)
        if self.partial > 1 or mixing.auxiliary is not None:
            evaluate = partial(evaluate_beside, evaluate, self.cell, partial=self.partial)
        nodes = evaluate(plan, self.storage, states, mixing, list(self.node_norms), self.stride, drop)
        joined = nodes[-len(self.cell.output) :]
        return joined[0] if len(joined) == 1 else torch.cat(joined, dim=1)

    def live_slices(self, mixing: Mixing) -> Liveness:
        """Return what the mixing's support leaves unused; keys are parameter names relative to this cell."""
        plan = make_plan(self.cell, mixing.support, self.share_features)
        used: dict[str, set[int]] = {}
        for row in plan.rows:
            used.setdefault(f"{row.source}_{row.operation}", set()).add(row.slice)
        live: Liveness = {}
        for key, bank in self.storage.items():
            for name, rows in cast(Bank, bank).live(frozenset(used.get(key, ()))).items():
                live[f"storage.{key}.{name}"] = rows
        return live


class ImageSupernet(nn.Module):
    """The network that contains every candidate; it never owns the choices.

    Args:
        space: what may be found.
        cells: number of cells.
        channels: channels of the first cell's nodes.
        in_channels: channels of the images.
        classes: number of classes.
        evaluation: "reference", operation by operation as the papers write it; "fast", the same numbers sooner.
        share_features: one set of weights per (source node, operation) instead of one per edge.
        node_norm: a non-affine batch norm on every node's sum.
        drop_path: probability with which a candidate's output is dropped for an example, in training.
        mean: per channel, of images in [0, 1].
        std: per channel.
        stem: "plain" keeps the images' sides, "imagenet" leaves an eighth of them to the first cell.
        layers: in place of those that the skeleton makes of ``cells`` and ``channels``: of a supernet that has grown.
        young: indices of layers that a gate bypasses until they have grown up.
        partial: one channel in so many goes through the mixture, the others bypass it (PC-DARTS, arXiv 1907.05737: 4).
        steady: small cells are evaluated as large ones, so that one that grows rounds as it did.

    Raises:
        InputError: a size is not positive, or an unknown evaluation or stem.
    """

    def __init__(
        self,
        space: Space,
        *,
        cells: int,
        channels: int,
        in_channels: int = 3,
        classes: int = 10,
        evaluation: str = "fast",
        share_features: bool = False,
        node_norm: bool = False,
        drop_path: float = 0.0,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        stem: str = "plain",
        layers: Sequence[Layer] = (),
        young: Sequence[int] = (),
        partial: int = 1,
        steady: bool = False,
    ) -> None:
        super().__init__()
        if evaluation not in EVALUATIONS:
            raise unknown("evaluation", evaluation, EVALUATIONS)
        if stem not in STEMS:
            raise unknown("stem", stem, STEMS)
        if space.skeleton.form != "stack":
            raise InputError(f"The space {space.name} is for sequences; images need another, such as darts.")
        at_least_one(
            "supernet", cells=cells, channels=channels, in_channels=in_channels, classes=classes, partial=partial
        )
        if channels % partial:
            raise InputError(f"supernet.channels is {channels}, which supernet.partial={partial} does not divide.")
        self.space, self.drop_path, self.stem_name = space, drop_path, stem
        self.layers = tuple(layers) or space.skeleton.layers(cells, channels)
        width = space.skeleton.stem_channels(stem, self.layers[0].channels)
        self.young = tuple(young)
        self.gates = nn.ParameterList(torch.zeros(()) for _ in self.young)
        self.stem: Any = STEMS[stem](in_channels, width, mean, std)
        self.cells = nn.ModuleList()
        sources, reduced = [width] * 2, self.stem.halves
        fast = evaluation == "fast"
        for layer in self.layers:
            graph = space.cells[layer.cell]
            self.cells.append(
                MixedCell(
                    graph,
                    sources[-graph.inputs :],
                    layer.channels,
                    layer.reduction,
                    reduced,
                    share_features,
                    node_norm,
                    fast,
                    layer.residual,
                    partial,
                    steady,
                )
            )
            sources, reduced = [sources[1], layer.channels * len(graph.output)], layer.reduction
        self.last = LastNorm(sources[1]) if space.skeleton.last_norm else nn.Identity()
        self.classifier = nn.Linear(sources[1], classes)
        if fast:
            use_fast_depthwise(self)
            use_fast_entrances(self)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The cell kind of every layer."""
        return tuple(layer.cell for layer in self.layers)

    def forward(self, x: Tensor, mixings: Mixings) -> Tensor:
        """Return the logits [N, classes] of images [N, in_channels, H, W] in [0, 1].

        Args:
            x: the images.
            mixings: cell kind -> mixing, or a list with one such mapping per layer.
        """
        x = x.contiguous(memory_format=torch.channels_last)
        previous, current = self.stem.states(x)
        for layer, (cell, mixing) in enumerate(zip(self.cells, self.per_layer(mixings), strict=True)):
            inputs = [previous, current][-len(cell.preprocess) :]  # type: ignore[arg-type]
            states = current, cell(inputs, mixing, self.drop_path)
            previous, current = self._bypassed(layer, (previous, current), states)
        out: Tensor = self.classifier(self.last(current).mean(dim=(2, 3)))
        return out

    def _bypassed(
        self, layer: int, before: tuple[Tensor, Tensor], after: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return what the next layer reads: behind a young one (1 - g) of what it would read without it."""
        if layer not in self.young:
            return after
        gate = self.gates[self.young.index(layer)]
        return (1.0 - gate) * before[0] + gate * after[0], (1.0 - gate) * before[1] + gate * after[1]

    def per_layer(self, mixings: Mixings) -> list[Mixing]:
        """Return the mixing of every layer.

        Raises:
            InputError: the number of layers does not fit, or a cell kind is missing.
        """
        if isinstance(mixings, Mapping):
            mixings = [mixings] * len(self.layers)
        if len(mixings) != len(self.layers):
            raise InputError(f"{len(mixings)} mixings were given for a supernet of {len(self.layers)} layers.")
        missing = {kind for kind, given in zip(self.kinds, mixings, strict=True) if kind not in given}
        if missing:
            raise InputError(f"No mixing was given for the cell kind '{min(missing)}'.")
        return [given[kind] for kind, given in zip(self.kinds, mixings, strict=True)]

    def live_slices(self, mixings: Mixings) -> Liveness:
        """Return, by parameter name, the slices that these mixings run, for every parameter not wholly used."""
        live: Liveness = {}
        for index, mixing in enumerate(self.per_layer(mixings)):
            cell = cast(MixedCell, self.cells[index])
            live.update({f"cells.{index}.{name}": slices for name, slices in cell.live_slices(mixing).items()})
        return live


@contextmanager
def by_reference(network: nn.Module) -> Iterator[None]:
    """Within it cells are evaluated operation by operation: quicker where a gradient is differentiated again."""
    cells = [module for module in network.modules() if isinstance(module, MixedCell) and module.fast]
    for cell in cells:
        cell.fast = False
    try:
        yield
    finally:
        for cell in cells:
            cell.fast = True


@contextmanager
def frozen_statistics(network: nn.Module) -> Iterator[None]:
    """Within it a training-mode forward normalises by the batch and leaves the running statistics as they are."""
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.track_running_stats]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True

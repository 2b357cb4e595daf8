"""From the supernet to a derived network that computes the same: the kept slices are copied, statistics too."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import cast

from torch import nn

from archgrad.architecture import Architecture
from archgrad.architecture import Cell as FixedCell
from archgrad.errors import InputError
from archgrad.network.build import blueprint
from archgrad.network.image import Cell, ImageNetwork
from archgrad.network.modules import STEMS
from archgrad.space.cells import CellSpace
from archgrad.supernet.image import ImageSupernet, MixedCell

__all__ = ["as_in_supernet", "inherit"]


def as_in_supernet(architecture: Architecture, supernet: ImageSupernet) -> Architecture:
    """Return the architecture with ``pool_norm`` and ``node_norm`` as the supernet has them."""
    first = cast(MixedCell, supernet.cells[0])
    node_norm = any(isinstance(norm, nn.BatchNorm2d) for norm in first.node_norms)
    pool_norm = first.cell.pool_norm
    return replace(architecture, network={**architecture.network, "pool_norm": pool_norm, "node_norm": node_norm})


def inherit(supernet: ImageSupernet, architecture: Architecture, *, auxiliary: bool = False) -> ImageNetwork:
    """Build the derived network with the supernet's weights and batch-norm statistics.

    In eval mode it equals ``supernet(x, mixings)`` where the mixings hold the architecture's edges as support and the
    architecture's edge weights (1 where it has none) as weights. The scale and offset that batch norms gain in the
    derived network start as 1 and 0.

    Args:
        supernet: where everything is copied from; it gives the sizes too.
        architecture: cells of the supernet's space, such as :func:`archgrad.engine.derivations.derive` gives them.
        auxiliary: whether there is a fresh auxiliary head for training.

    Returns:
        The network, on the supernet's device, in training mode.

    Raises:
        InputError: the architecture has cells, nodes or operations that the supernet lacks, or the supernet's
            operations have a part of the channels alone.
    """
    _check(supernet, architecture)
    plan = blueprint(
        as_in_supernet(architecture, supernet),
        cells=len(supernet.layers),
        channels=supernet.layers[0].channels,
        in_channels=supernet.stem.mean.numel(),
        classes=supernet.classifier.out_features,
        auxiliary=auxiliary,
        mean=supernet.stem.mean.flatten().tolist(),
        std=supernet.stem.std.flatten().tolist(),
        stem=next(name for name, kind in STEMS.items() if isinstance(supernet.stem, kind)),
    )
    plan["layers"] = [asdict(layer) for layer in supernet.layers]
    network = ImageNetwork(plan).to(supernet.classifier.weight.device)
    network.stem.load_state_dict(supernet.stem.state_dict())
    network.last.load_state_dict(supernet.last.state_dict())
    network.classifier.load_state_dict(supernet.classifier.state_dict())
    for layer, target, source in zip(supernet.layers, network.cells, supernet.cells, strict=True):
        _copy_cell(cast(MixedCell, source), cast(Cell, target), architecture.cells[layer.cell])
    return network


def _copy_cell(source: MixedCell, target: Cell, fixed: FixedCell) -> None:
    """Copy what a fixed cell keeps of a cell of the supernet."""
    # not strict: the supernet's batch norms have no scale and offset, and fresh ones of 1 and 0 change nothing
    target.preprocess.load_state_dict(source.preprocess.state_dict(), strict=False)
    target.node_norms.load_state_dict(source.node_norms.state_dict())
    for edge, operation in zip(fixed.edges, target.operations, strict=True):
        if edge.operation == "none":
            continue
        slot = 0 if source.share_features else source.cell.slot(source.cell.edges.index((edge.source, edge.target)))
        bank = source.storage.bank(edge.source, edge.operation)
        operation.load_state_dict(bank.slice_state(slot), strict=False)


def _check(supernet: ImageSupernet, architecture: Architecture) -> None:
    """Refuse an architecture that is not part of the supernet, saying which cell and why."""
    if (share := cast(MixedCell, supernet.cells[0]).partial) > 1:
        raise InputError(
            f"Only one channel in {share} went through the supernet's operations (supernet.partial={share}), so a "
            "derived network has no weights to inherit; train it from scratch."
        )
    for kind in dict.fromkeys(supernet.kinds):
        if kind not in architecture.cells:
            raise InputError(f"The architecture has no cell '{kind}', which the supernet has.")
        fixed, cell = architecture.cells[kind], supernet.space.cells[kind]
        if (fixed.inputs, fixed.nodes) != (cell.inputs, cell.nodes):
            raise InputError(
                f"The {kind} cell has {fixed.inputs} inputs and {fixed.nodes} nodes, the supernet's has {cell.inputs} "
                f"and {cell.nodes}: this architecture was not derived from it."
            )
        _check_operations(kind, fixed, cell)


def _check_operations(kind: str, fixed: FixedCell, cell: CellSpace) -> None:
    foreign = sorted({edge.operation for edge in fixed.edges} - {*cell.operations, "none"})
    if foreign:
        raise InputError(
            f"The {kind} cell has operations that are no candidates of the supernet: {', '.join(foreign)}. "
            f"Its candidates: {', '.join(cell.operations)}."
        )

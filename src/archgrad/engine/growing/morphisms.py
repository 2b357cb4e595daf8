"""The growth steps: each makes a form larger and says what stays what, so that the supernet computes what it did.

Network morphism is the principle of arXiv 2106.07211; its abstract is all that could be read, so every step here is a
reconstruction. A step is a function (form, seen, word) -> change; a new one is such a function and one line in the
registry under "morphism". What is new stands behind something that is 0 at first: the columns of the convolutions that
would read it, a gate, or the ramp of a table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch

from archgrad.errors import InputError, unknown
from archgrad.network.modules import OPERATIONS
from archgrad.network.recurrent import ACTIVATIONS
from archgrad.space.cells import CellSpace
from archgrad.space.change import NEW, Change
from archgrad.space.form import Form, resized
from archgrad.space.skeleton import Layer
from archgrad.supernet.grown.widening import widened_units

__all__ = ["Morphism", "Seen", "edge_split", "hadamard", "new_candidate", "new_node", "one_more_cell", "wider"]


@dataclass(frozen=True)
class Seen:
    """What a step may look at.

    Args:
        strengths: by cell kind the expected weights, [rows][candidates].
        generator: of what is random about a step.
    """

    strengths: Mapping[str, Sequence[Sequence[float]]]
    generator: torch.Generator


class Morphism(Protocol):
    """One growth step."""

    def __call__(self, form: Form, seen: Seen, word: str) -> Change | None:
        """Return the change, or None where there is nothing left for this step to add.

        Args:
            form: what grows.
            seen: what the step may look at.
            word: what stood behind the step's name and a colon; empty if nothing did.

        Raises:
            InputError: the step cannot grow such a supernet at all, or does not know the word.
        """
        ...


def new_node(form: Form, seen: Seen, word: str = "") -> Change:
    """Add a node behind the others of every cell, with edges from all of them.

    A stack reads it through columns of zeros, in the 1x1 convolutions of the next two cells or in the classifier; a
    cell over time gives it out through a gate: h = (1 - g) join(s_1..s_N) + g join(s_1..s_N+1), g = 0.
    """
    _no_word("node", word)
    space = resized(form.space, form.nodes + 1)
    young = (form.nodes,) if form.space.skeleton.form == "time" else ()
    return Change.between(form, replace(form, space=space, young_nodes=young), record={"step": "node"})


def edge_split(form: Form, seen: Seen, word: str = "") -> Change:
    """Put a node m on the strongest edge i -> j of every cell (after Net2DeeperNet, arXiv 1511.05641).

    i -> m starts with a copy of the weights and choices of i -> j. All that leads from m into older nodes is on the
    ramp, so that the way over m opens beside the edge; m joins the output as a new node does.
    """
    _no_word("split", word)
    nodes, copies, cells, split = {}, {}, {}, {}
    for kind, cell in form.space.cells.items():
        if kind in form.space.combiners:
            continue
        source, target = _strongest(cell, seen.strengths[kind])
        places = tuple(range(cell.inputs + cell.nodes))
        kinds = [kind] + ([cell.combiner] if cell.combiner is not None else [])
        for each in kinds:
            nodes[each] = (*places[:target], NEW, *places[target:])
            cells[each] = replace(form.space.cells[each], nodes=cell.nodes + 1)
        copies[kind] = {(source, target): (source, target)}
        split[kind] = [source, target]
    over_time = form.space.skeleton.form == "time"
    young = tuple(
        split[kind][1] - cell.inputs for kind, cell in cells.items() if kind in split and cell.output_combine != "last"
    )
    space = replace(form.space, cells={kind: cells[kind] for kind in form.space.cells})
    after = replace(form, space=space, young_nodes=young if over_time else ())
    return Change.between(form, after, nodes=nodes, copies=copies, record={"step": "split", "edges": split})


def new_candidate(form: Form, seen: Seen, word: str) -> Change | None:
    """Add a candidate operation to every edge; ``word`` names it. On edges into older nodes it is on the ramp."""
    over_time = form.space.skeleton.form == "time"
    known = tuple(ACTIVATIONS) if over_time else tuple(name for name in OPERATIONS if name != "none")
    if word not in known:
        raise unknown("operation", word, known, "growth.steps=candidate:OPERATION")
    kinds = [kind for kind in form.space.cells if kind not in form.space.combiners]
    return _with_candidate(form, kinds, word, {"step": "candidate", "operation": word})


def hadamard(form: Form, seen: Seen, word: str = "") -> Change | None:
    """Let every sum node of a two-input cell become a Hadamard node: its combiner gets "multiply", on the ramp.

    (1 - g) (u + v) + g (omega_add (u + v) + omega_mul u * v), g = 0.
    """
    _no_word("hadamard", word)
    if not form.space.combiners:
        raise InputError(
            f"The growth step hadamard needs nodes of two operands, and the space {form.space.name} has none; "
            "take space=two-input-rnn with space.combiners=[add], or leave the step out of growth.steps."
        )
    return _with_candidate(form, sorted(form.space.combiners), "multiply", {"step": "hadamard"})


def one_more_cell(form: Form, seen: Seen, word: str = "") -> Change:
    """Add a cell at the end of the shortest stage of a stack (the last one of equals), gated on what is read behind it.

    With (a, b) what the layer behind it read before: it reads (1 - g) a + g b and (1 - g) b + g c, c the new cell.
    """
    _no_word("cell", word)
    layers = form.layers
    if form.space.skeleton.form == "time":
        raise InputError("The growth step cell adds a layer to a stack; a recurrent supernet has one cell over time.")
    # the two states that are blended must have the same sides and channels: of one stage, behind its first cell
    ends = [
        at
        for at in range(1, len(layers))
        if _stage(layers, at) == _stage(layers, at - 1)
        and (at + 1 == len(layers) or _stage(layers, at + 1) != _stage(layers, at))
    ]
    if not ends:
        raise InputError(
            f"The growth step cell adds to a stage of at least two cells, and a stack of {len(layers)} cells has none; "
            "take supernet.cells=5 or more, or 2."
        )
    at = min(ends, key=lambda end: (sum(_stage(layers, k) == _stage(layers, end) for k in range(len(layers))), -end))
    new = Layer(form.space.skeleton.normal, layers[at].channels, False)
    after = replace(form, layers=(*layers[: at + 1], new, *layers[at + 1 :]), young_layers=(at + 1,))
    places = tuple(range(len(layers)))
    return Change.between(
        form, after, layers=(*places[: at + 1], NEW, *places[at + 1 :]), record={"step": "cell", "layer": at + 1}
    )


def wider(form: Form, seen: Seen, word: str) -> Change | None:
    """Give every node more units, or the first cell's nodes more channels and the others in proportion: Net2Wider.

    Units are doubled, and what reads them is divided between the copies in unequal shares (arXiv 1511.05641); the
    output changes by rounding alone. ``word`` is the new number.
    """
    over_time = form.space.skeleton.form == "time"
    now = form.width if over_time else form.layers[0].channels
    if not word.isdigit():
        raise InputError(f"The growth step wider needs the new number of units or channels, such as wider:{2 * now}.")
    new = int(word)
    if new <= now:
        return None
    if over_time:
        widths = {now: widened_units(now, new, seen.generator)}
        return Change.between(form, replace(form, width=new), widths=widths, record={"step": "wider", "units": new})
    sizes = sorted({layer.channels for layer in form.layers})
    if now < 2 or any(size * new % now for size in sizes):
        raise InputError(f"The growth step wider cannot make {new} channels of {now}; take a multiple of {now}.")
    widths = {size: widened_units(size, size * new // now, seen.generator, halves=True) for size in sizes}
    stems = [form.space.skeleton.stem_channels("plain", channels) for channels in (now, new)]
    if stems[0] not in widths:
        widths[stems[0]] = widened_units(stems[0], stems[1], seen.generator)
    layers = tuple(replace(layer, channels=layer.channels * new // now) for layer in form.layers)
    return Change.between(form, replace(form, layers=layers), widths=widths, record={"step": "wider", "channels": new})


def _with_candidate(form: Form, kinds: Sequence[str], name: str, record: Mapping[str, object]) -> Change | None:
    """Return the change that adds a candidate to tables; None where all of them have it."""
    cells = dict(form.space.cells)
    for kind in kinds:
        if name not in cells[kind].operations:
            cells[kind] = replace(cells[kind], operations=(*cells[kind].operations, name))
    if cells == form.space.cells:
        return None
    return Change.between(form, replace(form, space=replace(form.space, cells=cells)), record=record)


def _strongest(cell: CellSpace, strengths: Sequence[Sequence[float]]) -> tuple[int, int]:
    """Return the edge whose strongest candidate but ``none`` is strongest; the first of equals."""
    usable = [candidate for candidate, name in enumerate(cell.operations) if name != "none"]
    best = max(range(len(cell.edges)), key=lambda row: max(strengths[row][candidate] for candidate in usable))
    return cell.edges[best]


def _stage(layers: Sequence[Layer], at: int) -> int:
    """Return how many reductions there are up to a layer: layers of one number have the same sides and channels."""
    return sum(layer.reduction for layer in layers[: at + 1])


def _no_word(step: str, word: str) -> None:
    if word:
        raise InputError(f"The growth step {step} takes no word, and got '{word}'; write growth.steps={step}.")

"""A derived recurrent cell over a whole sequence, written for few and large operations: the tape and the forward pass.

Everything lies in tensors of all time steps. An instruction is an operation in place on some of them: what hangs on
h_{t-1} runs step after step on their slices, what hangs on the input alone runs once on the whole.

Tensors are [T, ..., H, N]: time steps, units, batch. With the units first, what a state gives several nodes is one
product whose blocks lie one behind another. The formulas are those of ``recurrent.py``, to which tests hold values and
gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor

from archgrad.network.recurrent import LIMIT
from archgrad.network.recurrent_sources import PREVIOUS, Sources, Term, activation_runs

__all__ = [
    "IN_PLACE",
    "Instruction",
    "Matrices",
    "Tape",
    "activation_slope",
    "each_step",
    "forward",
    "masked_by",
    "run",
    "under",
]

Instruction = tuple[Callable[..., object], tuple[Tensor, ...]]
"""What is done, and the tensors [T, ...] that it is done to."""

Matrices = Mapping[int, Tensor]
"""Source -> what it is multiplied by from the left, [blocks * H, H]."""

IN_PLACE: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh_,
    "relu": torch.relu_,
    "sigmoid": torch.sigmoid_,
    "identity": lambda x: x,
}
"""The activations of :data:`archgrad.network.recurrent.ACTIVATIONS`."""


def activation_slope(name: str, value: Tensor, out: Tensor | None = None) -> Tensor:
    """Return f'(h) from f(h): 1 - f^2 of tanh, f (1 - f) of the sigmoid, 1 or 0 of the ReLU, 1 of the identity.

    Args:
        name: of the activation f.
        value: f(h).
        out: where to write it.
    """
    if name == "tanh":
        return torch.addcmul(value.new_ones(()), value, value, value=-1.0, out=out)
    if name == "sigmoid":
        return torch.addcmul(value, value, value, value=-1.0, out=out)
    if name == "relu":
        return torch.sign(value, out=out)
    return torch.ones_like(value) if out is None else out.fill_(1.0)


class Tape:
    """What a forward pass leaves for the backward.

    ``states`` are h_0 to h_T, [T + 1, H, N]; ``raw`` h_1 to h_T before they are bounded; ``products j``
    [T, blocks * H, N] what s_j is made by its matrices, behind the activations; ``values`` [T, ..., H, N] what the
    gates make of every term, or without gates every combined node; ``operand i k`` a sum of terms; ``entered`` x_t W
    where that is a node.

    Args:
        sources: the cell.
        tensors: by name.
    """

    def __init__(self, sources: Sources, tensors: dict[str, Tensor]) -> None:
        self.sources, self.tensors = sources, tensors
        self.leaving, self.ahead = sources.leaving(), sources.ahead()
        self._places = {term: place for terms in self.leaving.values() for place, term in enumerate(terms)}
        combined = [node for node in sources.nodes if node in sources.combine]
        valued: list[Term | int] = [*self._places] if sources.gated else [*combined]
        self.slots = {each: slot for slot, each in enumerate(valued)}
        """Where a term, or a combined node, is among ``values``."""

    @classmethod
    def empty(cls, sources: Sources, entering: Tensor, hidden: Tensor) -> Tape:
        """Return a tape for a sequence.

        Args:
            sources: the cell.
            entering: x_t W, [T, 2H, N] with gates, else [T, H, N].
            hidden: h_0, [H, N].
        """
        steps, (width, batch) = len(entering), hidden.shape
        tape = cls(sources, {})
        own, new = tape.tensors, hidden.new_empty
        own["states"], own["raw"] = new(steps + 1, width, batch), new(steps, width, batch)
        own["values"] = new(steps, len(tape.slots), width, batch)
        for source, terms in tape.leaving.items():
            own[f"products {source}"] = new(steps, len(sources.blocks(terms)) * width, batch)
        for node, operands in sources.nodes.items():
            for k, terms in enumerate(operands):
                if terms and not _alone(terms):
                    own[f"operand {node} {k}"] = new(steps, width, batch)
        if sources.entered is not None:
            own["entered"] = entering
        return tape

    def cut(self, start: int, end: int) -> Tape:
        """Return the tape of the time steps from start to end."""
        tensors = {name: tensor[start : end + (name == "states")] for name, tensor in self.tensors.items()}
        return Tape(self.sources, tensors)

    def state(self, node: int) -> Tensor:
        """Return the states of a node, or h_{t-1}, [T, H, N]."""
        if node == PREVIOUS:
            return self.tensors["states"][:-1]
        if node == self.sources.entered:
            return self.tensors["entered"]
        return self.tensors["values"][:, self.slots[node]] if node in self.slots else self.operand(node, 0)

    def operand(self, node: int, k: int) -> Tensor:
        """Return an operand of a node, [T, H, N]."""
        terms, raw = self.sources.nodes[node][k], self.tensors["raw"]
        if not terms:
            return raw.new_zeros(()).expand_as(raw)
        return self.value(terms[0]) if _alone(terms) else self.tensors[f"operand {node} {k}"]

    def value(self, term: Term) -> Tensor:
        """Return what an edge gives before its scale, [T, H, N]."""
        if self.sources.gated:
            return self.tensors["values"][:, self.slots[term]]
        return self.blocks(term.source)[:, self._places[term]]

    def blocks(self, source: int) -> Tensor:
        """Return the products of a source, [T, blocks, H, N]."""
        steps, width, batch = self.tensors["raw"].shape
        return self.tensors[f"products {source}"].view(steps, -1, width, batch)

    def place(self, term: Term) -> int:
        """Return which of its source's terms a term is."""
        return self._places[term]


def run(program: Iterable[Instruction]) -> None:
    """Run instructions, on the tensors of all time steps or of one."""
    for do, tensors in program:
        do(*tensors)


def each_step(program: Sequence[Instruction]) -> list[list[Instruction]]:
    """Return the instructions of every time step, on the slices of their tensors."""
    rows = [zip(*(tensor.unbind(0) for tensor in tensors), strict=True) for _, tensors in program]
    return [[(do, slices) for (do, _), slices in zip(program, step, strict=True)] for step in zip(*rows, strict=True)]


def forward(
    sources: Sources, entering: Tensor, hidden: Tensor, matrices: Matrices, weights: Tensor, mask: Tensor | None
) -> Tape:
    """Run a cell over a sequence; ``states`` of the tape are what comes out.

    Args:
        sources: the cell.
        entering: x_t W, [T, 2H, N] with gates, else [T, H, N].
        hidden: h_0, [H, N].
        matrices: of every source.
        weights: of the outputs, [outputs].
        mask: dropout of a state before its matrices, [H, N].
    """
    tape = Tape.empty(sources, entering, hidden)
    tape.tensors["states"][0] = hidden
    ahead: list[Instruction] = []
    each: list[Instruction] = []
    for node in sorted({*tape.leaving, *sources.nodes}):
        own = ahead if node in tape.ahead else each
        if node in sources.nodes:
            own += _node(tape, node)
        if node in tape.leaving:
            own += _leave(tape, node, entering if sources.gated and node == PREVIOUS else None, matrices[node], mask)
    run(ahead)
    for step in each_step([*each, *_output(tape, weights)]):
        run(step)
    return tape


def _leave(tape: Tape, source: int, entering: Tensor | None, matrix: Tensor, mask: Tensor | None) -> list[Instruction]:
    """Return how a state goes through its matrices, activations and gates."""
    terms, products, state = tape.leaving[source], tape.tensors[f"products {source}"], tape.state(source)
    gates = len(terms) if tape.sources.gated else 0

    def multiply(out: Tensor, s: Tensor, *masks: Tensor) -> None:
        if s.dim() == 2:
            torch.mm(matrix, under(s, masks), out=out)
        else:
            torch.bmm(matrix.expand(len(s), -1, -1), under(s, masks), out=out)

    def multiply_and_add(out: Tensor, entering: Tensor, s: Tensor, *masks: Tensor) -> None:
        torch.addmm(entering, matrix, under(s, masks), out=out)

    given = (state, *masked_by(mask, state))
    program: list[Instruction] = [
        (multiply, (products, *given)) if entering is None else (multiply_and_add, (products, entering, *given))
    ]
    width = state.shape[1]
    for name, start, end in activation_runs(terms, gates):
        if name != "identity":
            program.append((IN_PLACE[name], (products[:, start * width : end * width],)))
    if gates:
        blocks, first = tape.blocks(source), tape.slots[terms[0]]
        values = tape.tensors["values"][:, first : first + gates]
        program.append((_gate, (values, state[:, None], blocks[:, gates:], blocks[:, :gates])))
    return program


def _gate(out: Tensor, state: Tensor, candidate: Tensor, gate: Tensor) -> None:
    """Write s + c (f - s), as :func:`archgrad.network.recurrent.highway`."""
    torch.lerp(state, candidate, gate, out=out)


def _node(tape: Tape, node: int) -> list[Instruction]:
    """Return how a node is made of its terms."""
    program: list[Instruction] = []
    for k, terms in enumerate(tape.sources.nodes[node]):
        total = tape.tensors.get(f"operand {node} {k}")
        if total is not None:
            program += [(_add(term.scale, number == 0), (total, tape.value(term))) for number, term in enumerate(terms)]
    if node in tape.sources.combine:
        join = torch.add if tape.sources.combine[node] == "add" else torch.mul

        def combine(out: Tensor, a: Tensor, b: Tensor) -> None:
            join(a, b, out=out).clamp_(-LIMIT, LIMIT)

        program.append((combine, (tape.state(node), tape.operand(node, 0), tape.operand(node, 1))))
    return program


def _add(scale: float, first: bool) -> Callable[[Tensor, Tensor], object]:
    """Return what writes or adds a scaled term to a sum."""
    if first:
        return lambda total, value: torch.mul(value, scale, out=total)
    return lambda total, value: total.add_(value, alpha=scale)


def _output(tape: Tape, weights: Tensor) -> list[Instruction]:
    """Return how h_t is joined of the outputs and bounded: of all values at once, each with what it weighs in h_t."""
    raw, states, values = (tape.tensors[name] for name in ("raw", "states", "values"))
    shares, alone = weights.new_zeros(len(tape.slots)), []
    for node, weight in zip(tape.sources.outputs, weights.unbind(0), strict=True):
        if node in tape.slots:
            shares[tape.slots[node]] = weight
        elif tape.sources.gated:
            for term in tape.sources.nodes[node][0]:
                shares[tape.slots[term]] = weight * term.scale
        else:
            alone.append((node, weight))

    def join(out: Tensor, values: Tensor) -> None:
        torch.mv(values, shares, out=out)

    program: list[Instruction] = [(join, (raw.flatten(1), values.flatten(2).mT))]
    for node, weight in alone:
        program.append((lambda out, state, weight=weight: out.addcmul_(state, weight), (raw, tape.state(node))))
    program.append((lambda out, h: torch.clamp(h, -LIMIT, LIMIT, out=out), (states[1:], raw)))
    return program


def under(state: Tensor, masks: Sequence[Tensor]) -> Tensor:
    """Return a state under its mask, if there is one."""
    return state * masks[0] if masks else state


def masked_by(mask: Tensor | None, like: Tensor) -> tuple[Tensor, ...]:
    """Return a mask for every time step, or nothing."""
    return () if mask is None else (mask.expand_as(like),)


def _alone(terms: Sequence[Term]) -> bool:
    """Say whether an operand is one term as it is."""
    return len(terms) == 1 and terms[0].scale == 1.0

"""The backward pass of a derived recurrent cell over a whole sequence; see ``recurrent_steps.py`` for its layout.

It goes back in stretches of time steps that stay in the processor's cache. Of a stretch, the slopes of all that was
computed are taken at once; then each step only multiplies; the gradients of the matrices are one product for each
source and stretch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from archgrad.network.recurrent import LIMIT, combined
from archgrad.network.recurrent_sources import PREVIOUS, Term, activation_runs
from archgrad.network.recurrent_steps import (
    Instruction,
    Matrices,
    Tape,
    activation_slope,
    each_step,
    masked_by,
    run,
    under,
)

__all__ = ["EXAMPLES", "Gradients", "backward", "denormals_flushed"]

EXAMPLES = 1024
"""Rows, time steps times batch, of a stretch: enough for products, few enough for a cache (measured: 512 to 2,048)."""


@dataclass(frozen=True)
class Gradients:
    """What a backward pass gives.

    Args:
        hidden: of h_0, [H, N].
        entering: of x_t W, [T, blocks * H, N]; None where nothing reads it.
        matrices: source -> [blocks * H, H].
        weights: of the outputs' weights, [outputs]; None where they were not asked for.
    """

    hidden: Tensor
    entering: Tensor | None
    matrices: dict[int, Tensor]
    weights: Tensor | None


@contextmanager
def denormals_flushed(device: torch.device) -> Iterator[None]:
    """Let the processor take numbers below the smallest normal one for 0 within, where it can.

    A gradient that vanishes over the time steps ends in such numbers, of which each operation takes a hundred times as
    long.
    """
    if device.type != "cpu":
        yield
        return
    before = bool(torch.tensor(1e-38) * 0.1 == 0.0)  # torch tells nobody
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def backward(
    tape: Tape,
    matrices: Matrices,
    weights: Tensor,
    mask: Tensor | None,
    gradients: Sequence[Tensor | None],
    wanted: Iterable[int],
    of_weights: bool,
) -> Gradients:
    """Return the gradients of what :func:`archgrad.network.recurrent_steps.forward` was given.

    Args:
        tape: of the forward pass; it is left as it is.
        matrices: as given there, like ``weights`` and ``mask``.
        weights: of the outputs.
        mask: dropout.
        gradients: of the states h_1 to h_T, [T, N, H], and of the last of them, [N, H]; None for 0.
        wanted: sources whose matrices' gradients are asked for.
        of_weights: whether those of the weights are.
    """
    raw, sources = tape.tensors["raw"], tape.sources
    of_states, of_last = gradients
    carried = torch.zeros_like(raw[0])
    if of_last is not None:
        carried += of_last.mT
    found = {source: torch.zeros_like(matrices[source]) for source in wanted}
    of_outputs = torch.zeros_like(weights) if of_weights else None
    source = PREVIOUS if sources.entered is None else sources.entered
    entering = None
    if sources.reads_input:
        entering = raw.new_empty(len(raw), raw.shape[1] * (2 if sources.gated else 1), raw.shape[2])
    length = max(1, EXAMPLES // max(1, raw.shape[2]))
    stretches: dict[int, _Stretch] = {}
    for end in range(len(raw), 0, -length):
        start = max(0, end - length)
        if end - start not in stretches:
            stretches[end - start] = _Stretch(tape, end - start, matrices, weights, mask)
        stretch, own = stretches[end - start], tape.cut(start, end)
        stretch.fill(own, None if of_states is None else of_states[start:end], carried)
        for wanted_source, total in found.items():
            state = under(own.state(wanted_source), masked_by(mask, own.tensors["raw"]))
            _add_products(total, stretch.slopes[wanted_source], state)
        if of_outputs is not None:
            parts = [(stretch.to_states[1:] * own.state(node)).sum() for node in sources.outputs]
            of_outputs += torch.stack(parts)
        if entering is not None:
            entering[start:end] = stretch.slopes[source] if sources.gated else stretch.to_nodes[source]
        carried = stretch.to_states[0].clone()
    return Gradients(carried, entering, found, of_outputs)


def _add_products(total: Tensor, gradients: Tensor, states: Tensor) -> None:
    """Add sum_t g_t s_t' to a matrix' gradient [rows, H]; g is [T, rows, N], s is [T, H, N]."""
    if states.shape[1] <= states.shape[2]:
        total.addbmm_(gradients, states.mT)
    else:  # where a matrix is larger than what it multiplies, it is touched once and not every step
        total.addmm_(gradients.movedim(1, 0).flatten(1), states.movedim(1, 0).flatten(1).T)


class _Stretch:
    """Buffers for the gradients of so many time steps, and what is done to them.

    Args:
        tape: gives the form.
        steps: how many.
        matrices: of every source.
        weights: of the outputs.
        mask: dropout.
    """

    def __init__(self, tape: Tape, steps: int, matrices: Matrices, weights: Tensor, mask: Tensor | None) -> None:
        raw, sources = tape.tensors["raw"][:steps], tape.sources
        self.tape, self.mask = tape, mask
        self.to_states = raw.new_empty(steps + 1, *raw.shape[1:])
        self.inside = torch.empty_like(raw)
        self.slopes = {source: torch.empty_like(tape.tensors[f"products {source}"][:steps]) for source in tape.leaving}
        self.bypasses = {
            source: raw.new_empty(steps, len(terms), *raw.shape[1:])
            for source, terms in tape.leaving.items()
            if sources.gated
        }
        # in the order of the terms that leave one state, so that what goes back to it lies together
        targets = [term.target for terms in tape.leaving.values() for term in terms]
        here = list(dict.fromkeys(node for node in (*targets, *sources.nodes) if node not in tape.ahead))
        self.slots = {node: slot for slot, node in enumerate(here)}
        self.scratch = raw.new_empty(len(here), *raw.shape[1:])
        self.late = {node: torch.empty_like(raw) for node in tape.ahead}
        self.to_nodes = {node: self.scratch[slot].expand_as(raw) for node, slot in self.slots.items()}
        self.to_nodes |= self.late
        self.to_nodes[PREVIOUS] = self.to_states[:-1]
        each, self.last = self._program(matrices, weights)
        self.each = each_step(each)

    def fill(self, tape: Tape, of_states: Tensor | None, carried: Tensor) -> None:
        """Fill the buffers.

        Args:
            tape: of these time steps.
            of_states: gradient of their states, [steps, N, H].
            carried: gradient of the last of them from the time steps behind, [H, N].
        """
        self.to_states.zero_()
        if of_states is not None:
            self.to_states[1:] = of_states.mT
        self.to_states[-1] += carried
        self.inside.copy_(tape.tensors["raw"].abs() <= LIMIT)
        for tensor in self.late.values():
            tensor.zero_()
        self._slopes(tape)
        for step in reversed(self.each):
            run(step)
        run(self.last)

    def _program(self, matrices: Matrices, weights: Tensor) -> tuple[list[Instruction], list[Instruction]]:
        """Return what is done step by step, and what at once behind that for the nodes without h_{t-1}."""
        sources, outputs = self.tape.sources, self.tape.sources.outputs
        shares = weights.new_zeros(len(self.slots), 1, 1)
        last: list[Instruction] = []
        for node, weight in zip(outputs, weights.unbind(0), strict=True):
            if node in self.slots:
                shares[self.slots[node]] = weight
            else:
                add = lambda total, gradient, weight=weight: total.addcmul_(gradient, weight)  # noqa: E731
                last.append((add, (self.late[node], self.to_states[1:])))

        def share(gradient: Tensor, inside: Tensor) -> None:
            torch.mul(gradient.mul_(inside), shares, out=self.scratch)

        each: list[Instruction] = [(share, (self.to_states[1:], self.inside))]
        for node in sorted({*self.tape.leaving, *sources.nodes}, reverse=True):
            own = last if node in self.tape.ahead else each
            if node in self.tape.leaving:
                # what goes from a time step's node to one of all time steps is told while the step's gradient is there
                told = [term for term in self.tape.leaving[node] if (term.target in self.slots) == (own is each)]
                own += self._tell(node, told)
                own.append(self._collect(node, matrices[node]))
            if node in self.slots and node in sources.nodes:
                for terms in sources.nodes[node]:
                    for term in terms:
                        if term.source in self.tape.ahead:
                            each += self._tell(term.source, [term])
        return each, last

    def _tell(self, source: int, terms: Sequence[Term]) -> list[Instruction]:
        """Return how the gradients of targets become those of a source's products, and go past its gates."""
        blocks = self._blocks(source)
        program: list[Instruction] = []
        for own in self._runs(terms):
            first, count = self.tape.place(own[0]), len(own)
            if own[0].target in self.slots:
                slot = self.slots[own[0].target]
                gradients = self.scratch[slot : slot + count].expand(len(blocks), -1, -1, -1)
            else:
                gradients = self.to_nodes[own[0].target][:, None]
            program.append((torch.Tensor.mul_, (blocks[:, :, first : first + count], gradients[:, None])))
        if self.tape.sources.gated:
            for term in terms:
                past = self.bypasses[source][:, self.tape.place(term)]
                program.append((torch.Tensor.addcmul_, (self.to_nodes[source], self.to_nodes[term.target], past)))
        return program

    def _runs(self, terms: Sequence[Term]) -> list[list[Term]]:
        """Cut terms into runs whose products and whose targets' gradients both lie together."""
        runs: list[list[Term]] = []
        for term in terms:
            before = runs[-1][-1] if runs else None
            if (
                before is not None
                and term.target in self.slots
                and before.target in self.slots
                and self.slots[term.target] == self.slots[before.target] + 1
                and self.tape.place(term) == self.tape.place(before) + 1
            ):
                runs[-1].append(term)
            else:
                runs.append([term])
        return runs

    def _blocks(self, source: int) -> Tensor:
        """Return the slopes of a source's products, [T, (gate and candidate, or candidate alone), terms, H, N]."""
        steps, width, batch = self.inside.shape
        return self.slopes[source].view(steps, -1, len(self.tape.leaving[source]), width, batch)

    def _collect(self, node: int, matrix: Tensor) -> Instruction:
        """Return how a state's gradient grows by what came back through its matrices."""
        back = matrix.T.contiguous()

        def collect(gradient: Tensor, given: Tensor, *masks: Tensor) -> None:
            if masks:
                gradient.addcmul_(back @ given, masks[0])
            elif gradient.dim() == 2:
                gradient.addmm_(back, given)
            else:
                gradient.baddbmm_(back.expand(len(given), -1, -1), given)

        return collect, (self.to_nodes[node], self.slopes[node], *masked_by(self.mask, self.to_nodes[node]))

    def _slopes(self, tape: Tape) -> None:
        """Write how a node's gradient grows on its way to the products, and past the gates.

        With gates, v = scale (s + c (f - s)): by the gate's product it grows by scale c (1 - c) (f - s), by the
        candidate's by scale c f', and past both by scale (1 - c). Without, a node is bounded(a + b) or bounded(a b).
        """
        for source, terms in tape.leaving.items():
            found, blocks = self._blocks(source), tape.blocks(source)
            gates = len(terms) if tape.sources.gated else 0
            for name, start, end in activation_runs(terms, 0):
                activation_slope(name, blocks[:, gates + start : gates + end], out=found[:, -1, start:end])
            if gates:
                gate, candidate, past = blocks[:, :gates], blocks[:, gates:], self.bypasses[source]
                torch.sub(gate.new_ones(()), gate, out=past)
                found[:, 1].mul_(gate)
                torch.sub(candidate, tape.state(source)[:, None], out=found[:, 0]).mul_(gate).mul_(past)
            for place, term in enumerate(terms):
                if term.scale != 1.0:
                    found[:, :, place].mul_(term.scale)
                    if gates:
                        self.bypasses[source][:, place].mul_(term.scale)
        for node, how in tape.sources.combine.items():
            if node in tape.sources.nodes:
                operands = [tape.operand(node, k) for k in (0, 1)]
                inside = (combined(operands[0], operands[1], how).abs() <= LIMIT).to(operands[0].dtype)
                for own, other in zip(tape.sources.nodes[node], reversed(operands), strict=True):
                    factor = inside if how == "add" else inside * other
                    for term in own:
                        self._blocks(term.source)[:, 0, tape.place(term)].mul_(factor)

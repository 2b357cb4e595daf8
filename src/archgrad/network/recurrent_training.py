"""Training of derived recurrent cells: a whole sequence as one autograd function, several times faster than its steps.

The loop of :func:`archgrad.network.recurrent_cells.step_by_step` stays the definition, and runs wherever somebody wants
to look into it: without gradients, in exports, under transforms, with batch norms, and for second derivatives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from archgrad.network.recurrent import SequenceNorm, masked
from archgrad.network.recurrent_cells import HighwayCell, Recurrence, TwoInputCell, step_by_step
from archgrad.network.recurrent_sources import ORDER, PREVIOUS, Block, Sources, sources_of
from archgrad.network.recurrent_steps import Tape, forward
from archgrad.network.recurrent_steps_back import backward, denormals_flushed

__all__ = ["over_time", "trains_fast"]

Network = TypeVar("Network", bound=nn.Module)
Cell = HighwayCell | TwoInputCell


def trains_fast(network: Network) -> Network:
    """Let the derived recurrent cells in a network be trained by :func:`over_time`, and return the network."""
    for module in network.modules():
        if isinstance(module, Recurrence):
            module.over_time = over_time
    return network


def over_time(
    cell: Cell, x: Tensor, hidden: Tensor, x_mask: Tensor | None, h_mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return what :func:`archgrad.network.recurrent_cells.step_by_step` returns, up to rounding; arguments as there."""
    names, parameters = zip(*cell.named_parameters(), strict=True)
    if not _fits(cell, (x, hidden, *parameters)):
        return step_by_step(cell, x, hidden, x_mask, h_mask)
    states, last = _OverTime.apply(cell, names, x, hidden, x_mask, h_mask, *parameters)  # type: ignore[no-untyped-call]
    return states, last


def _fits(cell: Cell, tensors: Sequence[Tensor]) -> bool:
    """Say whether gradients are wanted and nobody looks at the single steps."""
    first, sources = tensors[0], sources_of(cell)
    return (
        torch.is_grad_enabled()
        and any(tensor.requires_grad for tensor in tensors)
        and all((tensor.dtype, tensor.device) == (first.dtype, first.device) for tensor in tensors)
        and len(first) > 0
        and type(cell) in (HighwayCell, TwoInputCell)
        and not (cell._forward_hooks or cell._forward_pre_hooks or cell._backward_hooks or cell._backward_pre_hooks)
        and not any(isinstance(norm, SequenceNorm) for norm in cell.norms)
        and bool(sources.leaving())
        and all(term.activation in ORDER for term in sources.terms())
        and len({*sources.outputs}) == len(sources.outputs)
        and not torch.is_autocast_enabled(first.device.type)
        and not torch.compiler.is_compiling()
        and not torch._C._get_tracing_state()
        and not torch._C._are_functorch_transforms_active()
        and forward_ad._current_level < 0
    )


class _OverTime(torch.autograd.Function):
    """(cell, names, x, h_0, mask of x, mask of h, *parameters) -> h_1 to h_T [T, N, H], h_T."""

    @staticmethod
    def forward(
        ctx: Any,
        cell: Cell,
        names: Sequence[str],
        x: Tensor,
        hidden: Tensor,
        x_mask: Tensor | None,
        h_mask: Tensor | None,
        *parameters: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Return the states of all steps, and the last one."""
        made = _Made(cell, dict(zip(names, parameters, strict=True)), x.shape[2])
        entering = torch.bmm(made.entering.T.expand(len(x), -1, -1), masked(x, x_mask).mT)
        tape = forward(made.sources, entering, hidden.T, made.matrices, made.weights, _units_first(h_mask))
        ctx.cell, ctx.names, ctx.kept = cell, names, list(tape.tensors)
        ctx.save_for_backward(x, hidden, x_mask, h_mask, *parameters, *tape.tensors.values())
        ctx.set_materialize_grads(False)
        states = tape.tensors["states"]
        return states[1:].mT.contiguous(), states[-1].T.contiguous()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        """Return the gradients; under ``create_graph`` those of the loop, which can be differentiated again."""
        x, hidden, x_mask, h_mask, *rest = ctx.saved_tensors
        parameters, kept = rest[: len(ctx.names)], rest[len(ctx.names) :]
        needs = ctx.needs_input_grad[2:4], ctx.needs_input_grad[6:]
        if torch.is_grad_enabled():
            again = _of_the_loop(ctx, (x, hidden, *parameters), (x_mask, h_mask), gradients, [*needs[0], *needs[1]])
            return None, None, *again[:2], None, None, *again[2:]
        given = dict(zip(ctx.names, parameters, strict=True))
        asked = {name for name, need in zip(ctx.names, needs[1], strict=True) if need}
        made = _Made(ctx.cell, given, x.shape[2])
        sources, leaving = made.sources, made.blocks
        tape = Tape(sources, dict(zip(ctx.kept, kept, strict=True)))
        wanted = [source for source, blocks in leaving.items() if any(block.matrix in asked for block in blocks)]
        with denormals_flushed(x.device):
            found = backward(
                tape, made.matrices, made.weights, _units_first(h_mask), gradients, wanted, "gates" in asked
            )
        to_x = None
        of = {name: torch.zeros_like(given[name]) for source in wanted for name in made.names(source) if name in asked}
        for source in wanted:
            for block, gradient in zip(
                leaving[source], found.matrices[source].chunk(len(leaving[source])), strict=True
            ):
                if block.matrix in asked:
                    _columns(of[block.matrix], block, hidden.shape[1]).add_(gradient.T)
        if found.entering is not None:
            to_entering = found.entering.mT.flatten(0, 1)
            if needs[0][0]:
                to_x = masked((to_entering @ made.entering.T).view_as(x), x_mask)
            if (name := sources.entering) in asked:
                of.setdefault(name, torch.zeros_like(given[name]))
                of[name][: x.shape[2]] += masked(x, x_mask).flatten(0, 1).T @ to_entering
        if found.weights is not None:
            of["gates"] = (found.weights - found.weights @ made.weights) / given["gates"].sum()
        to_hidden = found.hidden.T if needs[0][1] and PREVIOUS in leaving else None
        return None, None, to_x, to_hidden, None, None, *(of.get(name) for name in ctx.names)


class _Made:
    """What is made of a cell's parameters for one pass.

    Args:
        cell: gives the form.
        given: its parameters by name.
        inputs: features of x_t.
    """

    def __init__(self, cell: Cell, given: Mapping[str, Tensor], inputs: int) -> None:
        self.sources: Sources = sources_of(cell)
        entering = given[self.sources.entering]
        width = entering.shape[1] // (2 if self.sources.gated else 1)
        self.blocks = {source: self.sources.blocks(terms) for source, terms in self.sources.leaving().items()}
        self.matrices = {
            source: torch.cat([_columns(given[block.matrix], block, width).T for block in blocks])
            for source, blocks in self.blocks.items()
        }
        self.entering = entering[:inputs]
        """W of x_t, [inputs, blocks * H]."""
        count, gates = len(self.sources.outputs), given.get("gates")
        self.weights = entering.new_full((count,), 1.0 / count) if gates is None else gates / gates.sum()
        """Of the outputs in h_t."""

    def names(self, source: int) -> set[str]:
        """Return the parameters that a source is multiplied by."""
        return {block.matrix for block in self.blocks[source]}


def _columns(matrix: Tensor, block: Block, width: int) -> Tensor:
    return matrix[block.row : block.row + width, block.column * width : (block.column + 1) * width]


def _units_first(mask: Tensor | None) -> Tensor | None:
    return None if mask is None else mask.T.contiguous()


def _of_the_loop(
    ctx: Any,
    tensors: Sequence[Tensor],
    masks: tuple[Tensor | None, Tensor | None],
    gradients: Sequence[Tensor | None],
    needs: Sequence[bool],
) -> list[Tensor | None]:
    """Return the gradients of x, h_0 and the parameters, where needed, so that they can be differentiated again."""
    # h_0 may itself hang on the parameters: views end the way to these here
    x, hidden, *parameters = [tensor.view_as(tensor) for tensor in tensors]
    own = dict(zip(ctx.names, parameters, strict=True))
    outputs = step_by_step(lambda *given: torch.func.functional_call(ctx.cell, own, given), x, hidden, *masks)
    asked = [(out, each) for out, each in zip(outputs, gradients, strict=True) if each is not None]
    wanted = [tensor for tensor, need in zip((x, hidden, *parameters), needs, strict=True) if need]
    outs, given = zip(*asked, strict=True)
    found = iter(torch.autograd.grad(outs, wanted, given, create_graph=True, allow_unused=True))
    return [next(found) if need else None for need in needs]

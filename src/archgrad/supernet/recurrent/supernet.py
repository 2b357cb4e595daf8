"""The recurrent supernet: a cell over time that holds the weights of every candidate; a function of input and mixings.

The layers are time steps, which share their weights. W_i belongs to the target node, or to one of its operands, and is
shared by its predecessors: the storage is one stack with a slice for each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import torch
from torch import Tensor, nn

from archgrad.choices.mixing import Mixing
from archgrad.errors import InputError, at_least_one, unknown
from archgrad.network.recurrent import (
    SequenceNorm,
    bounded,
    joined,
    masked,
    matrix,
    merged_input,
    variational_mask,
)
from archgrad.space.cells import Space
from archgrad.space.two_input_rnn import COMBINERS
from archgrad.supernet.image import EVALUATIONS, Mixings
from archgrad.supernet.recurrent.by_source import BySource
from archgrad.supernet.recurrent.nodes import nodes
from archgrad.supernet.recurrent.plan import make_recurrent_plan
from archgrad.supernet.recurrent.reference import Weights, highway_nodes, two_input_nodes
from archgrad.supernet.recurrent.rules import Highway, TwoInput
from archgrad.supernet.storage import Liveness

__all__ = ["MixedRecurrentCell", "RecurrentSupernet", "StepMixing"]

Layered = Mapping[str, Mixing]


class StepMixing:
    """A cell's mixing made ready for its time steps, in what form the evaluation takes it.

    Args:
        space: the cell and, for two-input cells, its combiners.
        kind: the cell kind.
        mixings: what this layer is given.
        stack: the matrices of every candidate, [slices, H, width].
    """

    def __init__(self, space: Space, kind: str, mixings: Layered, stack: Tensor) -> None:
        self.cell, self.mixing, self.stack = space.cells[kind], mixings[kind], stack
        # looked up, as both evaluations do: made once for every support; it refuses mixings of another shape
        self.plan = make_recurrent_plan(self.cell, self.mixing.support)
        if self.mixing.auxiliary is not None:
            raise InputError("An auxiliary skip (relaxation.skip) is for cells for images; leave it out.")
        combiner = self.cell.combiner
        self.omega = None if combiner is None else mixings[combiner]
        self.names = () if combiner is None else space.cells[combiner].operations
        if self.omega is not None and len(self.omega.support) != self.cell.nodes:
            raise InputError(f"{len(self.omega.support)} combiners were given for a cell of {self.cell.nodes} nodes.")

    @cached_property
    def slices(self) -> Sequence[Tensor]:
        """Of the reference: the matrices, one by one."""
        return self.stack.unbind(0)

    @cached_property
    def scalars(self) -> Weights:
        """Of the reference: the mixing's weights, [row][candidate]."""
        return [row.unbind(0) for row in self.mixing.weights.unbind(0)]

    @cached_property
    def combiners(self) -> list[Mapping[str, Tensor]]:
        """Of the reference: the weights of every node's combiners, by the names of those that run."""
        assert self.omega is not None
        return [
            {name: weight for name, weight, runs in zip(self.names, row.unbind(0), live, strict=True) if runs}
            for row, live in zip(self.omega.weights.unbind(0), self.omega.support, strict=True)
        ]

    @cached_property
    def by_source(self) -> BySource:
        """Of the fast evaluation: weights and matrices, source by source."""
        return BySource(self.cell, self.mixing, self.stack)

    @cached_property
    def combined(self) -> Tensor:
        """Of the fast evaluation: the weights of the combiners, [nodes, (add, multiply)], 0 where one does not run."""
        assert self.omega is not None
        runs = torch.tensor(self.omega.support, device=self.omega.weights.device)
        columns = dict(zip(self.names, self.omega.weights.masked_fill(~runs, 0.0).unbind(1), strict=True))
        nothing = self.omega.weights.new_zeros(self.cell.nodes)
        return torch.stack([columns.get(name, nothing) for name in COMBINERS], dim=1)


class MixedRecurrentCell(nn.Module):
    """The recurrent cell with the weights of every candidate.

    Args:
        space: its graph, candidates and combiners.
        kind: the cell kind.
        inputs: features of x_t.
        hidden: units H of every node.
        node_norm: a non-affine batch norm on every computed node, and on the merged input of ``darts-rnn``.
        spread: weights start uniform in +- this.
        evaluation: "reference" or "fast".
        young: computed nodes, counted from 0, that a gate keeps out of the output until they have grown up.
    """

    def __init__(
        self,
        space: Space,
        kind: str,
        inputs: int,
        hidden: int,
        node_norm: bool,
        spread: float,
        evaluation: str,
        young: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.cell, self.evaluation = space.cells[kind], evaluation
        self.two_inputs = bool(self.cell.operands)
        if self.two_inputs:
            self.enter_x = matrix(inputs, hidden, spread)
            self.enter_h = matrix(hidden, hidden, spread)
        else:
            self.enter = matrix(inputs + hidden, 2 * hidden, spread)
        slices, width = self.cell.nodes * max(1, len(self.cell.operands)), hidden if self.two_inputs else 2 * hidden
        self.weight = nn.Parameter(torch.empty(slices, hidden, width).uniform_(-spread, spread))
        learned = self.cell.output_combine == "learned"
        self.gates = nn.Parameter(torch.ones(self.cell.nodes)) if learned else None
        count = self.cell.nodes + (0 if self.two_inputs else 1)
        self.norms = nn.ModuleList(SequenceNorm(hidden) if node_norm else nn.Identity() for _ in range(count))
        self.elder = [node for node in range(self.cell.nodes) if node not in young]
        self.gate = nn.Parameter(torch.zeros(())) if young else None

    def forward(
        self,
        x: Tensor,
        hidden: Tensor,
        mixing: StepMixing,
        x_mask: Tensor | None = None,
        h_mask: Tensor | None = None,
    ) -> Tensor:
        """Return h_t [N, H]; exactly the mixing's support is run.

        Args:
            x: x_t, [N, inputs].
            hidden: h_{t-1}, [N, H].
            mixing: what this step is given.
            x_mask: dropout of the input.
            h_mask: dropout of every state before its matrix.
        """
        fast, norms = self.evaluation == "fast", list(self.norms)
        if self.two_inputs:
            entering = [masked(x, x_mask) @ self.enter_x, masked(hidden, h_mask) @ self.enter_h]
            if fast:
                states = nodes(TwoInput(), mixing.by_source, norms, h_mask, entering, mixing.combined)
            else:
                of = mixing.plan, mixing.slices, entering, mixing.scalars, mixing.combiners
                states = two_input_nodes(*of, norms, h_mask)
        else:
            both = torch.cat([masked(x, x_mask), masked(hidden, h_mask)], dim=-1)
            first: Tensor = norms[0](merged_input(hidden, both @ self.enter))
            if fast:
                states = nodes(Highway(), mixing.by_source, norms[1:], h_mask, [first])
            else:
                states = highway_nodes(mixing.plan, mixing.slices, first, mixing.scalars, norms[1:], h_mask)
        return bounded(self._output(states))

    def _output(self, nodes: list[Tensor]) -> Tensor:
        """Join the nodes; while some are young, (1 - g) of what the elder make and g of what all make."""
        how, gates = self.cell.output_combine, self.gates
        every = joined(nodes, how, gates)
        if self.gate is None:
            return every
        elder = joined([nodes[node] for node in self.elder], how, None if gates is None else gates[self.elder])
        return (1.0 - self.gate) * elder + self.gate * every


class RecurrentSupernet(nn.Module):
    """The recurrent cell that contains every candidate, run over time; it never owns the choices.

    Args:
        space: what may be found: ``darts-rnn`` or ``two-input-rnn``.
        inputs: features of x_t.
        hidden: units of every node (DARTS on the Penn Treebank: 300 in search).
        steps: time steps of a sequence at most; one layer each.
        evaluation: "reference", term by term as the papers write it; "fast", the same numbers sooner.
        node_norm: a non-affine batch norm per node (one norm in all in DARTS' code; one a node here, so that a new
            node leaves the statistics of the others alone).
        spread: weights start uniform in +- this; None for 1/sqrt(hidden) (DARTS' code: 0.04).
        dropout_input: variational dropout of x_t, in training (DARTS' code: 0.75).
        dropout_hidden: variational dropout of every state before its matrix, in training (DARTS' code: 0.25).
        young: computed nodes, counted from 0, that a gate keeps out of the output until they have grown up.

    Raises:
        InputError: a size is not positive, the space is no recurrent one, or an unknown evaluation.
    """

    def __init__(
        self,
        space: Space,
        *,
        inputs: int,
        hidden: int,
        steps: int,
        evaluation: str = "fast",
        node_norm: bool = True,
        spread: float | None = None,
        dropout_input: float = 0.0,
        dropout_hidden: float = 0.0,
        young: Sequence[int] = (),
    ) -> None:
        super().__init__()
        if evaluation not in EVALUATIONS:
            raise unknown("evaluation", evaluation, EVALUATIONS)
        if space.skeleton.form != "time":
            raise InputError(f"The space {space.name} holds no recurrent cell; take darts-rnn or two-input-rnn.")
        at_least_one("supernet", inputs=inputs, hidden=hidden, steps=steps)
        self.space, self.hidden, self.inputs = space, hidden, inputs
        self.dropout_input, self.dropout_hidden = dropout_input, dropout_hidden
        self.layers = space.skeleton.layers(steps, hidden)
        self.kind = self.layers[0].cell
        spread = hidden**-0.5 if spread is None else spread
        self.cell = MixedRecurrentCell(space, self.kind, inputs, hidden, node_norm, spread, evaluation, young)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The cell kind of every layer: of every time step."""
        return tuple(layer.cell for layer in self.layers)

    def forward(self, x: Tensor, mixings: Mixings, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run the cell over a sequence.

        Args:
            x: [T, N, inputs].
            mixings: cell kind -> mixing, or a list with one such mapping per time step, of which a shorter sequence
                takes the first.
            hidden: h_0, [N, H]; zeros when None.

        Returns:
            The states of all steps [T, N, H], and the last one [N, H].
        """
        state = x.new_zeros(x.shape[1], self.hidden) if hidden is None else hidden
        x_mask = variational_mask(x, self.inputs, self.dropout_input if self.training else 0.0)
        h_mask = variational_mask(x, self.hidden, self.dropout_hidden if self.training else 0.0)
        norms = [norm for norm in self.cell.norms if isinstance(norm, SequenceNorm)]
        for norm in norms:
            norm.begin()
        outputs = []
        ready: dict[int, StepMixing] = {}  # layers that share their mixings share what is made of them
        for step, given in zip(x.unbind(0), self._per_step(mixings, len(x)), strict=True):
            if id(given) not in ready:
                ready[id(given)] = StepMixing(self.space, self.kind, given, self.cell.weight)
            state = self.cell(step, state, ready[id(given)], x_mask, h_mask)
            outputs.append(state)
        for norm in norms:
            norm.finish()
        return torch.stack(outputs), state

    def _per_step(self, mixings: Mixings, steps: int) -> Sequence[Layered]:
        """Return the mixings of every step of a sequence after checking that none is missing."""
        if isinstance(mixings, Mapping):
            given: Sequence[Layered] = [mixings] * steps
        elif steps > len(mixings) or len(mixings) > len(self.layers):
            raise InputError(
                f"{len(mixings)} mixings were given for a sequence of {steps} steps in a supernet of "
                f"{len(self.layers)} layers."
            )
        else:
            given = mixings[:steps]
        for each in given:
            missing = self.space.cells.keys() - each.keys()
            if missing:
                raise InputError(f"No mixing was given for the cell kind '{min(missing)}'.")
        return given

    def live_slices(self, mixings: Mixings) -> Liveness:
        """Return, by parameter name, the slices that these mixings run at any step, if not all of them."""
        given = [mixings] if isinstance(mixings, Mapping) else list(mixings)
        supports = {each[self.kind].support for each in given}
        plans = [make_recurrent_plan(self.space.cells[self.kind], support) for support in supports]
        used = frozenset(group.slice for plan in plans for group in plan if group.terms)
        return {} if len(used) == self.cell.weight.shape[0] else {"cell.weight": used}

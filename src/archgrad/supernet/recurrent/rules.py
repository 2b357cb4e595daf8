"""The two kinds of recurrent cell for the fast evaluation: what a source gives its targets, what a node makes of it.

Each formula stands beside its derivative. Of a source that is read by m targets all tensors are [m, N, H], one for each
block of H columns of W. What is kept between forward and backward is what the forward has at hand anyway; the
activations are computed again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from archgrad.network.recurrent import ACTIVATIONS, LIMIT, bounded, combined
from archgrad.network.recurrent_steps import activation_slope

__all__ = ["Highway", "Rule", "Shares", "TwoInput", "activated", "mixed", "mixed_backward"]


@dataclass(frozen=True)
class Shares:
    """What the activations of one source weigh in its m targets.

    Args:
        table: p_k, [m, activations].
        operations: names of the activations.
        columns: the table's columns, [m, 1, 1] each.
        mass: their sum, [m, 1, 1].
    """

    table: Tensor
    operations: tuple[str, ...]
    columns: tuple[Tensor, ...]
    mass: Tensor

    @classmethod
    def of(cls, table: Tensor, operations: tuple[str, ...]) -> Shares:
        """Return the shares of a table."""
        return cls(table, operations, table[:, :, None, None].unbind(1), table.sum(dim=1)[:, None, None])


def activated(h: Tensor, shares: Shares) -> list[Tensor]:
    """Return f_k(h) of every activation, [m, N, H] each."""
    return [ACTIVATIONS[name](h) for name in shares.operations]


def mixed(values: Sequence[Tensor], shares: Shares) -> Tensor:
    """Return sum_k p_k f_k(h), [m, N, H], from the values f_k(h)."""
    total = shares.columns[0] * values[0]
    for share, value in zip(shares.columns[1:], values[1:], strict=True):
        total.addcmul_(share, value)
    return total


def mixed_backward(
    h: Tensor, gradient: Tensor, shares: Shares, of_shares: bool, values: Sequence[Tensor]
) -> tuple[Tensor, Tensor | None]:
    """Return the gradients of h, [m, N, H], and of the shares, [m, activations], if they are asked for.

    Args:
        h: [m, N, H].
        gradient: of the sum, [m, N, H].
        shares: p_k.
        of_shares: whether their gradient is wanted.
        values: f_k(h) of every activation.
    """
    slope: Tensor | None = None
    for share, name, value in zip(shares.columns, shares.operations, values, strict=True):
        if name == "identity":
            slope = share.expand_as(h).clone() if slope is None else slope.add_(share)
            continue
        derivative = activation_slope(name, value)
        slope = share * derivative if slope is None else slope.addcmul_(share, derivative)
    assert slope is not None
    found = [(gradient * value).sum(dim=(1, 2)) for value in values] if of_shares else []
    return slope.mul_(gradient), torch.stack(found, dim=1) if of_shares else None


class Rule(Protocol):
    """One kind of recurrent cell."""

    operands: int
    """Sums that a node has."""

    blocks: int
    """Blocks of H columns that a matrix has."""

    kept: int
    """Tensors that :meth:`given` keeps for its backward."""

    def given(self, state: Tensor, projected: Sequence[Tensor], shares: Shares) -> tuple[Tensor, Sequence[Tensor]]:
        """Return what a source adds to the sums of its targets, [m, N, H], and what the backward is to be told.

        Args:
            state: s, [N, H].
            projected: s W, [m, N, H] for every block of the matrix.
            shares: of its activations.
        """
        ...

    def given_backward(
        self, state: Tensor, kept: Sequence[Tensor], shares: Shares, gradient: Tensor, of_shares: bool
    ) -> tuple[Sequence[Tensor], Tensor | None, Tensor | None]:
        """Return the gradients of s W, of s without what comes through s W (None: nothing), and of the shares."""
        ...

    def node(self, sums: Sequence[Tensor], weights: Tensor | None) -> Tensor:
        """Return a node before its norm from its sums, [N, H] each, and the weights of its combiners."""
        ...

    def node_backward(
        self, sums: Sequence[Tensor], weights: Tensor | None, gradient: Tensor
    ) -> tuple[Sequence[Tensor], Tensor | None]:
        """Return the gradients of the sums and of the combiners' weights."""
        ...


class Highway:
    """``darts-rnn``: sum_k p_k [s + c (f_k(h) - s)] with [c, h] = s W, c before its sigmoid."""

    operands, blocks, kept = 1, 2, 3

    def given(self, state: Tensor, projected: Sequence[Tensor], shares: Shares) -> tuple[Tensor, Sequence[Tensor]]:
        """Return p s + c (sum_k p_k f_k(h) - p s), where p = sum_k p_k; kept are c, h and the difference.

        This is sum_k p_k :func:`~archgrad.network.recurrent.highway`, regrouped so that state and gate are taken once a
        target and not once an activation; tests hold it to the reference, which adds up ``highway`` itself.
        """
        gate, h = projected
        c, weighted = torch.sigmoid(gate), shares.mass * state
        difference = mixed(activated(h, shares), shares).sub_(weighted)
        return weighted.addcmul_(c, difference), (c, h, difference)

    def given_backward(
        self, state: Tensor, kept: Sequence[Tensor], shares: Shares, gradient: Tensor, of_shares: bool
    ) -> tuple[Sequence[Tensor], Tensor | None, Tensor | None]:
        """Return the gradients of s W, of s and of the shares."""
        c, h, difference = kept
        through = gradient * c  # to sum_k p_k f_k(h)
        past = gradient - through  # to p s
        to_gate = torch.addcmul(through, through, c, value=-1.0).mul_(difference)
        to_h, to_shares = mixed_backward(h, through, shares, of_shares, activated(h, shares))
        flat = past.flatten(1)
        if to_shares is not None:
            to_shares += torch.mv(flat, state.reshape(-1))[:, None]
        to_state = torch.mv(flat.t(), shares.mass.view(-1)).view_as(state)
        return (to_gate, to_h), to_state, to_shares

    def node(self, sums: Sequence[Tensor], weights: Tensor | None) -> Tensor:
        """Return the sum."""
        return sums[0]

    def node_backward(
        self, sums: Sequence[Tensor], weights: Tensor | None, gradient: Tensor
    ) -> tuple[Sequence[Tensor], Tensor | None]:
        """Return the gradient."""
        return (gradient,), None


class TwoInput:
    """``two-input-rnn``: sum_k p_k f_k(s W) into u or v, and a node from both."""

    operands, blocks, kept = 2, 1, 1

    def given(self, state: Tensor, projected: Sequence[Tensor], shares: Shares) -> tuple[Tensor, Sequence[Tensor]]:
        """Return sum_k p_k f_k(s W); kept is s W."""
        return mixed(activated(projected[0], shares), shares), projected

    def given_backward(
        self, state: Tensor, kept: Sequence[Tensor], shares: Shares, gradient: Tensor, of_shares: bool
    ) -> tuple[Sequence[Tensor], Tensor | None, Tensor | None]:
        """Return the gradients of s W and of the shares."""
        to_projected, to_shares = mixed_backward(kept[0], gradient, shares, of_shares, activated(kept[0], shares))
        return (to_projected,), None, to_shares

    def node(self, sums: Sequence[Tensor], weights: Tensor | None) -> Tensor:
        """Return omega_add (u + v) + omega_mul u v, cut off at +-LIMIT."""
        return bounded(_joined(sums, weights))

    def node_backward(
        self, sums: Sequence[Tensor], weights: Tensor | None, gradient: Tensor
    ) -> tuple[Sequence[Tensor], Tensor | None]:
        """Return the gradients of u and v, and of omega_add and omega_mul, [2]."""
        assert weights is not None
        (u, v), (add, multiply) = sums, weights.unbind(0)
        gradient = gradient * (_joined(sums, weights).abs() <= LIMIT)
        product = torch.stack([torch.dot(gradient.view(-1), (u + v).view(-1)), (gradient * u * v).sum()])
        return (gradient * (add + multiply * v), gradient * (add + multiply * u)), product


def _joined(sums: Sequence[Tensor], weights: Tensor | None) -> Tensor:
    """Return omega_add (u + v) + omega_mul (u * v); a combiner that does not run weighs 0."""
    assert weights is not None
    (u, v), (add, multiply) = sums, weights.unbind(0)
    return torch.addcmul(add * combined(u, v, "add"), multiply, combined(u, v, "multiply"))

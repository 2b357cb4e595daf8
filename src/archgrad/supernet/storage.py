"""The canonical storage: weights of all candidates of one kind that leave one node are stacked, one slice per edge.

Growth appends slices, a shrunken support selects them, inheritance copies them. Operations that cannot be stacked (a
user's own, by default) are kept as separate modules behind the same interface.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from archgrad.network.modules import STACKABLE, make_operation
from archgrad.space.cells import CellSpace

__all__ = ["Bank", "CellStorage", "Liveness", "SeparateBank", "StackedBank"]

Liveness = dict[str, frozenset[int]]
"""Parameter name -> which entries of its first dimension a step uses; a name that is missing is used as a whole, an
empty set says that the parameter is not used at all."""


class Bank(Protocol):
    """The weights of one operation on one source node, for all its slices."""

    def bind(self, used: Collection[int] | None = None) -> None:
        """Take this forward's views of the slices; called once before the first :meth:`run` of a forward.

        Args:
            used: the slices that will run; None: any of them.
        """

    def release(self) -> None:
        """Let go of the views after the forward: they would keep its weights' graph alive."""
        ...

    def run(self, index: int, x: Tensor) -> Tensor:
        """Return the operation's output on x [N, C, H, W] with the weights of one slice."""
        ...

    def live(self, used: frozenset[int]) -> Liveness:
        """Return what is unused when only these slices run, by the bank's own parameter names."""
        ...

    def slice_state(self, index: int) -> dict[str, Tensor]:
        """Return one slice as the state_dict of the plain operation."""
        ...


class StackedBank(nn.Module):
    """One operation whose parameters and buffers have a leading dimension: the slice.

    The tensors keep the operation's own names (``operation.1.weight`` is [slices, C, 1, k, k]). :meth:`run` lends the
    operation the views of one slice for the length of the call, so the same module serves every slice and gradients
    flow into the stack.

    Args:
        make: builds the plain operation; called once per slice, so each slice starts as a fresh module would.
        slices: number of slices.
    """

    def __init__(self, make: Callable[[], nn.Module], slices: int) -> None:
        super().__init__()
        modules = [make() for _ in range(slices)]
        self.operation = modules[0]
        self.slices = slices
        others = [dict(module.state_dict(keep_vars=True)) for module in modules]
        for name, store, key in _tensors(self.operation):
            stacked = torch.stack([other[name].detach() for other in others])
            store[key] = nn.Parameter(stacked) if isinstance(store[key], nn.Parameter) else stacked
        self._views: list[tuple[dict[str, Tensor | None], str, dict[int, Tensor]]] = []

    def bind(self, used: Collection[int] | None = None) -> None:
        """Take the views of slices: of several by one unbind per tensor, so the backward makes one stack per tensor."""
        self._views = []
        every = range(self.slices)
        for _, store, key in _tensors(self.operation):
            tensor = store[key]
            assert tensor is not None
            # a buffer is written in place, which autograd forbids on the views of unbind
            if tensor.requires_grad and (used is None or len(used) > 1):
                views = dict(zip(every, tensor.unbind(0), strict=True))
            else:
                views = {index: tensor[index] for index in (every if used is None else used)}
            self._views.append((store, key, views))

    def release(self) -> None:
        """Let go of the views."""
        self._views = []

    def run(self, index: int, x: Tensor) -> Tensor:
        """Return the operation's output on x with the weights of one slice."""
        stacks = [(store, key, store[key]) for store, key, _ in self._views]
        try:
            for store, key, views in self._views:
                store[key] = views[index]
            out: Tensor = self.operation(x)
            return out
        finally:
            for store, key, stack in stacks:
                store[key] = stack

    def live(self, used: frozenset[int]) -> Liveness:
        """Return the used slices of every parameter unless all of them are used."""
        if len(used) == self.slices:
            return {}
        return {name: used for name, _ in self.named_parameters()}

    def slice_state(self, index: int) -> dict[str, Tensor]:
        """Return one slice as the state_dict of the plain operation."""
        return {name: tensor[index].detach() for name, tensor in self.operation.state_dict().items()}


class SeparateBank(nn.Module):
    """The same interface over separate modules, for operations whose tensors cannot be stacked.

    Args:
        make: builds the plain operation.
        slices: number of modules.
    """

    def __init__(self, make: Callable[[], nn.Module], slices: int) -> None:
        super().__init__()
        self.operations = nn.ModuleList(make() for _ in range(slices))

    def bind(self, used: Collection[int] | None = None) -> None:
        """Nothing to prepare."""

    def release(self) -> None:
        """Nothing to let go of."""

    def run(self, index: int, x: Tensor) -> Tensor:
        """Return the output of one of the modules on x."""
        out: Tensor = self.operations[index](x)
        return out

    def live(self, used: frozenset[int]) -> Liveness:
        """Return the empty set for every parameter of a module that is not used."""
        unused = [index for index in range(len(self.operations)) if index not in used]
        return {
            f"operations.{index}.{name}": frozenset()
            for index in unused
            for name, _ in self.operations[index].named_parameters()
        }

    def slice_state(self, index: int) -> dict[str, Tensor]:
        """Return the state_dict of one of the modules."""
        return {name: tensor.detach() for name, tensor in self.operations[index].state_dict().items()}


class CellStorage(nn.ModuleDict):
    """All banks of one cell, under the key ``"<source>_<operation>"``.

    Args:
        cell: the cell's graph and candidates.
        channels: channels of every node.
        reduction: edges from input nodes have stride 2.
        share_features: one slice per (source, operation) instead of one per edge.
    """

    def __init__(self, cell: CellSpace, channels: int, reduction: bool, share_features: bool = False) -> None:
        super().__init__()
        for source in range(cell.inputs + cell.nodes - 1):
            stride = 2 if reduction and source < cell.inputs else 1
            for name in cell.operations:
                if name == "none":
                    continue
                bank = StackedBank if name in STACKABLE else SeparateBank

                def make(name: str = name, stride: int = stride) -> nn.Module:
                    return make_operation(name, channels, stride, affine=False, pool_norm=cell.pool_norm)

                self[f"{source}_{name}"] = bank(make, 1 if share_features else cell.slots(source))

    def bank(self, source: int, operation: str) -> Bank:
        """Return the bank of one operation on one source node."""
        bank: Bank = self[f"{source}_{operation}"]  # type: ignore[assignment]
        return bank

    @contextmanager
    def bound(self, features: Iterable[tuple[int, str, int]]) -> Iterator[None]:
        """Within it the banks of some features are ready to run them: one forward.

        Args:
            features: (source, operation, slice) of everything that will run.
        """
        used: dict[tuple[int, str], set[int]] = {}
        for source, operation, index in features:
            used.setdefault((source, operation), set()).add(index)
        banks = [(self.bank(*place), slices) for place, slices in used.items()]
        for bank, slices in banks:
            bank.bind(slices)
        try:
            yield
        finally:
            for bank, _ in banks:
                bank.release()


def _tensors(module: nn.Module) -> list[tuple[str, dict[str, Tensor | None], str]]:
    """List a module's tensors as (name in its state_dict, the dictionary that holds it, its key there)."""
    found: list[tuple[str, dict[str, Tensor | None], str]] = []
    for prefix, child in module.named_modules():
        stores: tuple[Any, ...] = (child._parameters, child._buffers)
        for store in stores:
            found += [
                (f"{prefix}.{key}" if prefix else key, store, key) for key, value in store.items() if value is not None
            ]
    return found

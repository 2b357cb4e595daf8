"""SearchState: everything mutable of a search. A checkpoint is this and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from archgrad.choices import Choices, Progress, Relaxation
from archgrad.engine.derivations.derive import Derivation
from archgrad.engine.growing.extension import Growing, rebuild
from archgrad.engine.growing.growth import Growth
from archgrad.engine.hypergradient import Hypergradient, Level
from archgrad.engine.penalties.penalty import Penalty
from archgrad.engine.perturbation import Perturbation
from archgrad.engine.schedules.schedule import Schedule
from archgrad.engine.sums import Sums
from archgrad.optimisers import load_named_state, named_state
from archgrad.processes import Processes
from archgrad.runs.settings import ChoiceSettings, WeightSettings
from archgrad.space.cells import Space
from archgrad.space.form import Form
from archgrad.supernet.image import Mixings
from archgrad.supernet.layout import Layout, Seat
from archgrad.supernet.storage import Liveness

__all__ = ["LEVEL_PARTS", "Batch", "Blueprint", "DataLike", "Parts", "SearchState", "Supernet", "TaskLike"]

Batch = tuple[Tensor, Tensor]

LEVEL_PARTS: dict[Level, str] = {"train": "weights", "validation": "choices"}
"""The part of the data whose stream each level's batches come from."""


class Supernet(Protocol):
    """What the engine asks of a supernet; it is also an ``nn.Module``."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The cell kind of every layer."""
        ...

    def live_slices(self, mixings: Mixings) -> Liveness:
        """Return the slices that these mixings run, for parameters not wholly used."""
        ...


class TaskLike(Protocol):
    """What the engine asks of a task."""

    def loss(self, output: Any, target: Tensor) -> Tensor:
        """Return the mean loss of a batch, a scalar."""
        ...

    def evaluate(self, network: Any, batches: Any) -> dict[str, float]:
        """Return the metrics of ``network(inputs)`` over batches, the loss among them."""
        ...


class DataLike(Protocol):
    """What the engine asks of the data."""

    def steps(self, part: str) -> int:
        """Return the number of batches of one epoch of a part's stream."""
        ...

    def stream(self, part: str, start: int = 0) -> Iterator[Batch]:
        """Return the endless stream of a part's batches from a position on."""
        ...

    def once(self, part: str) -> Iterator[Batch]:
        """Return one pass over a part, in order, as it is."""
        ...


@dataclass(frozen=True)
class Blueprint:
    """What a growing search needs to build a supernet anew.

    Args:
        first: the form that it starts with.
        space: as the settings describe it, at its full size.
        build: (form, seed) -> supernet and tables, fresh.
    """

    first: Form
    space: Space
    build: Callable[[Form, int], tuple[nn.Module, Choices]]


@dataclass(frozen=True)
class Parts:
    """The composition: what does not change during a search. One sentence, one field per noun.

    The space is that of the moment where the search grows; then ``blueprint`` says how its supernet is built anew. A
    search without an end has a ``clock`` in place of its epochs.
    """

    space: Space
    relaxation: Relaxation
    layout: Layout
    schedule: Schedule
    hypergradient: Hypergradient
    penalties: Mapping[str, Penalty]
    derivation: Derivation
    task: TaskLike
    data: DataLike
    weights: WeightSettings
    choices: ChoiceSettings
    epochs: int
    seed: int = 0
    precision: str = "fp32"
    processes: Processes = field(default_factory=Processes)
    growth: Growth | None = None
    blueprint: Blueprint | None = None
    clock: Callable[[SearchState], Progress] | None = None
    perturbation: Perturbation | None = None


class SearchState:
    """Everything that a search changes.

    Args:
        parts: the composition.
        supernet: the network of all candidates, on its device.
        choices: the tables, on the same device.

    Attributes:
        hidden: of every stream of text the state behind its last batch, [streams of all processes, ...], by part of the
            data; empty for data without one, and where a text begins.
    """

    def __init__(self, parts: Parts, supernet: nn.Module, choices: Choices) -> None:
        self.parts, self.supernet, self.choices = parts, supernet, choices
        self.growing = None if parts.blueprint is None else Growing(parts.blueprint.first)
        self.make_optimizers()
        self.generator = torch.Generator().manual_seed(parts.seed)
        self.epoch = 0
        self.step = 0
        self.positions = {"weights": 0, "choices": 0}
        self.hidden: dict[str, Tensor] = {}
        self.history: list[dict[str, Any]] = []
        self.sums = Sums()

    def make_optimizers(self) -> None:
        """Make fresh optimisers of what there is to learn."""
        weights, choice = self.parts.weights, self.parts.choices
        self.weight_optimizer: torch.optim.Optimizer = torch.optim.SGD(
            self.supernet.parameters(), weights.rate, momentum=weights.momentum, weight_decay=weights.decay
        )
        self.choice_optimizer: torch.optim.Optimizer = torch.optim.Adam(
            self.choices.parameters(), choice.rate, betas=(choice.beta1, choice.beta2), weight_decay=choice.decay
        )

    @property
    def steps_per_epoch(self) -> int:
        """Updates in one epoch: one pass over the weights' part of the data."""
        return self.parts.data.steps("weights")

    @property
    def seats(self) -> tuple[Seat, ...]:
        """The seat of every layer."""
        return self.parts.layout(self.supernet.kinds)  # type: ignore[arg-type]

    @property
    def progress(self) -> Progress:
        """Both clocks, as they stand at the next update; of a search without an end those of its parts."""
        if self.parts.clock is not None:
            return self.parts.clock(self)
        total = max(1, self.parts.epochs * self.steps_per_epoch)
        epoch = min(self.step // max(1, self.steps_per_epoch), self.parts.epochs - 1)
        return Progress(elapsed=self.step / total, epoch=(epoch + 1) / self.parts.epochs)

    def progress_after(self, epoch: int) -> Progress:
        """Return both clocks as they stand when so many epochs are done: what an epoch is judged by."""
        if self.parts.clock is not None:
            return self.parts.clock(self)
        return Progress(elapsed=epoch / self.parts.epochs, epoch=epoch / self.parts.epochs)

    @property
    def weights(self) -> dict[str, Tensor]:
        """The supernet's trainable weights by name."""
        return dict(self.supernet.named_parameters())

    def state_dict(self) -> dict[str, Any]:
        """Return the state as a tree of tensors and plain data."""
        return {
            "supernet": dict(self.supernet.state_dict()),
            "choices": dict(self.choices.state_dict()),
            "weight_optimizer": named_state(self.weight_optimizer, self.weights),
            "choice_optimizer": named_state(self.choice_optimizer, dict(self.choices.named_parameters())),
            "schedule": self.parts.schedule.state_dict(),
            "penalties": {name: penalty.state_dict() for name, penalty in self.parts.penalties.items()},
            "generators": {"search": self.generator.get_state(), "global": torch.get_rng_state()},
            "epoch": self.epoch,
            "step": self.step,
            "positions": dict(self.positions),
            "hidden": dict(self.hidden),
            "history": list(self.history),
            "sums": self.sums.state_dict(),
            "growing": None if self.growing is None else self.growing.state_dict(),
        }

    def load_state_dict(self, tree: Mapping[str, Any]) -> None:
        """Take up a tree that :meth:`state_dict` returned."""
        if self.growing is not None:
            rebuild(self, tree["growing"]["form"])
            self.growing.load_state_dict(tree["growing"])
        self.supernet.load_state_dict(tree["supernet"])
        self.choices.load_state_dict(tree["choices"])
        self.make_optimizers()  # tables that grew have more to learn than those they were built with
        load_named_state(self.weight_optimizer, self.weights, tree["weight_optimizer"])
        load_named_state(self.choice_optimizer, dict(self.choices.named_parameters()), tree["choice_optimizer"])
        self.parts.schedule.load_state_dict(tree["schedule"])
        for name, penalty in self.parts.penalties.items():
            penalty.load_state_dict(tree["penalties"][name])
        self.generator.set_state(tree["generators"]["search"])
        torch.set_rng_state(tree["generators"]["global"])
        self.epoch, self.step = tree["epoch"], tree["step"]
        self.positions = dict(tree["positions"])
        device = next(iter(self.weights.values())).device
        self.hidden = {part: state.to(device) for part, state in tree["hidden"].items()}
        self.history = list(tree["history"])
        self.sums.load_state_dict(tree["sums"])

"""Searches of milliseconds a step: made-up images, a noisy relaxation, a penalty, a supernet without batch norm."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from archgrad.choices import Choices, ChoiceTable, Mixing, Progress, Relaxation, Softmax
from archgrad.choices.mixing import support_of
from archgrad.choices.softmax import softmax_weights
from archgrad.choices.table import as_table
from archgrad.engine.derivations.derive import Derivation, TopEdges
from archgrad.engine.hypergradient import FirstOrder, Hypergradient
from archgrad.engine.penalties.penalty import Penalty, View
from archgrad.engine.perturbation import Perturbation
from archgrad.engine.schedules.schedule import Always, Schedule
from archgrad.engine.state import Batch, Parts, SearchState
from archgrad.engine.update import Streams, Update
from archgrad.runs.settings import ChoiceSettings, WeightSettings
from archgrad.space.cells import CellSpace, Space
from archgrad.space.darts import DartsSpace
from archgrad.space.skeleton import Layer, Skeleton
from archgrad.supernet import AllEngines, ImageSupernet, Layout
from archgrad.supernet.image import Mixings
from archgrad.supernet.storage import Liveness

CLASSES = 3


class ToyData:
    """Images of three kinds of brightness; batch i of a part is a function of part and i alone."""

    def __init__(self, steps: int = 2, batch: int = 4, side: int = 8, dtype: torch.dtype = torch.float32) -> None:
        self.count, self.batch, self.side, self.dtype = steps, batch, side, dtype

    def item(self, part: str, index: int) -> Batch:
        generator = torch.Generator().manual_seed(97 * index + len(part))
        targets = torch.randint(CLASSES, (self.batch,), generator=generator)
        noise = torch.rand(self.batch, 2, self.side, self.side, generator=generator, dtype=self.dtype)
        return (0.5 * noise + 0.2 * targets.view(-1, 1, 1, 1)).to(self.dtype), targets

    def steps(self, part: str) -> int:
        return self.count

    def stream(self, part: str, start: int = 0) -> Iterator[Batch]:
        while True:
            yield self.item(part, start)
            start += 1

    def once(self, part: str) -> Iterator[Batch]:
        yield from (self.item(part, 1000 + index) for index in range(2))


class ToyTask:
    """Cross entropy and accuracy."""

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(output, target)

    def evaluate(self, network: Callable[[Tensor], Tensor], batches: Iterable[Batch]) -> dict[str, float]:
        pairs = [(network(x), y) for x, y in batches]
        output, target = torch.cat([o for o, _ in pairs]), torch.cat([y for _, y in pairs])
        return {
            "loss": float(F.cross_entropy(output, target)),
            "accuracy": float((output.argmax(1) == target).float().mean()),
        }


class NoisySoftmax(Softmax):
    """A softmax of logits and noise: the simplest relaxation with something random about it."""

    def noise(self, table: ChoiceTable, generator: torch.Generator) -> Tensor | None:
        return torch.randn(table.logits.shape, generator=generator).to(table.logits)

    def __call__(self, table: ChoiceTable | Tensor, progress: Progress, noise: Tensor | None = None) -> Mixing:
        table = as_table(table)
        logits = table.logits if noise is None else table.logits + noise
        return Mixing(softmax_weights(logits, table.alive), support_of(table.alive))


class SquaredLogits(Penalty):
    """Half the sum of squared logits; counts what it is told."""

    def __init__(self, on: Literal["choices", "both"], strength: float = 1.0) -> None:
        self.acts_on, self.strength = on, strength
        self.views: list[View] = []
        self.after: list[list[Tensor]] = []

    @property
    def on(self) -> Literal["choices", "both"]:
        return self.acts_on

    def __call__(self, view: View) -> Tensor:
        self.views.append(view)
        squares = [(table.logits**2).sum() for _, table in view.choices.items()]
        return self.strength / 2 * torch.stack(squares).sum()

    def after_choice_step(self, view: View) -> None:
        self.after.append([table.logits.detach().clone() for _, table in view.choices.items()])

    def state_dict(self) -> dict[str, Any]:
        return {"calls": len(self.after)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.after = [[] for _ in range(state["calls"])]


class LinearSupernet(nn.Module):
    """One cell of two functions of a linear map and no batch norm, so a batch is the sum of its examples."""

    kinds = ("normal",)
    layers = (Layer("normal", 1, False),)

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Linear(2 * 8 * 8, 5)
        self.classifier = nn.Linear(5, CLASSES)

    def forward(self, x: Tensor, mixings: Mixings) -> Tensor:
        mixing = (mixings if isinstance(mixings, Mapping) else mixings[0])["normal"]
        h = self.features(x.flatten(1))
        out: Tensor = self.classifier(mixing.weights[0, 0] * torch.tanh(h) + mixing.weights[0, 1] * torch.sin(h))
        return out

    def live_slices(self, mixings: Mixings) -> Liveness:
        return {}


LINEAR_SPACE = Space("toy", {"normal": CellSpace(1, 1, ("tanh", "sine"))}, Skeleton())


def toy_state(
    *,
    cells: int = 1,
    nodes: int = 1,
    linear: bool = False,
    dtype: torch.dtype = torch.float32,
    relaxation: Relaxation | None = None,
    layout: Layout | None = None,
    schedule: Schedule | None = None,
    hypergradient: Hypergradient | None = None,
    derivation: Derivation | None = None,
    evaluation: str = "fast",
    penalties: Mapping[str, Penalty] | None = None,
    data: ToyData | None = None,
    drop_path: float = 0.0,
    epochs: int = 2,
    seed: int = 0,
    weights: Mapping[str, Any] | None = None,
    choices: Mapping[str, Any] | None = None,
    perturbation: Perturbation | None = None,
) -> SearchState:
    """Return a search at its beginning."""
    torch.manual_seed(seed)
    relaxation = relaxation or Softmax(deviation=0.5)
    supernet: nn.Module
    if linear:
        space, supernet = LINEAR_SPACE, LinearSupernet()
    else:
        space = DartsSpace(nodes=nodes)()
        supernet = ImageSupernet(
            space,
            cells=cells,
            channels=2,
            in_channels=2,
            classes=CLASSES,
            drop_path=drop_path,
            evaluation=evaluation,
        )
    tables = Choices(space, relaxation, torch.Generator().manual_seed(seed))
    parts = Parts(
        space=space,
        relaxation=relaxation,
        layout=layout or AllEngines(),
        schedule=schedule or Always(),
        hypergradient=hypergradient or FirstOrder(),
        penalties=penalties or {},
        derivation=derivation or TopEdges(),
        task=ToyTask(),
        data=data or ToyData(dtype=dtype),
        weights=WeightSettings(**(weights or {})),
        choices=ChoiceSettings(**(choices or {})),
        epochs=epochs,
        seed=seed,
        perturbation=perturbation,
    )
    return SearchState(parts, supernet.to(dtype), tables.to(dtype))


def next_update(state: SearchState) -> Update:
    """Return the primitives of the next update, its validation batch fetched."""
    update = Update(state, Streams(state))
    update.batches["validation"] = update.streams.next("choices")
    return update

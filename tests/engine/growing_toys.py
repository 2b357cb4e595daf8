"""Small searches that can grow: images and waves, with trained-looking weights, statistics and optimiser memory."""

from __future__ import annotations

from typing import Any

import torch
from tests.engine.test_recurrent_search import SquaredError, Waves
from tests.engine.toys import CLASSES, ToyData, ToyTask
from torch import Tensor, nn

from archgrad import space
from archgrad.choices import Choices, Relaxation, Softmax
from archgrad.engine.derivations.derive import TopEdges, expected_mixings, project
from archgrad.engine.growing.growth import Growth
from archgrad.engine.hypergradient import FirstOrder
from archgrad.engine.mixings import layer_mixings, transit_mixings
from archgrad.engine.schedules.schedule import Always
from archgrad.engine.state import Blueprint, Parts, SearchState
from archgrad.network.heads import ForecastEnds
from archgrad.runs.settings import ChoiceSettings, WeightSettings
from archgrad.space.form import Form
from archgrad.supernet import AllEngines, ImageSupernet
from archgrad.supernet.image import MixedCell, frozen_statistics
from archgrad.supernet.recurrent.forecast import ForecastSupernet
from archgrad.supernet.recurrent.supernet import MixedRecurrentCell, RecurrentSupernet

NONE_AND_FOUR = ("none", "max_pool_3x3", "skip_connect", "sep_conv_3x3")


def growing_search(
    name: str = "darts",
    *,
    growth: Growth | None = None,
    evaluation: str = "fast",
    relaxation: Relaxation | None = None,
    dtype: torch.dtype = torch.float32,
    layout: Any = None,
    schedule: Any = None,
    derivation: Any = None,
    penalties: Any = None,
    options: Any = None,
    share: bool = False,
    cells: int = 5,
    hidden: int = 4,
    epochs: int = 4,
) -> SearchState:
    """Return a growing search at its beginning; ``options`` are the space's."""
    relaxation = relaxation or Softmax(deviation=0.5)
    growth = growth or Growth(start=2, limit=4)
    images = name == "darts"
    given = {"operations": NONE_AND_FOUR, "nodes": growth.start} if images else {"nodes": growth.start}
    full = space.get(name, **(given | (options or {})))
    layers = full.skeleton.layers(cells, 2) if images else ()

    def build(form: Form, seed: int) -> tuple[nn.Module, Choices]:
        tables = Choices(form.space, relaxation, torch.Generator().manual_seed(seed))
        norm = relaxation.needs_node_norm
        if images:
            return ImageSupernet(
                form.space,
                cells=cells,
                channels=2,
                in_channels=2,
                classes=CLASSES,
                evaluation=evaluation,
                steady=True,
                node_norm=norm,
                share_features=share,
                layers=form.layers,
                young=form.young_layers,
            ), tables
        core = RecurrentSupernet(
            form.space, inputs=2, hidden=form.width, steps=5, evaluation=evaluation, young=form.young_nodes
        )
        return ForecastSupernet(core, ForecastEnds(2, form.width, 2, [0])), tables

    torch.manual_seed(0)
    first = Form(full, layers, 0 if images else hidden)
    supernet, tables = build(first, 0)
    parts = Parts(
        space=full,
        relaxation=relaxation,
        layout=layout or AllEngines(),
        schedule=schedule or Always(),
        hypergradient=FirstOrder(),
        penalties=penalties or {},
        derivation=derivation or TopEdges(k=2 if images else 1),
        task=ToyTask() if images else SquaredError(),
        data=ToyData(dtype=dtype) if images else Waves(dtype),
        weights=WeightSettings(rate=0.05, clip=None),
        choices=ChoiceSettings(rate=0.02),
        epochs=epochs,
        growth=growth,
        blueprint=Blueprint(first, full, build),
    )
    return SearchState(parts, supernet.to(dtype), tables.to(dtype))


def scramble(state: SearchState, seed: int = 1) -> None:
    """Give a search random weights, statistics and choices, as if it had been trained."""
    generator = torch.Generator().manual_seed(seed)

    def like(tensor: Tensor) -> Tensor:
        return torch.randn(tensor.shape, generator=generator, dtype=torch.float64).to(tensor)

    with torch.no_grad():
        for name, tensor in state.supernet.state_dict().items():
            if name.endswith("running_var"):
                tensor.copy_(like(tensor).abs() + 0.5)
            elif name.endswith("running_mean"):
                tensor.copy_(0.3 * like(tensor))
            elif tensor.is_floating_point() and not name.endswith((".mean", ".std")):
                tensor.copy_(tensor + 0.1 * like(tensor))
        for _, table in state.choices.items():
            table.logits.add_(0.3 * like(table.logits).abs())


def batch_of(state: SearchState) -> Tensor:
    """Return inputs that differ much from each other: batch norm blows up the rounding errors of those that do not."""
    like = next(state.parts.data.stream("weights"))[0]
    return torch.rand(like.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64).to(like) * 4 - 1


def mixings_now(state: SearchState, noise: Any = None) -> Any:
    """Return what every layer is given now, without noise or with the given one."""
    parts, progress = state.parts, state.progress
    expected = expected_mixings(state.choices, parts.relaxation, progress)
    derived = transit_mixings(expected, project(expected, parts.derivation, parts.space))
    noise = noise or [dict.fromkeys(dict(state.choices.items()))]
    return layer_mixings(state.choices, parts.relaxation, progress, noise, state.seats, derived)


def output_of(state: SearchState, training: bool = False, evaluation: str = "fast", gradients: bool = False) -> Tensor:
    """Return what the supernet gives out now; in training mode by the batch, statistics left alone."""
    supernet = state.supernet.train(training)
    for module in supernet.modules():
        if isinstance(module, MixedCell):
            module.fast = evaluation == "fast"
        elif isinstance(module, MixedRecurrentCell):
            module.evaluation = evaluation
    with frozen_statistics(supernet), torch.set_grad_enabled(gradients):
        out: Tensor = supernet(batch_of(state), mixings_now(state))
    return out

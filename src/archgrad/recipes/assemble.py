"""From a configuration to a search that is ready to run: the one place where all parts meet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from archgrad.choices import Choices, Relaxation
from archgrad.engine.growing.growth import Growth
from archgrad.engine.state import Blueprint, Parts, SearchState, TaskLike
from archgrad.network.build import fitting_stem
from archgrad.processes import Processes
from archgrad.recipes.compatible import check_compatible
from archgrad.recipes.forecasting import make_forecaster
from archgrad.recipes.forms import check_steps, first_form, full_space
from archgrad.recipes.language import make_language_model
from archgrad.runs.config import SearchConfig
from archgrad.runs.parts import build_part
from archgrad.space.cells import Space
from archgrad.space.form import Form
from archgrad.supernet.image import ImageSupernet
from archgrad.tasks.data import Data, find_device, open_data
from archgrad.tasks.forecasting import ForecastTask
from archgrad.tasks.image import ImageTask, Measure
from archgrad.tasks.language import LanguageTask
from archgrad.tasks.online_series import OnlineSeries
from archgrad.tasks.text_streams import TextData
from archgrad.tasks.windows import SeriesData

__all__ = ["Assembled", "describe", "make_choices", "make_supernet"]


class Assembled:
    """A search that is ready: its state, and the data behind it.

    Args:
        config: the whole configuration.
        own_data: the user's own data in place of a SPEC.
        loss: in place of the task's.
        metrics: in place of the task's.
        processes: which of how many processes this is.

    Raises:
        InputError: data, device or a part's option is wrong, or parts do not fit together.
    """

    def __init__(
        self,
        config: SearchConfig,
        *,
        own_data: object | None = None,
        loss: Measure | None = None,
        metrics: Mapping[str, Measure] | None = None,
        processes: Processes | None = None,
    ) -> None:
        check_compatible(config)
        processes = processes or Processes()
        device = find_device(config.device)
        schedule = build_part("schedule", config.schedule.spec())
        self.data: Data = (
            own_data
            if isinstance(own_data, OnlineSeries)
            else open_data(
                config.data.spec if own_data is None else own_data,
                seed=config.seed,
                batch=config.data.batch,
                choice_share=schedule.choice_share,
                device=device,
                rank=processes.rank,
                world=processes.world,
                options=config.data.options(),
            )
        )
        growth: Growth | None = None if config.growth is None else build_part("growth", config.growth.spec())
        form = first_form(config, growth)
        space, relaxation, choices = make_choices(config, form)
        self.task: TaskLike
        if isinstance(self.data, SeriesData):
            std = [self.data.std[target] for target in self.data.targets]
            self.task = ForecastTask(std, loss=loss, metrics=metrics)
            series = self.data

            def supernet(form: Form) -> nn.Module:
                return make_forecaster(config, form, series)

        elif isinstance(self.data, TextData):
            twice = config.hypergradient.options.get("method") == "autograd"
            self.task = LanguageTask(loss=loss, metrics=metrics, twice=twice)
            text = self.data

            def supernet(form: Form) -> nn.Module:
                return make_language_model(config, form, text)

        else:
            self.task = ImageTask.of(self.data, loss=loss, metrics=metrics)
            images = self.data

            def supernet(form: Form) -> nn.Module:
                return make_supernet(
                    config,
                    form,
                    in_channels=images.input_shape[0],
                    classes=len(images.classes),
                    mean=images.mean,
                    std=images.std,
                    stem=fitting_stem(config.supernet.stem, images.input_shape),
                )

        if growth is not None:
            check_steps(growth, form, full_space(config))
        parts = Parts(
            space=space,
            relaxation=relaxation,
            layout=build_part("layout", config.layout.spec()),
            schedule=schedule,
            hypergradient=build_part("hypergradient", config.hypergradient.spec()),
            penalties={
                name: build_part("penalty", spec.spec(), f"penalties.{name}") for name, spec in config.penalties.items()
            },
            derivation=build_part("derivation", config.derivation.spec()),
            perturbation=build_part("perturbation", config.perturbation.spec()) if config.perturbation else None,
            task=self.task,
            data=self.data,
            weights=config.weights,
            choices=config.choices,
            epochs=config.epochs,
            seed=config.seed,
            precision="fp32" if config.precision == "auto" else config.precision,
            processes=processes,
            growth=growth,
            blueprint=None if growth is None else _blueprint(form, full_space(config), relaxation, supernet),
        )
        torch.manual_seed(config.seed)
        self.state = SearchState(parts, supernet(form).to(device), choices.to(device))


def _blueprint(form: Form, space: Space, relaxation: Relaxation, supernet: Callable[[Form], nn.Module]) -> Blueprint:
    """Return how a search that grows builds its supernet anew."""

    def build(form: Form, seed: int) -> tuple[nn.Module, Choices]:
        return supernet(form), Choices(form.space, relaxation, torch.Generator().manual_seed(seed))

    return Blueprint(form, space, build)


def make_choices(config: SearchConfig, form: Form | None = None) -> tuple[Space, Relaxation, Choices]:
    """Build space, relaxation and the tables in their initial state; enough to derive from a checkpoint.

    Args:
        config: the whole configuration.
        form: of a search that has grown; the one that a search begins with if None.
    """
    relaxation: Relaxation = build_part("relaxation", config.relaxation.spec())
    space = (form or first_form(config)).space
    generator = torch.Generator().manual_seed(config.seed)
    return space, relaxation, Choices(space, relaxation, generator)


def make_supernet(
    config: SearchConfig,
    form: Form,
    *,
    in_channels: int,
    classes: int,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    stem: str = "plain",
) -> ImageSupernet:
    """Build the supernet of a configuration; enough to take up the weights of a checkpoint, which hold the statistics.

    Args:
        config: the whole configuration.
        form: the cells and the layers.
        in_channels: channels of the images.
        classes: number of classes.
        mean: per channel, of images in [0, 1].
        std: per channel.
        stem: its name, as :func:`archgrad.network.build.fitting_stem` finds it.
    """
    return ImageSupernet(
        form.space,
        cells=config.supernet.cells,
        channels=config.supernet.channels,
        in_channels=in_channels,
        classes=classes,
        evaluation=config.supernet.evaluation,
        share_features=config.supernet.share_features,
        node_norm=form.space.network["node_norm"],
        drop_path=config.supernet.drop_path,
        partial=config.supernet.partial,
        steady=config.growth is not None,
        mean=mean,
        std=std,
        stem=stem,
        layers=form.layers,
        young=form.young_layers,
    )


def describe(config: SearchConfig) -> dict[str, Any]:
    """Return what an architecture says about where it came from."""
    return {"recipe": config.recipe, "seed": config.seed, "version": config.version}

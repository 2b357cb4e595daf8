"""What a training of cells for images works on: its data, and the network that it starts from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import torch
from torch import nn

from archgrad.api.from_python import ask_again
from archgrad.api.train_origin import Origin
from archgrad.architecture import Architecture
from archgrad.errors import InputError
from archgrad.network.build import blueprint, fitting_stem
from archgrad.network.image import ImageNetwork
from archgrad.processes import Processes
from archgrad.recipes.assemble import make_supernet
from archgrad.recipes.forms import form_at
from archgrad.runs import checkpoint
from archgrad.runs.config import SearchConfig
from archgrad.space.form import Form
from archgrad.supernet.image import ImageSupernet
from archgrad.supernet.inherit import inherit
from archgrad.tasks.batches import ImageData
from archgrad.tasks.data import Data, open_data
from archgrad.tasks.text_streams import TextData

__all__ = ["fresh_network", "open_training", "searched_supernet", "searched_weights", "take_up", "training_data"]


def open_training(config: SearchConfig, data: object, device: torch.device, processes: Processes) -> Data:
    """Open the data with the training's own batch.

    Args:
        config: of the training.
        data: the user's own objects, or anything else to take what the configuration names.
        device: where the batches are wanted.
        processes: which of how many processes this is.

    Raises:
        InputError: they are missing or unusable.
    """
    own = None if data is None or isinstance(data, str) else data
    if own is None:
        ask_again(config.data.spec, "The search was done on", "{what} to train on")
    return open_data(
        config.data.spec if own is None else own,
        seed=config.seed,
        batch=config.train.batch,
        choice_share=0.0,
        device=device,
        rank=processes.rank,
        world=processes.world,
        options={key: value for key, value in config.data.options().items() if key != "cutout"},
    )


def training_data(config: SearchConfig, data: object, device: torch.device, processes: Processes) -> Data:
    """Open images with the training's own batch and cutout.

    Args:
        config: of the training.
        data: the user's own objects, or anything else to take what the configuration names.
        device: where the batches are wanted.
        processes: which of how many processes this is.

    Raises:
        InputError: they are missing, unusable or no images, or cutout hides whole images.
    """
    opened = open_training(config, data, device, processes)
    if opened.task != ImageData.task:
        held = "text" if opened.task == TextData.task else "series"
        raise InputError(f"These cells are for images, and {opened.name} holds {held}; take images, or another cell.")
    side, cutout = min(opened.input_shape[-2:]), config.train.cutout
    if cutout is not None and cutout >= side:
        raise InputError(f"train.cutout={cutout} hides whole images of {side} pixels; take at most {side // 2}.")
    images = cast(ImageData, opened)
    images.augmentation = replace(images.augmentation, cutout=side // 2 if cutout is None else cutout)
    return opened


def fresh_network(
    architecture: Architecture, config: SearchConfig, data: Data, supernet: ImageSupernet | None
) -> ImageNetwork:
    """Build the network that a training starts from, on the CPU; its random weights are a function of the seed.

    Args:
        architecture: the cells.
        config: of the training.
        data: give the sizes, and mean and spread of the images.
        supernet: whose weights and statistics it takes over, if any.

    Raises:
        InputError: the supernet does not suit the data or the architecture.
    """
    auxiliary = config.train.auxiliary > 0
    if supernet is not None:
        there = supernet.stem.mean.numel(), supernet.classifier.out_features
        here = data.input_shape[0], len(data.classes)
        if there != here:
            raise InputError(
                f"The supernet takes images of {there[0]} channels and tells {there[1]} classes apart; the data have "
                f"{here[0]} channels and {here[1]} classes. Inherit on data like the search's, or train from scratch."
            )
    with torch.random.fork_rng([]):
        torch.manual_seed(config.seed)
        if supernet is not None:
            return inherit(supernet, architecture, auxiliary=auxiliary)
        return ImageNetwork(
            blueprint(
                architecture,
                cells=config.train.cells,
                channels=config.train.channels,
                in_channels=data.input_shape[0],
                classes=len(data.classes),
                auxiliary=auxiliary,
                mean=data.mean,
                std=data.std,
                stem=fitting_stem(config.train.stem, data.input_shape),
            )
        )


def searched_supernet(origin: Origin) -> ImageSupernet:
    """Return the supernet of a search as its newest checkpoint has it, on the CPU.

    Raises:
        InputError: the architecture does not come from a search whose supernet there is.
        RunError: no checkpoint of it is whole.
    """
    if origin.searched is not None:
        return cast(ImageSupernet, origin.searched.state.supernet)
    weights = searched_weights(origin)
    supernet = make_supernet(
        origin.config,
        searched_form(origin),
        in_channels=weights["stem.mean"].numel(),
        classes=len(weights["classifier.bias"]),
        stem="plain" if "stem.convolution.weight" in weights else "imagenet",  # as the images of the search asked for
    )
    take_up(supernet, weights, origin)
    return supernet


def searched_weights(origin: Origin) -> dict[str, torch.Tensor]:
    """Return the weights of a search's supernet as its newest checkpoint has them.

    Raises:
        InputError: the architecture does not come from a search with a checkpoint.
        RunError: no checkpoint of it is whole.
    """
    weights: dict[str, torch.Tensor] = _searched(origin)["supernet"]
    return weights


def searched_form(origin: Origin) -> Form:
    """Return the form of a search's supernet at its newest checkpoint: of one that grew, what it had become.

    Raises:
        InputError: the architecture does not come from a search with a checkpoint.
        RunError: no checkpoint of it is whole.
    """
    return form_at(origin.config, _searched(origin).get("growing") or {})


def _searched(origin: Origin) -> dict[str, Any]:
    """Return the state in the newest checkpoint of a search."""
    if origin.run is None or not checkpoint.names(origin.run.checkpoints):
        what = f"{origin.run.path} holds no checkpoint of a search" if origin.run else "this architecture has no search"
        raise InputError(f"There is nothing to inherit: {what}. Give the run directory of a search.")
    tree: Any = checkpoint.load_newest(origin.run.checkpoints).tree
    state: dict[str, Any] = tree["state"]
    return state


def take_up(supernet: nn.Module, weights: dict[str, torch.Tensor], origin: Origin) -> None:
    """Load weights that :func:`searched_weights` returned.

    Raises:
        InputError: they are those of another supernet.
    """
    try:
        supernet.load_state_dict(weights)
    except RuntimeError as error:
        where = origin.run.path if origin.run else "memory"
        raise InputError(
            f"The checkpoint in {where} does not fit its config.yaml, which was changed after the search."
        ) from error

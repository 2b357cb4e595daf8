"""What a training of a recurrent cell on text works on: its data, and the language model that it starts from."""

from __future__ import annotations

from typing import Any, cast

import torch

from archgrad.api.train_origin import Origin
from archgrad.api.train_parts import open_training, searched_form, searched_weights, take_up
from archgrad.api.train_series import refuse_image_settings
from archgrad.architecture import Architecture
from archgrad.errors import InputError
from archgrad.network.language import LanguageNetwork
from archgrad.network.recurrent_build import recurrent_network
from archgrad.processes import Processes
from archgrad.recipes.language import language_supernet
from archgrad.runs.config import SearchConfig
from archgrad.supernet.recurrent.language import LanguageSupernet
from archgrad.supernet.recurrent.language_inherit import inherit_language_model
from archgrad.tasks.text_streams import TextData

__all__ = ["fresh_language_model", "noted_vocabulary", "searched_language_model", "text_data"]


def text_data(config: SearchConfig, data: object, device: torch.device, processes: Processes) -> TextData:
    """Open text with as many streams as the training's batch.

    Args:
        config: of the training.
        data: objects of the user's own, which text cannot be; or anything else to take what the configuration names.
        device: where the batches are wanted.
        processes: which of how many processes this is.

    Raises:
        InputError: it is missing or unusable, or a setting belongs to networks for images.
    """
    refuse_image_settings(config)
    return cast(TextData, open_training(config, data, device, processes))


def fresh_language_model(
    architecture: Architecture, config: SearchConfig, data: TextData, supernet: LanguageSupernet | None
) -> LanguageNetwork:
    """Build the language model that a training starts from; its random weights are a function of the seed.

    A fresh one starts from the frequencies of the words.

    Args:
        architecture: the cell.
        config: of the training.
        data: gives window and vocabulary.
        supernet: whose weights, statistics and embeddings it takes over, if any.

    Raises:
        InputError: the supernet does not suit the data or the architecture.
    """
    names = ("dropout_input", "dropout_hidden", "dropout_embedding", "dropout_output", "slowness", "activation")
    rest: dict[str, Any] = {"window": data.window, **{name: getattr(config.train, name) for name in names}}
    with torch.random.fork_rng([]):
        torch.manual_seed(config.seed)
        if supernet is None:
            tokens = len(data.vocabulary.tokens)
            built = recurrent_network(architecture, hidden=config.train.hidden, tokens=tokens, **rest)
            network = cast(LanguageNetwork, built)
            network.ends.start_from(data.log_frequencies("train"))
            return network
        if int(supernet.vocabulary) != data.vocabulary_number:
            raise InputError(
                f"The supernet was trained on another vocabulary than that of {data.name}. Inherit on the text of the "
                "search, with its data.tokens and data.vocabulary, or train from scratch."
            )
        return inherit_language_model(supernet, architecture, **rest)


def searched_language_model(origin: Origin) -> LanguageSupernet:
    """Return the supernet of a search on text as its newest checkpoint has it, on the CPU.

    Raises:
        InputError: the architecture does not come from a search whose supernet there is.
        RunError: no checkpoint of it is whole.
    """
    if origin.searched is not None:
        return cast(LanguageSupernet, origin.searched.state.supernet)
    weights = searched_weights(origin)
    supernet = language_supernet(origin.config, searched_form(origin), len(weights["ends.bias"]), steps=1)
    take_up(supernet, weights, origin)
    return supernet


def noted_vocabulary(data: TextData) -> dict[str, Any]:
    """Return what is saved of the vocabulary beside a trained network."""
    return {"vocabulary": data.vocabulary.tokens, "tokenizer": data.vocabulary.to_dict()}

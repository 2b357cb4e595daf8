"""From the supernet of a search on text to a language model that computes the same."""

from __future__ import annotations

from typing import Any

from archgrad.architecture import Architecture
from archgrad.network.language import LanguageNetwork
from archgrad.network.recurrent_training import trains_fast
from archgrad.supernet.recurrent.inherit import inherit_recurrence
from archgrad.supernet.recurrent.language import LanguageSupernet

__all__ = ["inherit_language_model"]


def inherit_language_model(
    supernet: LanguageSupernet,
    architecture: Architecture,
    *,
    window: int | None = None,
    dropout_input: float = 0.0,
    dropout_hidden: float = 0.0,
    **ends: Any,
) -> LanguageNetwork:
    """Build the derived language model with the supernet's weights, statistics and embeddings.

    It equals the supernet in eval mode as :func:`archgrad.supernet.recurrent.inherit.inherit_recurrence` says.

    Args:
        supernet: where everything is copied from.
        architecture: a cell of the supernet's space.
        window: tokens of a step of the training that follows.
        dropout_input: variational dropout of the embeddings in that training.
        dropout_hidden: variational dropout of every state before its matrix.
        **ends: ``dropout_embedding``, ``dropout_output``, ``slowness`` and ``activation`` of that training.

    Raises:
        InputError: the architecture has a cell, nodes or activations that the supernet lacks.
    """
    core = inherit_recurrence(supernet.core, architecture)
    recurrence = {**core.blueprint, "dropout_input": dropout_input, "dropout_hidden": dropout_hidden}
    tokens = len(supernet.ends.embedding)
    network = LanguageNetwork(
        {"kind": "language", "recurrence": recurrence, "tokens": tokens, "window": window, **ends}
    ).to(supernet.ends.embedding)
    network.core.load_state_dict(core.state_dict())
    network.ends.load_state_dict(supernet.ends.state_dict())
    return trains_fast(network)

"""The supernet of a search on text, from a configuration."""

from __future__ import annotations

from archgrad.errors import InputError
from archgrad.network.language import LanguageEnds
from archgrad.recipes.recurrent_core import recurrent_core
from archgrad.runs.config import SearchConfig
from archgrad.space.form import Form
from archgrad.supernet.recurrent.language import LanguageSupernet
from archgrad.tasks.text_streams import TextData

__all__ = ["language_supernet", "make_language_model"]


def make_language_model(config: SearchConfig, form: Form, data: TextData) -> LanguageSupernet:
    """Build the supernet of a search on text; its scores start from the frequencies of the words.

    Args:
        config: the whole configuration.
        form: its cell, of a recurrent space, and its units.
        data: gives window and vocabulary.

    Raises:
        InputError: the space holds no recurrent cell.
    """
    if form.space.skeleton.form != "time":
        raise InputError(
            f"{data.name} is read by a recurrent cell, and the space {form.space.name} has none; "
            f"take --space darts-rnn or --space two-input-rnn."
        )
    tokens = len(data.vocabulary.tokens)
    supernet = language_supernet(config, form, tokens, data.window, data.vocabulary_number)
    supernet.ends.start_from(data.log_frequencies("weights"))
    return supernet


def language_supernet(
    config: SearchConfig, form: Form, tokens: int, steps: int, vocabulary: int = 0
) -> LanguageSupernet:
    """Build the supernet for a vocabulary; enough to take up the weights of a checkpoint.

    Args:
        config: the whole configuration.
        form: its cell, of a recurrent space, and its units.
        tokens: size of the vocabulary.
        steps: time steps of a window; no weight depends on it.
        vocabulary: a number that tells vocabularies apart.
    """
    settings = config.supernet
    ends = LanguageEnds(
        tokens,
        form.width,
        dropout_embedding=settings.dropout_embedding,
        dropout_output=settings.dropout_output,
        slowness=settings.slowness,
        activation=settings.activation,
    )
    return LanguageSupernet(recurrent_core(config, form, form.width, steps), ends, vocabulary)

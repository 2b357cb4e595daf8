"""What a found language model is compared with: the frequencies of words, and an LSTM of as many parameters.

The LSTM has the same tied embeddings and trains by the same code, on the same windows with the same carried states; of
the dropouts it has those of input, embedding and output, since torch's LSTM has none between its steps.
"""

from __future__ import annotations

import math
import time
from typing import Any

from archgrad.errors import InputError
from archgrad.network.language import LanguageNetwork
from archgrad.network.training import TrainState, train_network
from archgrad.runs.settings import TrainSettings
from archgrad.tasks.equal_size import MeasuredBaseline, units_for
from archgrad.tasks.language import LanguageTask, perplexity
from archgrad.tasks.text_streams import TextData

__all__ = ["fit_language_model", "lstm_of_size", "lstm_parameters", "unigram"]


def unigram(data: TextData) -> MeasuredBaseline:
    """Return what the frequencies of tokens alone are worth: p = (count + 1) / (all + vocabulary), context unseen."""
    scores = data.log_frequencies("train").double()
    loss = float(-scores[data.tokens("test")].mean())
    metrics = {"loss": loss, "perplexity": perplexity(loss), "bits": loss / math.log(2)}
    return MeasuredBaseline(name="unigram", metrics=metrics, parameters=len(scores), seconds=0.0)


def lstm_parameters(tokens: int, hidden: int) -> int:
    """Return V H + V + 8 H^2 + 8 H: tied embeddings, the scores' bias, and an LSTM of one layer with its two biases."""
    return tokens * hidden + tokens + 8 * hidden**2 + 8 * hidden


def lstm_of_size(tokens: int, parameters: int, **rest: Any) -> LanguageNetwork:
    """Build the LSTM language model whose number of parameters is nearest to the given one.

    Args:
        tokens: size of the vocabulary.
        parameters: of the network that it is compared with, embeddings counted.
        **rest: ``dropout_input``, ``dropout_embedding``, ``dropout_output``, ``slowness``, ``activation``, ``window``.
    """
    best = units_for(parameters, lambda units: lstm_parameters(tokens, units))
    core = {"lstm": True, "inputs": best, "hidden": best, "dropout_input": rest.pop("dropout_input", 0.0)}
    return LanguageNetwork({"kind": "language", "recurrence": core, "tokens": tokens, **rest})


def fit_language_model(
    name: str, network: LanguageNetwork, data: TextData, settings: TrainSettings, *, steps: int | None = None
) -> MeasuredBaseline:
    """Train any language model as ``archgrad train`` does, and measure it on the test part.

    Args:
        name: what it is, in words.
        network: with fresh weights; it is changed, and starts from the frequencies of the words.
        data: the text.
        settings: of the training, such as :data:`archgrad.recipes.text.TEXT_TRAINING` with what is to differ.
        steps: of the optimiser, after which it ends even within ``settings.epochs``, at the end of an epoch.

    Raises:
        InputError: fewer than one step.
    """
    if steps is not None and steps < 1:
        raise InputError(f"A baseline needs at least one step of training; got steps={steps}.")
    network.ends.start_from(data.log_frequencies("train"))
    task, state = LanguageTask(), TrainState(network, settings)
    started = time.perf_counter()

    def listen(kind: str, state: TrainState, record: dict[str, Any]) -> bool:
        return kind == "epoch" and steps is not None and state.step >= steps

    train_network(state, data, task, listen)
    seconds = time.perf_counter() - started
    found = state.result.eval()
    metrics = task.evaluate(state.kind.measured(found), data.once("test"))
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return MeasuredBaseline(name=name, metrics=metrics, parameters=parameters, seconds=seconds)

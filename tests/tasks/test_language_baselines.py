"""An LSTM of equal size learns a text that repeats itself, and a unigram knows the frequencies alone."""

from __future__ import annotations

import math

import pytest
import torch

from archgrad.recipes.text import TEXT_TRAINING
from archgrad.runs.settings import TrainSettings
from archgrad.tasks.language_baselines import fit_language_model, lstm_of_size, lstm_parameters, unigram
from archgrad.tasks.text import RawText
from archgrad.tasks.text_streams import TextData


@pytest.mark.parametrize("parameters", [500, 12_345])
def test_the_lstm_has_the_size_of_what_it_is_compared_with(parameters: int) -> None:
    network = lstm_of_size(50, parameters)
    found = sum(parameter.numel() for parameter in network.parameters())
    hidden = network.core.hidden
    assert found == lstm_parameters(50, hidden)
    assert all(
        abs(found - parameters) <= abs(lstm_parameters(50, other) - parameters) for other in (hidden - 1, hidden + 1)
    )


def test_it_learns_what_repeats_itself() -> None:
    lines = "one two three four five six\n"
    raw = RawText("count", lines * 60, lines * 4, lines * 4, "", window=6, evaluation_streams=2)
    data = TextData(raw, name="count", seed=0, batch=4, choice_share=0.0, device=torch.device("cpu"))
    torch.manual_seed(0)
    settings = TrainSettings(**{**TEXT_TRAINING, "epochs": 8, "average_after": 0})
    found = fit_language_model("LSTM", lstm_of_size(8, 400), data, settings)
    frequencies = unigram(data)
    assert frequencies.metrics["perplexity"] == pytest.approx(7, rel=0.02)  # seven tokens as frequent as one another
    assert frequencies.metrics["bits"] == pytest.approx(math.log2(7), rel=0.02)
    assert found.metrics["perplexity"] < 3 and found.parameters == lstm_parameters(8, 6)

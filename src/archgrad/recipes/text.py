"""The settings that a search on text lays over those for recurrent cells: DARTS' own, at a size for two cores."""

from __future__ import annotations

from typing import Any

__all__ = ["PYDOC_TRAINING", "TEXT_LAYER", "TEXT_TRAINING", "text_layer", "text_training"]

TEXT_TRAINING: dict[str, Any] = {
    **{"epochs": 8, "batch": 20, "optimizer": "sgd", "rate": 20.0, "rate_end": 0.0, "rate_schedule": "cosine"},
    **{"momentum": 0.0, "decay": 8e-7, "clip": 0.25, "slowness": 1e-3},
    **{"warmup": 0, "drop_path": 0.0, "auxiliary": 0.0, "label_smoothing": 0.0},
}
"""How a found cell is trained on text: rate, clip, decay and slowness of DARTS' code (rnn/train.py), for few epochs on
two cores. DARTS itself has a batch of 64, 850 units with dropouts, and thousands of epochs at a constant rate that
end in averaged SGD: rate_schedule constant, average_after 5."""

TEXT_LAYER: dict[str, Any] = {
    "epochs": 5,
    "data": {"batch": 20},
    "weights": {"rate": 5.0, "rate_end": 0.5, "momentum": 0.0, "decay": 5e-7, "clip": 0.25},
    "supernet": {"slowness": 1e-3},
    "train": dict(TEXT_TRAINING),
}
"""The same for a search of a few hundred steps, with gradients clipped at 0.25 as in DARTS. DARTS has some 5,000 steps
(50 epochs, a batch of 256) at the constant rate 20, which within the first dozens only raises the loss of a supernet
that starts from the frequencies of words. Recipes that have epochs of their own keep them."""

PYDOC_TRAINING: dict[str, Any] = {
    **TEXT_TRAINING,
    **{"batch": 40, "optimizer": "adam", "rate": 5e-3, "clip": 1.0, "decay": 0.0},
}
"""The same for CPython's help text, a fifteenth of the Penn Treebank, whose 8 epochs are some 1,200 steps: few for SGD.
In 3 epochs with windows of 20 tokens (77 steps each) an LSTM of 64 units comes to a test perplexity of 63 by Adam at
this rate and of 67 by SGD from 20, DARTS_RNN_V2 to 84 and to 93. Clip, decay and schedule are those of series."""


def text_training(spec: str) -> dict[str, Any]:
    """Return how a cell is trained on the text of a SPEC where nothing else is said."""
    return PYDOC_TRAINING if spec.partition(":")[0] == "pydoc" else TEXT_TRAINING


def text_layer(spec: str) -> dict[str, Any]:
    """Return the settings of a search on the text of a SPEC.

    On ``pydoc`` twice as many streams are read side by side, in shorter windows (10 tokens, the loader's own). On a CPU
    a recurrent cell's time goes by the time steps of an epoch, which are the fewer the more streams there are; and
    shorter windows make more updates of as many steps.
    """
    training = text_training(spec)
    return {**TEXT_LAYER, "data": {"batch": training["batch"]}, "train": dict(training)}

"""The settings that a search on text lays over those for recurrent cells: DARTS' own, at a size for two cores."""

from __future__ import annotations

from typing import Any

__all__ = ["TEXTS", "TEXT_LAYER", "TEXT_TRAINING"]

TEXTS = ("pydoc", "text")
"""The data that language models read."""

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

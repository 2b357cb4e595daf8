"""The settings that a search on text lays over those for recurrent cells: DARTS' own, at a size for two cores."""

from __future__ import annotations

from typing import Any

__all__ = ["TEXTS", "TEXT_LAYER", "TEXT_TRAINING"]

TEXTS = ("pydoc", "text")
"""The data that language models read."""

TEXT_TRAINING: dict[str, Any] = {
    **{"epochs": 30, "batch": 32, "optimizer": "sgd", "rate": 20.0, "rate_end": 20.0, "rate_schedule": "constant"},
    **{"momentum": 0.0, "decay": 8e-7, "clip": 0.25, "average_after": 5, "slowness": 1e-3},
    **{"warmup": 0, "drop_path": 0.0, "auxiliary": 0.0, "label_smoothing": 0.0},
}
"""How a found cell is trained on text: as in DARTS' code (arXiv 1806.09055, appendix A.3), but for its batch of 64, its
850 units with their dropouts and its thousands of epochs, which suit the Penn Treebank on a GPU."""

TEXT_LAYER: dict[str, Any] = {
    "weights": {"rate": 20.0, "rate_end": 20.0, "momentum": 0.0, "decay": 5e-7, "clip": 0.25},
    "supernet": {"slowness": 1e-3},
    "train": dict(TEXT_TRAINING),
}
"""The same for a search: SGD at the constant rate 20 with gradients clipped at 0.25."""

"""What the estimators share: a search, unless the cell is known, and the training of what it found."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from archgrad.api.search import search
from archgrad.api.train import train
from archgrad.errors import InputError

if TYPE_CHECKING:
    from archgrad.api.train_result import TrainResult
    from archgrad.architecture import Architecture

__all__ = ["ArchEstimator"]

OF_TRAINING = ("train", "data")
"""Groups of settings that a training has; a training without a search leaves the others out."""


class ArchEstimator(BaseEstimator):  # type: ignore[misc]
    """Base of the estimators; what is fitted is in ``trained_``, which the functions of the package take too."""

    recipe: str | None
    space: str | None
    architecture: str | Path | Architecture | None
    epochs: int
    train_epochs: int
    settings: Mapping[str, Any] | None
    device: str
    random_state: Any
    verbose: bool

    def _search_and_train(self, data: object, own: Mapping[str, Any]) -> None:
        """Set ``trained_``, ``architecture_``, ``n_iter_`` and ``search_history_``.

        Args:
            data: as :func:`archgrad.search` takes it.
            own: settings that the estimator's parameters stand for; the user's are laid over them.
        """
        settings = {**own, "train.epochs": self.train_epochs, **(self.settings or {})}
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        words: dict[str, Any] = {"data": data, "device": self.device, "progress": _shown if self.verbose else None}
        self.search_history_: list[dict[str, Any]] = []
        if self.architecture is None:
            found = search(self.recipe, space=self.space, epochs=self.epochs, seed=seed, settings=settings, **words)
            self.search_history_ = found.history
            self.trained_: TrainResult = train(found, **words)
        else:
            kept = {key: value for key, value in settings.items() if key.split(".")[0] in OF_TRAINING}
            kept.pop("data.batch", None)
            self.trained_ = train(self.architecture, seed=seed, settings=kept, **words)
        self.architecture_: Architecture = self.trained_.architecture
        self.n_iter_: int = self.trained_.epochs

    def _check_words(self) -> None:
        """Refuse words that contradict each other."""
        if self.architecture is not None and (self.recipe is not None or self.space is not None):
            raise InputError("A known architecture is trained without a search: leave recipe and space out, or it.")

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "trained_")


def _shown(kind: str, state: Any, record: Mapping[str, Any]) -> None:
    """Print one line an epoch."""
    if kind == "epoch":
        print(f"epoch {record.get('epoch')}: loss {record.get('loss'):.4g}")

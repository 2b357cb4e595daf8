"""``ArchClassifier``: finds and trains a convolutional network for images, as a scikit-learn classifier."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from archgrad.api.predict import predict
from archgrad.errors import InputError
from archgrad.estimators.fitting import ArchEstimator

if TYPE_CHECKING:
    from archgrad.architecture import Architecture

__all__ = ["ArchClassifier"]

Array = np.ndarray[Any, np.dtype[Any]]

TESTED = 64
"""Images that the end of a training measures; of what was trained on, because all that ``fit`` gets is learnt."""

SHORT: dict[str, Any] = {
    **{"choices.rate": 0.02, "train.rate": 0.1},
    **{"train.drop_path": 0.0, "train.auxiliary": 0.0, "train.cutout": 0},
}
"""Settings for tens of epochs on thousands of images, as the demo has them; what regularises DARTS' 600 epochs would
only slow a short training down."""


class ArchClassifier(ClassifierMixin, ArchEstimator):  # type: ignore[misc]
    """Find a convolutional network for images by gradient descent, and train it.

    ``fit`` searches for cells on half of the images with the other half as its judge, then trains the found network on
    all of them. The defaults suit small images and a processor; for more, raise ``epochs``, ``train_epochs``, ``cells``
    and ``channels``. Pixels may have any range: the network standardises each channel.

    Args:
        recipe: of the search, as :func:`archgrad.search` takes it; its default if None.
        space: of the search; the recipe's if None.
        architecture: a known architecture, its file or its published name, to be trained without a search.
        image_shape: what a flat row of features is: (channels, height, width) or (height, width); ``"strip"`` for a
            signal, an image of one line; ``"auto"`` takes rows of a square number for square grey images.
        epochs: of the search.
        train_epochs: of the training.
        cells: cells of the network, in search and training.
        channels: channels of the first cell's operations, in search and training.
        settings: dotted paths of further settings, ``{"train.rate": 0.05}``.
        device: "auto", "cpu", "cuda", "cuda:1".
        random_state: of everything random; an int gives the same network again.
        verbose: whether every epoch is printed.

    Attributes:
        classes_: labels in the order of ``predict_proba``.
        image_shape_: (channels, height, width).
        n_features_in_: numbers in one image.
        feature_names_in_: names of the columns, of a frame.
        architecture_: the found :class:`archgrad.Architecture`.
        trained_: the trained network and its figures, which :func:`archgrad.export` and the other functions take.
        search_history_: derived cell and score of every epoch of the search.
        n_iter_: epochs of training done.
    """

    def __init__(
        self,
        recipe: str | None = None,
        *,
        space: str | None = None,
        architecture: str | Path | Architecture | None = None,
        image_shape: str | Sequence[int] = "auto",
        epochs: int = 10,
        train_epochs: int = 20,
        cells: int = 3,
        channels: int = 16,
        settings: Mapping[str, Any] | None = None,
        device: str = "auto",
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.recipe = recipe
        self.space = space
        self.architecture = architecture
        self.image_shape = image_shape
        self.epochs = epochs
        self.train_epochs = train_epochs
        self.cells = cells
        self.channels = channels
        self.settings = settings
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any) -> Self:
        """Search for a network, and train it.

        Args:
            X: images [N, C, H, W] or [N, H, W], or flat rows [N, features].
            y: labels [N], numbers or words.

        Raises:
            InputError: images or labels cannot be used, or a parameter is wrong.
        """
        self._check_words()
        rows, shape = _flat(X)
        rows, y = validate_data(self, rows, y, dtype=np.float64)
        check_classification_targets(y)
        self.image_shape_ = shape or _guessed(self.image_shape, rows.shape[1])
        self.classes_, numbers = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise InputError(f"A classifier needs at least two classes; all of y is one class, {self.classes_[0]!r}.")
        images = self._images(rows)
        tested = slice(min(TESTED, len(images)))
        data = {
            "train": (images, numbers),
            "test": (images[tested], numbers[tested]),
            "classes": [str(label) for label in self.classes_],
        }
        sizes = {f"{part}.{key}": getattr(self, key) for part in ("supernet", "train") for key in ("cells", "channels")}
        batch = _batch(len(images))
        self._search_and_train(data, {**SHORT, "data.batch": batch, "train.batch": batch, **sizes})
        return self

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of every class, float64 [N, classes], in the order of ``classes_``.

        Args:
            X: images in any of the forms that ``fit`` takes.

        Raises:
            InputError: they are not of the size that was trained on.
        """
        check_is_fitted(self)
        rows, shape = _flat(X)
        rows = validate_data(self, rows, dtype=np.float64, reset=False)
        if shape is not None and shape != self.image_shape_:
            raise InputError(
                f"The images are {shape} (channels, height, width); the network takes {self.image_shape_}."
            )
        answers = predict(self.trained_, self._images(rows), device=self.device)
        found = np.array([list(answer["probabilities"].values()) for answer in answers])
        found /= found.sum(axis=1, keepdims=True)  # of float32, whose sum is 1 to its own precision alone
        return found

    def predict(self, X: Any) -> Array:
        """Return the most probable label of every image, [N].

        Args:
            X: images in any of the forms that ``fit`` takes.
        """
        chosen: Array = self.predict_proba(X).argmax(axis=1)
        labels: Array = self.classes_[chosen]
        return labels

    def _images(self, rows: Array) -> Array:
        return rows.astype(np.float32).reshape(len(rows), *self.image_shape_)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


def _batch(size: int) -> int:
    """Return 64, or of few images the power of two that leaves an epoch 16 steps, but no less than 8."""
    return min(64, 1 << max(3, (size // 16).bit_length() - 1))


def _flat(X: Any) -> tuple[Any, tuple[int, int, int] | None]:
    """Return images as rows, and (channels, height, width); what is flat already comes back as it is, with None."""
    if hasattr(X, "detach"):
        X = X.detach().cpu().numpy()
    elif isinstance(X, (list, tuple)) and np.ndim(X[:1]) > 2:
        X = np.asarray(X)
    shape: tuple[int, ...] = tuple(getattr(X, "shape", ()))
    if len(shape) < 3:
        return X, None
    if len(shape) > 4:
        raise InputError(f"Images are [N, C, H, W] or [N, H, W], or flat rows; got {shape}.")
    if shape[-1] in (1, 3, 4) and len(shape) == 4 and shape[1] > 4:
        raise InputError(f"X is {shape}, which looks like [N, H, W, C]; put the channels first: moveaxis(-1, 1).")
    channels, height, width = (1, *shape[1:]) if len(shape) == 3 else shape[1:]
    return np.asarray(X).reshape(len(X), -1), (int(channels), int(height), int(width))


def _guessed(given: str | Sequence[int], features: int) -> tuple[int, int, int]:
    """Return (channels, height, width) of rows of features.

    Raises:
        InputError: the features do not make such images.
    """
    if isinstance(given, str):
        if given == "strip":
            return 1, 1, features
        side = math.isqrt(features)
        if given == "auto" and side * side == features:
            return 1, side, side
        raise InputError(
            f"Rows with n_features = {features} are no square grey images. Say what they are: "
            "image_shape=(channels, height, width), or image_shape='strip' for signals; for a table without any order "
            f"of its columns a convolutional network is not made. Got image_shape={given!r}."
        )
    numbers = tuple(int(number) for number in given)
    numbers = (1, *numbers) if len(numbers) == 2 else numbers
    if len(numbers) != 3 or min(numbers) < 1 or math.prod(numbers) != features:
        raise InputError(
            f"image_shape={given!r} does not suit rows of {features} features; it is (channels, height, width) or "
            "(height, width), whose product is the number of features."
        )
    return numbers[0], numbers[1], numbers[2]

"""``ArchForecaster``: finds and trains a recurrent cell for series, as a scikit-learn estimator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from archgrad.api.predict import predict
from archgrad.errors import InputError
from archgrad.estimators.fitting import ArchEstimator
from archgrad.tasks.series_table import as_table, is_frame, onwards

if TYPE_CHECKING:
    from archgrad.architecture import Architecture

__all__ = ["ArchForecaster"]

Array = np.ndarray[Any, np.dtype[Any]]

RHYTHM = 200
"""Rows of the table that are kept for ``predict()``, if the window is shorter: their dates tell the rhythm."""

BATCH = 256
"""Windows that a score forecasts at a time."""


class ArchForecaster(RegressorMixin, ArchEstimator):  # type: ignore[misc]
    """Find a recurrent cell for series by gradient descent, train it, and forecast.

    A table has a row a time step, oldest first, and a column a series. ``fit`` searches and trains on all of it but the
    latest tenth, which the search judges its cells on; the training learns that, too. ``predict`` gives the rows that
    follow a table, and ``score`` goes through a table window by window.

    As scikit-learn has no forecasters, three things differ from its regressors. Rows are moments: their order counts,
    and cross-validation must respect it (``TimeSeriesSplit``). ``predict`` returns ``horizon`` rows, whatever the
    number of rows it is given. ``y`` is optional: with it, its columns are the series to forecast and those of ``X``
    are seen beside them; a forecast then goes on from the past of both.

    Args:
        recipe: of the search, as :func:`archgrad.search` takes it; its default if None.
        space: of the search; ``darts-rnn`` if None.
        architecture: a known architecture, its file or its published name, to be trained without a search.
        window: rows that a forecast sees.
        horizon: rows that are forecast.
        targets: names, or of arrays numbers, of the columns that are forecast; all where none are named.
        date: name of the column with the dates; found if None.
        anchor: whether the network sees each window relative to its last values.
        epochs: of the search.
        train_epochs: of the training.
        hidden: units of every node, in search and training.
        settings: dotted paths of further settings, ``{"train.rate": 0.01}``.
        device: "auto", "cpu", "cuda", "cuda:1".
        random_state: of everything random; an int gives the same network again.
        verbose: whether every epoch is printed.

    Attributes:
        targets_: names of the series that are forecast.
        n_features_in_: columns of ``X``, dates not counted.
        feature_names_in_: their names, of a frame.
        architecture_: the found :class:`archgrad.Architecture`.
        trained_: the trained network, which :func:`archgrad.export` and the other functions take.
        search_history_: derived cell and score of every epoch of the search.
        n_iter_: epochs of training done.
    """

    def __init__(
        self,
        recipe: str | None = None,
        *,
        space: str | None = None,
        architecture: str | Path | Architecture | None = None,
        window: int = 96,
        horizon: int = 24,
        targets: Sequence[str | int] | None = None,
        date: str | None = None,
        anchor: bool = True,
        epochs: int = 10,
        train_epochs: int = 30,
        hidden: int = 32,
        settings: Mapping[str, Any] | None = None,
        device: str = "auto",
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.recipe = recipe
        self.space = space
        self.architecture = architecture
        self.window = window
        self.horizon = horizon
        self.targets = targets
        self.date = date
        self.anchor = anchor
        self.epochs = epochs
        self.train_epochs = train_epochs
        self.hidden = hidden
        self.settings = settings
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> Self:
        """Search for a cell, and train it.

        Args:
            X: a pandas frame with the dates in its index, in a column or nowhere, or an array [time, series].
            y: series to forecast, [time] or [time, targets], if they are not columns of ``X``.

        Raises:
            InputError: the table cannot be used, is too short, or a parameter is wrong.
        """
        self._check_words()
        table, names = self._table(X, reset=True)
        self._beside: list[str] = []
        self._single = False
        self.targets_ = [str(name) for name in self.targets] if self.targets is not None else names
        if y is not None:
            if self.targets is not None:
                raise InputError("targets names columns of X; with y, it is y that is forecast. Give one of them.")
            beside, self._beside, self._single = self._joined(y, len(table), names)
            self.targets_ = self._beside
            table, names = np.hstack([table, beside]), [*names, *self._beside]
        kept = max(self.window, RHYTHM)
        self._last = X.iloc[-kept:] if is_frame(X) else None
        self._past: Array = table[-kept:]
        data = _named(table, names)
        self._search_and_train(
            # the rows once more as a test part, which nobody looks at: all that fit gets is learnt
            {"train": data, "test": data[-self.horizon :]},
            {
                **{"data.window": self.window, "data.horizon": self.horizon, "data.targets": self.targets_},
                **{"data.anchor": self.anchor, "supernet.hidden": self.hidden, "train.hidden": self.hidden},
            },
        )
        return self

    def predict(self, X: Any = None, y: Any = None) -> Any:
        """Return the rows that follow a table.

        Args:
            X: a table with the columns that ``fit`` got and at least ``window`` rows, of which the last count; that of
                ``fit`` if None.
            y: the past of the series beside it, if ``fit`` got ``y``; not needed where ``X`` ends as that of ``fit``.

        Returns:
            [horizon, targets], or [horizon] where the ``y`` of ``fit`` was [time]; of a frame a frame that goes on
            where it ends, or in the latter case a series of pandas.
        """
        check_is_fitted(self)
        given: Any = self._last if X is None else X
        past = self._past if X is None else self._seen(X, y)
        seen = _named(past, self.trained_.metadata["series"])
        ahead: Array = predict(self.trained_, seen, device=self.device).to_numpy()
        if is_frame(given):
            column = self._date_column(given)
            frame = onwards(given, column, self.targets_, ahead.tolist())
            return frame[self.targets_[0]] if self._single and column is None else frame
        return ahead[:, 0] if self._single else ahead

    def score(self, X: Any, y: Any = None) -> float:
        """Return R² of the forecasts from every window of a table, averaged over the targets; 1 is perfect.

        Args:
            X: a table with the columns that ``fit`` got, of at least ``window + horizon`` rows.
            y: the series beside it, if ``fit`` got ``y``.

        Raises:
            InputError: the table is too short.
        """
        check_is_fitted(self)
        past, needed = self._seen(X, y), self.window + self.horizon
        if len(past) < needed:
            raise InputError(f"A score needs window + horizon = {needed} rows at least; got {len(past)}.")
        parts = torch.tensor(past, dtype=torch.float32).unfold(0, needed, 1).transpose(1, 2)
        network = self.trained_.network.eval()
        device = next(network.parameters()).device
        with torch.no_grad():
            ahead = [network(part[:, : self.window].to(device)).cpu() for part in parts.split(BATCH)]
        chosen = self.trained_.metadata["blueprint"]["targets"]
        truth, found = parts[:, self.window :][:, :, chosen].flatten(0, 1), torch.cat(ahead).flatten(0, 1)
        return float(r2_score(truth.numpy(), found.numpy()))

    def _table(self, X: Any, reset: bool) -> tuple[Array, list[str]]:
        """Return the values [time, series] of a table, and the names of the series."""
        if is_frame(X):
            from archgrad.tasks.series_csv import series_of

            table, where = as_table(X)
            names, values, _ = series_of(table, self.date or table.attrs.get("date"), where)
            X = _named(values, list(names))
        elif hasattr(X, "detach"):
            X = X.detach().cpu().numpy()
        # two rows, because one is no series; how many the window asks for is said later, in rows of the parts
        values = validate_data(self, X, dtype=np.float64, reset=reset, ensure_min_samples=2)
        known = getattr(self, "feature_names_in_", range(values.shape[1]))
        return values, [str(name) for name in known]

    def _joined(self, y: Any, rows: int, taken: list[str]) -> tuple[Array, list[str], bool]:
        """Return the series beside the table, [time, targets], their names, and whether it is a single one, [time]."""
        given = getattr(y, "columns", None)
        names = [str(name) for name in given] if given is not None else [str(getattr(y, "name", None) or "y")]
        values = check_array(y, dtype=np.float64, ensure_2d=False, input_name="y")
        single = values.ndim == 1
        values = values[:, None] if single else values
        if len(values) != rows:
            raise InputError(f"X has {rows} rows and y has {len(values)}; both must be as many.")
        names = names if len(names) == values.shape[1] else [f"y{number}" for number in range(values.shape[1])]
        return values, [name if name not in taken else f"{name} (y)" for name in names], single

    def _seen(self, X: Any, y: Any) -> Array:
        """Return all series that the network sees, [time, series]."""
        table, names = self._table(X, reset=False)
        if not self._beside:
            if y is not None:
                raise InputError("The forecaster was fitted without y: its targets are columns of X. Leave y out.")
            return table
        if y is None:
            known = self._past[:, : table.shape[1]]
            last = min(self.window, len(known))
            if len(table) >= last and np.array_equal(table[-last:], known[-last:]):
                return self._past
            raise InputError("The forecaster was fitted with y, and goes on from its past: give y beside this X, too.")
        beside, _, _ = self._joined(y, len(table), names)
        if beside.shape[1] != len(self._beside):
            raise InputError(f"y has {beside.shape[1]} columns; in fit it had {len(self._beside)}.")
        return np.hstack([table, beside])

    def _date_column(self, frame: Any) -> str | None:
        """Return the column of a frame that holds its dates, if one does."""
        from archgrad.tasks.series_csv import date_column

        table, _ = as_table(frame)
        return None if table.attrs.get("date") else self.date or date_column(table)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = False
        tags.target_tags.multi_output = True
        return tags


def _named(values: Array, names: list[str]) -> Any:
    """Return values as a frame."""
    import pandas as pd

    return pd.DataFrame(values, columns=pd.Index(names))

"""scikit-learn's own checks of estimators; those that do not apply are listed once, each with its reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator
from tests.estimators.cells import IMAGES, SERIES

from archgrad import ArchClassifier, ArchForecaster

ROWS = "predict gives the rows that follow a table, horizon of them, and not one row for each that it is given"
NOT_APPLICABLE = {
    "ArchClassifier": {},
    "ArchForecaster": {
        "check_regressors_train": ROWS,
        "check_regressor_multioutput": ROWS,
        "check_methods_subset_invariance": "a single row is no table to forecast from",
        "check_methods_sample_order_invariance": "rows are moments, and their order is what a forecast follows from",
        "check_fit_idempotent": "it asks for a forecast of other rows than fit saw, without their y",
    },
}
ESTIMATORS = [
    ArchClassifier(
        architecture=IMAGES,
        image_shape="strip",
        cells=1,
        channels=4,
        train_epochs=3,
        settings={"train.batch": 64},
        device="cpu",
    ),
    ArchForecaster(architecture=SERIES, window=2, horizon=1, hidden=2, train_epochs=1, device="cpu"),
]


def checks() -> Iterator[Any]:
    for estimator in ESTIMATORS:
        reasons = NOT_APPLICABLE[type(estimator).__name__]
        yield from estimator_checks_generator(estimator, expected_failed_checks=reasons, mark="xfail")


def words(value: Any) -> str:
    return value.func.__name__ if isinstance(value, partial) else type(value).__name__


@pytest.mark.parametrize(("estimator", "check"), [*checks()], ids=words)
def test_conventions(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)

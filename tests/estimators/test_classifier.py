"""ArchClassifier: images in every form, a search behind ``fit``, and what is said about images that do not suit."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from tests.estimators.cells import IMAGES

from archgrad import ArchClassifier, evaluate
from archgrad.errors import InputError

X, Y = (part[:120] for part in load_digits(return_X_y=True))
NAMES = np.array([f"digit {number}" for number in range(10)])[Y]


def small(**parameters: Any) -> ArchClassifier:
    words = {"architecture": IMAGES, "cells": 1, "channels": 4, "train_epochs": 6, "device": "cpu", "random_state": 3}
    return ArchClassifier(**{**words, **parameters})


@pytest.fixture(scope="module")
def fitted() -> ArchClassifier:
    return small().fit(X, NAMES)


def test_digits_are_told_apart(fitted: ArchClassifier) -> None:
    assert fitted.image_shape_ == (1, 8, 8) and fitted.n_features_in_ == 64 and fitted.n_iter_ == 6
    assert fitted.classes_.tolist() == sorted(set(NAMES))
    assert fitted.score(X, NAMES) > 0.5
    probabilities = fitted.predict_proba(X)
    assert probabilities.shape == (120, 10) and probabilities.sum(axis=1) == pytest.approx(1)
    assert (fitted.classes_[probabilities.argmax(1)] == fitted.predict(X)).all()
    # what is fitted is what the functions of the package take
    measured = evaluate(fitted.trained_, data=(X.astype("float32").reshape(-1, 1, 8, 8), NAMES), device="cpu")
    assert measured["accuracy"] == pytest.approx(fitted.score(X, NAMES))


def test_every_form_of_images_is_the_same(fitted: ArchClassifier) -> None:
    expected = fitted.predict_proba(X)
    for images in (X.reshape(-1, 8, 8), X.reshape(-1, 1, 8, 8), torch.tensor(X).reshape(-1, 8, 8), X.tolist()):
        assert np.array_equal(fitted.predict_proba(images), expected)
    for parameters, images in (({}, X.reshape(-1, 8, 8)), ({"image_shape": (8, 8)}, X)):
        again = small(**parameters, train_epochs=1).fit(images, NAMES)
        assert again.image_shape_ == (1, 8, 8)
    colour = small(image_shape=(4, 4, 4), train_epochs=1).fit(X, Y)
    assert colour.image_shape_ == (4, 4, 4) and set(colour.predict(X)) <= set(range(10))


def test_the_same_seed_gives_the_same_network_also_after_pickling(fitted: ArchClassifier) -> None:
    once = clone(fitted).set_params(train_epochs=1).fit(X, NAMES)
    expected = once.predict_proba(X)
    assert np.array_equal(clone(once).fit(X, NAMES).predict_proba(X), expected)
    assert np.array_equal(pickle.loads(pickle.dumps(once)).predict_proba(X), expected)
    assert not np.array_equal(clone(once).set_params(random_state=4).fit(X, NAMES).predict_proba(X), expected)


def test_a_search_finds_the_cells(capsys: pytest.CaptureFixture[str]) -> None:
    settings = {"space.nodes": 1, "train.rate": 0.05}
    found = small(architecture=None, recipe="darts", epochs=1, train_epochs=1, settings=settings, verbose=True).fit(
        X, Y
    )
    assert found.architecture_.made_by["recipe"] == "darts" and len(found.search_history_) == 1
    assert found.architecture_.cells["normal"].nodes == 1
    assert capsys.readouterr().out.count("epoch 1: loss") == 2


def test_it_works_in_pipelines_and_cross_validation() -> None:
    pipeline = make_pipeline(MinMaxScaler(), small(train_epochs=1))
    scores = cross_val_score(pipeline, X, Y, cv=2)
    assert scores.shape == (2,) and ((scores >= 0) & (scores <= 1)).all()


@pytest.mark.parametrize(
    ("parameters", "images", "message"),
    [
        ({}, X[:, :60], "n_features = 60 are no square grey images. Say what they are: image_shape="),
        ({"image_shape": (3, 8, 8)}, X, r"image_shape=\(3, 8, 8\) does not suit rows of 64 features"),
        ({"image_shape": "strips"}, X, "Got image_shape='strips'"),
        ({}, np.zeros((120, 8, 8, 3)), "looks like .N, H, W, C.; put the channels first"),
        ({}, np.zeros((120, 1, 1, 8, 8)), r"Images are \[N, C, H, W\] or \[N, H, W\], or flat rows"),
        ({"recipe": "darts"}, X, "leave recipe and space out, or it"),
    ],
)
def test_images_that_do_not_suit_are_named(parameters: dict[str, Any], images: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        small(**parameters).fit(images, Y)


def test_other_images_than_those_of_fit_are_refused(fitted: ArchClassifier) -> None:
    with pytest.raises(InputError, match=r"The images are \(4, 4, 4\) .*; the network takes \(1, 8, 8\)"):
        fitted.predict(X.reshape(-1, 4, 4, 4))
    with pytest.raises(ValueError, match="X has 60 features, but ArchClassifier is expecting 64"):
        fitted.predict(X[:, :60])

"""Layers of settings: what counts over what."""

from __future__ import annotations

from pathlib import Path

import pytest

from archgrad.api.settings import DEFAULT_RECIPE, dotted, search_config
from archgrad.errors import InputError
from archgrad.runs.config import to_yaml


def test_a_written_configuration_names_its_recipe_again(tmp_path: Path) -> None:
    first = search_config("random", seed=3, settings={"relaxation.deviation": 2.0})
    (tmp_path / "config.yaml").write_text(to_yaml(first))
    again = search_config(None, config=tmp_path / "config.yaml")
    assert again == first
    assert (again.recipe, again.epochs) == ("random", 1)


def test_without_anything_it_is_the_default_recipe() -> None:
    assert search_config(None).recipe == DEFAULT_RECIPE


def test_single_words_count_over_settings_over_the_file_over_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "some.yaml").write_text("epochs: 7\nseed: 5\nsupernet: {cells: 3, channels: 4}\n")
    config = search_config("random", config=tmp_path / "some.yaml", settings={"supernet.cells": 2, "seed": 6}, seed=8)
    assert (config.epochs, config.seed, config.supernet.cells, config.supernet.channels) == (7, 8, 2, 4)


def test_a_setting_is_not_a_value_and_a_group() -> None:
    with pytest.raises(InputError, match="part of a setting"):
        dotted({"epochs": 3, "epochs.more": 1})

"""The extended space: DARTS' cells with four further candidates."""

from __future__ import annotations

import pytest

import archgrad
from archgrad import space
from archgrad.errors import InputError
from archgrad.space.darts import DARTS_OPERATIONS


def test_the_space_is_that_of_darts_with_larger_and_plain_convolutions() -> None:
    found = space.get("extended")
    assert found.name == "extended"
    for cell in found.cells.values():
        assert (cell.inputs, cell.nodes, len(cell.edges)) == (2, 4, 14)
        assert set(cell.operations) == {
            *DARTS_OPERATIONS[1:],
            "sep_conv_7x7",
            "conv_7x1_1x7",
            "conv_1x1",
            "conv_3x3",
        }
    assert found.skeleton == space.get("darts").skeleton
    assert len(space.get("extended", none=True).cells["normal"].operations) == 12


def test_its_architectures_are_built_and_read_back() -> None:
    plain = {
        "schema": 1,
        "space": "extended",
        "cells": {
            kind: {
                "inputs": 2,
                "nodes": 1,
                "edges": [[0, 2, name] for name in ("sep_conv_7x7", "conv_7x1_1x7", "conv_1x1", "conv_3x3")],
                "output": [2],
            }
            for kind in ("normal", "reduce")
        },
    }
    cell = archgrad.Architecture.from_dict(plain)
    assert archgrad.Architecture.from_dict(cell.to_dict()) == cell
    assert archgrad.count_parameters(cell, cells=3, channels=4, classes=2) > 0


def test_wrong_options_are_refused() -> None:
    with pytest.raises(InputError, match="'conv_5x5'.*Did you mean"):
        space.get("extended", operations=("conv_5x5",))
    with pytest.raises(InputError, match="nodes is 0"):
        space.get("extended", nodes=0)

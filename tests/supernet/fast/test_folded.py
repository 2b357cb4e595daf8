"""The products of the fast evaluation, against plain ones."""

from __future__ import annotations

import pytest
import torch

from archgrad.supernet.fast.folded import Span, cross


@pytest.mark.parametrize("column", [0, 1])
def test_a_cross_product_is_zero_where_nothing_flows(column: int) -> None:
    """One slice that flows into one target of two, as in Transit-cells: the rest must not be left as memory was."""
    features, gradient = torch.rand(50, 4), torch.rand(50, 8)
    found = torch.full((1, 4, 2, 4), torch.nan)
    cross(features, gradient, found, (Span(0, 1, column, 1, column),))
    expected = torch.zeros(4, 2, 4)
    expected[:, column] = features.T @ gradient[:, 4 * column : 4 * column + 4]
    torch.testing.assert_close(found[0], expected)

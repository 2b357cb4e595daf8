"""Cells that are hard to draw: every edge taken, several operations an edge, no edge at all, two operands, weights."""

from __future__ import annotations

from archgrad.architecture import Architecture, Cell, Edge

ALL_EDGES = [(source, target) for target in range(2, 6) for source in range(target)]
OPERATIONS = ("sep_conv_3x3", "max_pool_3x3", "skip_connect", "dil_conv_5x5", "avg_pool_3x3")
HOSTILE = "<script>alert('x')</script>&\"\x1b[31m\ud800"


def _one_cell(kind: str, cell: Cell) -> Architecture:
    return Architecture("darts", {kind: cell})


HARD = {
    "every edge, weighted": _one_cell(
        "normal",
        Cell(
            2,
            4,
            tuple(Edge(s, t, OPERATIONS[(3 * s + t) % 5]) for s, t in ALL_EDGES),
            (2, 3, 4, 5),
            weights=tuple(k / 14 for k in range(14)),
        ),
    ),
    "several operations an edge": _one_cell(
        "normal",
        Cell(
            2,
            4,
            tuple(Edge(s, t, op) for s, t in ALL_EDGES for k, op in enumerate(OPERATIONS) if (s + 2 * t + k) % 3 == 0),
            (2, 3, 4, 5),
        ),
    ),
    "no edge": _one_cell("normal", Cell(2, 4, (), (2, 3, 4, 5))),
    "one input": _one_cell("cell", Cell(1, 1, (Edge(0, 1, "conv_1x1"),), (1,), output_combine="last")),
    "two operands": _one_cell(
        "recurrent",
        Cell(
            2,
            3,
            tuple(
                Edge((t * 7 + j) % t, t, ("tanh", "relu", "identity")[(t + j) % 3], "ab"[j])
                for t in (2, 3, 4)
                for j in (0, 1)
            ),
            (2, 3, 4),
            output_combine="learned",
            combine=("add", "multiply", "add"),
        ),
    ),
    "hostile": _one_cell(HOSTILE, Cell(2, 1, (Edge(0, 2, HOSTILE), Edge(1, 2, "c_{<b>}")), (2,))),
}

"""The smallest cells there are: what an estimator does around them is what these tests are about."""

from __future__ import annotations

from archgrad.architecture import Architecture, Cell, Edge

_IMAGE = Cell(2, 1, (Edge(0, 2, "sep_conv_3x3"), Edge(1, 2, "skip_connect")), (2,))
IMAGES = Architecture("darts", {"normal": _IMAGE, "reduce": _IMAGE})
SERIES = Architecture("darts-rnn", {"recurrent": Cell(1, 1, (Edge(0, 1, "tanh"),), (1,), "mean")})

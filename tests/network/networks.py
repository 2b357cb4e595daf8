"""Small networks that are hard to export: nodes without inputs, weights, several operations an edge, all norms."""

from __future__ import annotations

import torch

from archgrad.architecture import Architecture, Cell, Edge
from archgrad.network.build import blueprint
from archgrad.network.image import ImageNetwork
from archgrad.published import published

# every operation, two or three of them on some edges, and a node 3 that nothing flows into
EDGES = (
    Edge(0, 2, "sep_conv_3x3"),
    Edge(0, 2, "skip_connect"),
    Edge(0, 2, "none"),
    Edge(1, 2, "max_pool_3x3"),
    Edge(2, 4, "dil_conv_5x5"),
    Edge(2, 4, "avg_pool_3x3"),
    Edge(3, 4, "sep_conv_5x5"),
    Edge(0, 5, "dil_conv_3x3"),
    Edge(1, 5, "avg_pool_3x3"),
    Edge(4, 5, "skip_connect"),
)
WEIGHTS = (0.5, -0.25, 2.0, 1.0, 0.75, 0.0, 1.5, 0.1, 1 / 3, -1.0)

HARD = Architecture(
    "darts",
    {
        "normal": Cell(2, 4, EDGES, (2, 3, 4, 5), weights=WEIGHTS),
        "reduce": Cell(2, 4, EDGES, (5, 3), weights=WEIGHTS[::-1]),
    },
    {"pool_norm": True, "node_norm": True},
)

# name -> architecture, shape of an image, number of cells
CASES: dict[str, tuple[Architecture, tuple[int, int, int], int]] = {
    "DARTS_V2": (published("DARTS_V2"), (1, 8, 8), 3),
    "SNAS_AGGRESSIVE": (published("SNAS_AGGRESSIVE"), (3, 32, 32), 3),
    "hard": (HARD, (2, 9, 7), 3),
    "one cell": (published("DARTS_V1"), (3, 5, 6), 1),
}


def lived_in(case: str, *, auxiliary: bool = False) -> ImageNetwork:
    """Return a network whose running statistics and norms are as random as its weights, in evaluation mode."""
    architecture, shape, cells = CASES[case]
    torch.manual_seed(0)  # the same network whenever it is asked for
    network = ImageNetwork(
        blueprint(
            architecture,
            cells=cells,
            channels=4,
            in_channels=shape[0],
            classes=3,
            auxiliary=auxiliary,
            mean=[0.1 * (k + 1) for k in range(shape[0])],
            std=[0.3 + 0.1 * k for k in range(shape[0])],
        )
    )
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                assert module.running_mean is not None and module.running_var is not None
                module.running_mean.uniform_(-0.5, 0.5)
                module.running_var.uniform_(0.5, 2.0)
                if module.affine:
                    module.weight.uniform_(0.5, 1.5)
                    module.bias.uniform_(-0.5, 0.5)
    return network.eval()


def metadata_of(network: ImageNetwork, case: str, classes: tuple[str, ...] = ("a", "b", "c")) -> dict[str, object]:
    """Return what model.safetensors would say about the network."""
    shape = list(CASES[case][1])
    return {"blueprint": network.blueprint, "task": "image", "classes": list(classes), "input_shape": shape}

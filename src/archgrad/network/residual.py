"""What stands between and behind the cells of NAS-Bench-201 (arXiv 2001.00326, section 2.1): residual reductions.

Supernets and derived networks share these modules. Torch alone is imported: the standalone export copies this file.
"""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["LastNorm", "ResidualReduction"]


class ResidualReduction(nn.Module):
    """A basic residual block of stride 2: (ReLU, 3x3, batch norm) twice beside average pooling and a 1x1 convolution.

    [N, inputs, H, W] -> [N, outputs, ceil(H/2), ceil(W/2)]. Its batch norms learn a scale and an offset in the supernet
    too, as in the benchmark's code. Of an odd side the last pixel is averaged alone.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = nn.Sequential(nn.AvgPool2d(2, 2, ceil_mode=True), nn.Conv2d(inputs, outputs, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """Return the reduced features [N, outputs, ceil(H/2), ceil(W/2)]."""
        out: Tensor = self.shortcut(x) + self.block(x)
        return out


class LastNorm(nn.Sequential):
    """Batch norm and ReLU between the last cell and the pooling; the sums of cells are not normalised otherwise."""

    def __init__(self, channels: int) -> None:
        super().__init__(nn.BatchNorm2d(channels), nn.ReLU())

"""MobileNet-v2 (Sandler et al., CVPR 2018) as an encoder: an image becomes maps of several strides.

Without its last 1x1 convolution and its classifier.  The first block has an expansion too, as in
the released encoder of Fast NAS (1,812,800 parameters); that of others has none (1,088 fewer).
Where a stride is not taken the convolutions after it are dilated instead, as in DeepLab, so that
the weights for any output stride are the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from models.convolutions import Depthwise, conv

STEM = 32
ROWS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Of each row: the expansion, the channels, how many blocks, the stride of the first of them."""
FOUR = (1, 2, 4, 6)
"""The rows after which Fast NAS reads: 24, 32, 96 and 320 channels of stride 4, 8, 16 and 32."""
LAST = (6,)
LARGEST = 400
"""Percent of MobileNet-v2's channels."""


class Encoder(nn.Module):
    """[B, 3, H, W] -> the maps after the rows ``taps``, finest first.

    ``percent`` of the paper's channels, rounded to a multiple of 4: 100 is the paper.  No map is
    smaller than the image by more than ``output_stride``, which is 8, 16 or 32.
    """

    def __init__(self, percent: int, taps: Sequence[int] = FOUR, output_stride: int = 32) -> None:
        super().__init__()
        if percent > LARGEST:
            raise ValueError(f"sizes.encoder must be from 1 to {LARGEST} percent, not {percent}")
        if output_stride not in (8, 16, 32):
            raise ValueError(f"sizes.output_stride must be 8, 16 or 32, not {output_stride}")
        self.taps = tuple(taps)
        widths = [scaled(channels, percent) for _, channels, _, _ in ROWS]
        self.channels = tuple(widths[row] for row in self.taps)
        c_in = scaled(STEM, percent)
        self.stem = activated(conv(3, c_in, 3, 2))
        self.rows = nn.ModuleList()
        taken, rate = 2, 1
        for (expansion, _, blocks, stride), c_out in zip(ROWS, widths, strict=True):
            within = taken * stride <= output_stride
            first = InvertedResidual(c_in, c_out, expansion, stride if within else 1, rate)
            taken, rate = (taken * stride, rate) if within else (taken, rate * stride)
            later = (InvertedResidual(c_out, c_out, expansion, 1, rate) for _ in range(blocks - 1))
            self.rows.append(nn.Sequential(first, *later))
            c_in = c_out

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """[B, 3, H, W] -> [B, Ci, H/stride, W/stride] for each of ``channels``."""
        x = self.stem(x)
        maps = []
        for row in self.rows:
            x = row(x)
            maps.append(x)
        return tuple(maps[row] for row in self.taps)


class InvertedResidual(nn.Module):
    """Widened, filtered by channel, narrowed without an activation; added where the size stays."""

    def __init__(self, c_in: int, c_out: int, expansion: int, stride: int, rate: int) -> None:
        super().__init__()
        inner = c_in * expansion
        self.residual = stride == 1 and c_in == c_out
        self.layers = nn.Sequential(
            activated(conv(c_in, inner)),
            activated(Depthwise(inner, 3, stride, rate)),
            conv(inner, c_out),
            nn.BatchNorm2d(c_out),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, Cin, H, W] -> [B, Cout, H/stride, W/stride]."""
        y = self.layers(x)
        return x + y if self.residual else y


def activated(layer: nn.Conv2d) -> nn.Sequential:
    """A convolution, batch norm, ReLU6."""
    return nn.Sequential(layer, nn.BatchNorm2d(layer.out_channels), nn.ReLU6(inplace=True))


def scaled(channels: int, percent: int) -> int:
    """``percent`` of ``channels`` as a multiple of 4, at least 4; 100 changes nothing."""
    return max(4, 4 * round(channels * percent / 400))

"""The ops of the two decoders that are found by trying: those of DPC and those of Fast NAS.

In both a convolution comes first, then its batch norm, then ReLU, which is not the order of
``models/ops.py``: the family of a genotype says in which of the vocabularies its ops are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import product

from torch import Tensor, nn

from models.convolutions import Depthwise, conv, spatial
from models.heads import ImagePool
from models.layers import ConvNormAct, Zero, averaging, resize_corners

RATES = (1, 3, 6, 9, 12, 15, 18, 21)
"""DPC, section 3.1: of rows and of columns, each for itself."""
GRIDS = (1, 2, 4, 8)
DEPTHWISE_STD, POINTWISE_STD = 0.33, 0.06
"""Of the first weights, as released."""

DenseOp = Callable[[int, int, int], nn.Module]
"""``(c_in, c_out, multiplier) -> module``, [B, Cin, H, W] -> [B, Cout, H, W].

By ``multiplier`` the rates are multiplied.
"""
FusionOp = Callable[[int, int], nn.Module]
"""``(channels, repeats) -> module``, [B, C, H, W] -> [B, C, H, W].

A separable convolution is repeated.
"""


class AtrousSeparable(nn.Sequential):
    """3x3 by channel with ``rate`` (rows, columns), then 1x1; each with batch norm and ReLU.

    [B, Cin, H, W] -> [B, Cout, H, W].  That ReLU stands between the two as well is the authors'.
    """

    def __init__(self, c_in: int, c_out: int, rate: tuple[int, int]) -> None:
        depthwise = Depthwise(c_in, 3, dilation=rate)
        pointwise = conv(c_in, c_out)
        for layer, std in ((depthwise, DEPTHWISE_STD), (pointwise, POINTWISE_STD)):
            nn.init.trunc_normal_(layer.weight, std=std, a=-2 * std, b=2 * std)
        super().__init__(
            depthwise,
            nn.BatchNorm2d(c_in),
            nn.ReLU(inplace=True),
            pointwise,
            nn.BatchNorm2d(c_out),
            nn.ReLU(inplace=True),
        )


class GridPool(nn.Module):
    """Averages over a grid (rows, columns), projected, and spread back, corners aligned.

    As the paper says (section 3.1).  The released program slides a window of the size that such a
    cell has in the crop that is trained on, which is another op for every other size of image.
    """

    def __init__(self, c_in: int, c_out: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.grid = grid
        self.project = ConvNormAct(c_in, c_out)

    def forward(self, x: Tensor) -> Tensor:
        """[B, Cin, H, W] -> [B, Cout, H, W]."""
        h, w = spatial(x)
        rows, columns = averaging(self.grid[0], h, x), averaging(self.grid[1], w, x)
        return resize_corners(self.project(rows @ x @ columns.T), (h, w))


def atrous_separable(rate: tuple[int, int], c_in: int, c_out: int, multiplier: int) -> nn.Module:
    return AtrousSeparable(c_in, c_out, (rate[0] * multiplier, rate[1] * multiplier))


def grid_pool(grid: tuple[int, int], c_in: int, c_out: int, multiplier: int) -> nn.Module:
    return GridPool(c_in, c_out, grid)


DENSE_OPS: Mapping[str, DenseOp] = {
    "conv_1x1": lambda c_in, c_out, multiplier: ConvNormAct(c_in, c_out),
    **{
        f"sep_conv_3x3_r{h}x{w}": partial(atrous_separable, (h, w))
        for h, w in product(RATES, RATES)
    },
    **{f"pool_grid_{h}x{w}": partial(grid_pool, (h, w)) for h, w in product(GRIDS, GRIDS)},
}
"""DPC's 81: 1 + 64 with rates (rows x columns) + 16 with grids (rows x columns)."""


def separable(channels: int, repeats: int, kernel: int, rate: int = 1) -> nn.Sequential:
    """By channel, then 1x1, then batch norm and ReLU; as often as ``repeats`` says.

    [B, C, H, W] -> [B, C, H, W].
    """
    layers: list[nn.Module] = []
    for _ in range(repeats):
        layers += [
            Depthwise(channels, kernel, dilation=rate),
            conv(channels, channels),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


FUSION_OPS: Mapping[str, FusionOp] = {
    "conv_1x1": lambda c, n: ConvNormAct(c, c),
    "conv_3x3": lambda c, n: ConvNormAct(c, c, 3),
    "sep_conv_3x3": lambda c, n: separable(c, n, 3),
    "sep_conv_5x5": lambda c, n: separable(c, n, 5),
    "global_average_pool": lambda c, n: ImagePool(c, c),
    "conv_3x3_r3": lambda c, n: ConvNormAct(c, c, 3, dilation=3),
    "conv_3x3_r12": lambda c, n: ConvNormAct(c, c, 3, dilation=12),
    "sep_conv_3x3_r3": lambda c, n: separable(c, n, 3, 3),
    "sep_conv_5x5_r6": lambda c, n: separable(c, n, 5, 6),
    "skip_connect": lambda c, n: nn.Identity(),
    "none": lambda c, n: Zero(1),
}
"""Fast NAS's 11 in the order of the released table; ``none`` may be chosen."""


def check_op(op: str, vocabulary: Mapping[str, object], where: str) -> None:
    """``ValueError`` names the edge whose op is not in the vocabulary."""
    if op not in vocabulary:
        raise ValueError(f"{where}: unknown op {op!r}; the vocabulary is {', '.join(vocabulary)}")

"""The op vocabulary: every name that may stand on an edge of a genotype."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from models.blocks import FusedInverted, Inverted, Narrow, Partial, Pooled
from models.layers import (
    ActConvNorm,
    DepthwiseSeparable,
    FactorizedReduce,
    PoolGrid,
    SepConv,
    Zero,
    atrous,
)

OpFactory = Callable[[int, int], nn.Module]
"""``(channels, stride) -> module``, [B, C, H, W] -> [B, C, H/stride, W/stride]."""

CONNECT = "connect"
"""The op that joins two nodes and computes nothing: it marks the edges of a path."""

POOLS = ("max_pool_3x3", "avg_pool_3x3")

OPS: dict[str, OpFactory] = {
    "none": lambda c, s: Zero(s),
    CONNECT: lambda c, s: nn.Identity(),
    "skip_connect": lambda c, s: nn.Identity() if s == 1 else FactorizedReduce(c, c),
    "max_pool_3x3": lambda c, s: nn.MaxPool2d(3, s, 1),
    "avg_pool_3x3": lambda c, s: nn.AvgPool2d(3, s, 1, count_include_pad=False),
    "sep_conv_3x3": lambda c, s: SepConv(c, 3, s),
    "sep_conv_5x5": lambda c, s: SepConv(c, 5, s),
    "dil_conv_3x3": lambda c, s: DepthwiseSeparable(c, 3, s, dilation=2),
    "dil_conv_3x3_r4": lambda c, s: DepthwiseSeparable(c, 3, s, dilation=4),
    "dil_conv_3x3_r8": lambda c, s: DepthwiseSeparable(c, 3, s, dilation=8),
    "dil_conv_5x5": lambda c, s: DepthwiseSeparable(c, 5, s, dilation=2),
    "conv_1x1": lambda c, s: ActConvNorm(c, c, 1, s),
    "conv_3x3": lambda c, s: ActConvNorm(c, c, 3, s),
    "atrous_conv_3x3": lambda c, s: atrous(c, 3, s),
    "atrous_conv_5x5": lambda c, s: atrous(c, 5, s),
    "atrous_conv_3x3_r3": lambda c, s: ActConvNorm(c, c, 3, s, dilation=3),
    "atrous_conv_3x3_r6": lambda c, s: ActConvNorm(c, c, 3, s, dilation=6),
    "atrous_conv_3x3_r12": lambda c, s: ActConvNorm(c, c, 3, s, dilation=12),
    "atrous_conv_3x3_r18": lambda c, s: ActConvNorm(c, c, 3, s, dilation=18),
    "pool_grid_2": lambda c, s: PoolGrid(c, 2, s),
    "pool_grid_4": lambda c, s: PoolGrid(c, 4, s),
    "pool_grid_8": lambda c, s: PoolGrid(c, 8, s),
    "image_pool": lambda c, s: Pooled(c, s),
    "narrow_3x3": lambda c, s: Narrow(c, s),
    "fused_3x3_e2": lambda c, s: FusedInverted(c, 2, s),
    "inverted_3x3_e3": lambda c, s: Inverted(c, 3, 3, s),
    "inverted_5x5_e3": lambda c, s: Inverted(c, 3, 5, s),
    "partial_3x3_e2": lambda c, s: Partial(c, s),
}


def make_op(name: str, channels: int, stride: int = 1) -> nn.Module:
    """The module that ``name`` stands for; ``ValueError`` lists the vocabulary."""
    if name not in OPS:
        raise ValueError(f"unknown op {name!r}; the vocabulary is {', '.join(OPS)}")
    return OPS[name](channels, stride)

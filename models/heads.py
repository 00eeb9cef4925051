"""Heads: from a body's feature maps to logits."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.convolutions import spatial
from models.layers import ConvNormAct, resize


class ImagePool(nn.Module):
    """The image's average, projected and spread back: [B, Cin, H, W] -> [B, Cout, H, W]."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.project = ConvNormAct(c_in, c_out)

    def forward(self, x: Tensor) -> Tensor:
        """[B, Cin, H, W] -> [B, Cout, H, W]."""
        return self.project(x.mean((2, 3), keepdim=True)).expand(-1, -1, *spatial(x))


class Aspp(nn.Module):
    """Atrous spatial pyramid pooling: 1x1, one 3x3 per rate, and the image's average."""

    def __init__(self, c_in: int, c_out: int, rates: Sequence[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            [
                ConvNormAct(c_in, c_out),
                *(ConvNormAct(c_in, c_out, 3, dilation=rate) for rate in rates),
                ImagePool(c_in, c_out),
            ]
        )
        self.project = ConvNormAct(c_out * len(self.branches), c_out)

    def forward(self, x: Tensor) -> Tensor:
        """[B, Cin, H, W] -> [B, Cout, H, W]."""
        return self.project(torch.cat([branch(x) for branch in self.branches], dim=1))


class DeepLabDecoder(nn.Module):
    """DeepLabv3+: context upsampled to a fine map, joined with it, two 3x3, a classifier."""

    def __init__(self, c_fine: int, channels: int, num_classes: int) -> None:
        super().__init__()
        c_low = max(channels * 48 // 256, 8)
        self.low = ConvNormAct(c_fine, c_low)
        self.refine = nn.Sequential(
            ConvNormAct(channels + c_low, channels, 3), ConvNormAct(channels, channels, 3)
        )
        self.classify = nn.Conv2d(channels, num_classes, 1)

    def forward(self, context: Tensor, fine: Tensor) -> Tensor:
        """[B, C, h, w] and [B, Cfine, H, W] -> logits [B, K, H, W]."""
        context = resize(context, spatial(fine))
        return self.classify(self.refine(torch.cat([context, self.low(fine)], dim=1)))


class PyramidHead(nn.Module):
    """Maps of several scales, projected to one width, added at the finest, and classified."""

    def __init__(self, c_in: Sequence[int], channels: int, num_classes: int) -> None:
        super().__init__()
        self.project = nn.ModuleList(ConvNormAct(c, channels) for c in c_in)
        self.context = ImagePool(channels, channels)
        self.refine = ConvNormAct(channels, channels, 3)
        self.classify = nn.Conv2d(channels, num_classes, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Finest first: [B, Ci, H/2^i, W/2^i] -> logits [B, K, H, W]."""
        projected = [project(x) for project, x in zip(self.project, maps, strict=True)]
        y = projected[-1] + self.context(projected[-1])
        for finer in reversed(projected[:-1]):
            y = finer + resize(y, spatial(finer))
        return self.classify(self.refine(y))

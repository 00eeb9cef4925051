"""Blocks of two or three convolutions, as mobile and real-time networks have them.

All take and return [B, C, H, W], begin with a ReLU and end with a batch norm, so that a residual
branch may be any of them.  With a stride of s the first wide convolution halves, and so on.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.convolutions import Depthwise, conv
from models.heads import ImagePool
from models.layers import ActConvNorm


class Narrow(nn.Sequential):
    """Two 3x3 convolutions with half the channels between them: as dear as one of all channels."""

    def __init__(self, channels: int, stride: int) -> None:
        half = max(channels // 2, 1)
        super().__init__(ActConvNorm(channels, half, 3, stride), ActConvNorm(half, channels, 3))


class FusedInverted(nn.Sequential):
    """A 3x3 convolution to ``times`` the channels, and a 1x1 back (EfficientNetV2, figure 2)."""

    def __init__(self, channels: int, times: int, stride: int) -> None:
        wide = channels * times
        super().__init__(ActConvNorm(channels, wide, 3, stride), ActConvNorm(wide, channels))


class Inverted(nn.Sequential):
    """1x1 to ``times`` the channels, depthwise, and 1x1 back (MobileNetV2, figure 3)."""

    def __init__(self, channels: int, times: int, kernel: int, stride: int) -> None:
        wide = channels * times
        super().__init__(
            ActConvNorm(channels, wide),
            nn.ReLU(),
            Depthwise(wide, kernel, stride),
            nn.BatchNorm2d(wide),
            ActConvNorm(wide, channels),
        )


class Partial(nn.Module):
    """A 3x3 convolution of a quarter of the channels, then 1x1 to twice as many and back.

    FasterNet (Chen et al., CVPR 2023, section 3.3): what is not convolved is passed on as it is.
    """

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.part, self.stride = max(channels // 4, 1), stride
        self.spatial = conv(self.part, self.part, 3)
        self.mix = nn.Sequential(
            conv(channels, 2 * channels, 1, stride),
            nn.BatchNorm2d(2 * channels),
            ActConvNorm(2 * channels, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H/stride, W/stride]."""
        x = x.relu()
        seen = self.spatial(x[:, : self.part])
        return self.mix(torch.cat([seen, x[:, self.part :]], dim=1))


class Pooled(nn.Module):
    """The image's average, projected, over the whole map (ParseNet)."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.pool, self.stride = ImagePool(channels, channels), stride

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H/stride, W/stride]."""
        return self.pool(x.relu())[:, :, :: self.stride, :: self.stride]

"""Convolutions as a CPU computes them right: where torch's own is wrong, or slow, another way.

All take and return [B, C, H, W], and a stride of s turns a height of H into ceil(H / s).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Sides = tuple[int, ...]
"""A number for each side of a map."""
LANES = 16
"""Channels that oneDNN computes side by side in AVX-512."""
PHASES = 3
"""How many pixels of a phase there must be along a map's shorter side."""


def conv(c_in: int, c_out: int, kernel: int = 1, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    """A convolution without bias whose padding keeps the size (divided by ``stride``)."""
    pad = dilation * (kernel - 1) // 2
    kind: type[nn.Conv2d] = nn.Conv2d
    if kernel == 1 and stride > 1:
        kind = Skipping
    elif kernel > 1 and dilation > 1:
        kind = Dilated
    return kind(c_in, c_out, kernel, stride, pad, dilation, bias=False)


def in_float32(layer: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """What a layer makes of ``x``, in float32 on a CPU where all around it is bfloat16."""
    if x.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        return layer(x)
    with torch.autocast("cpu", enabled=False):
        return layer(x.float()).to(x.dtype)


class Dilated(nn.Conv2d):
    """A dilated full convolution: [B, C, H, W] -> [B, D, H/stride, W/stride]."""

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, D, H/stride, W/stride]."""
        assert not isinstance(self.padding, str)
        return convolved(x, self.weight, self.stride, self.padding, self.dilation)


def convolved(x: Tensor, weight: Tensor, stride: Sides, padding: Sides, dilation: Sides) -> Tensor:
    """``x`` [B, C, H, W] by a weight [D, C, k, k]: [B, D, H/stride, W/stride].

    A dilated one that reads a number of channels that is no multiple of 16 is computed in float32
    on a CPU where all around it is bfloat16.  There torch 2.13 (oneDNN, AVX-512) has a wrong
    gradient for its weights, which reads memory that nobody wrote (decision 0046).
    """

    def layer(x: Tensor) -> Tensor:
        return F.conv2d(x, weight, None, stride, padding, dilation)

    unsure = max(dilation) > 1 and weight.shape[1] % LANES
    return in_float32(layer, x) if unsure else layer(x)


class Skipping(nn.Conv2d):
    """A 1x1 convolution of every ``stride``-th pixel: [B, C, H, W] -> [B, D, H/stride, W/stride].

    While it learns the pixels are picked first.  For the gradient of the weights of fewer than 8
    channels, channels last, torch 2.13 (oneDNN, AVX2) writes beyond its memory (decision 0028).
    """

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, D, H/stride, W/stride]."""
        if not self.training:
            return super().forward(x)
        return F.conv2d(x[:, :, :: self.stride[0], :: self.stride[1]], self.weight)


class Depthwise(nn.Conv2d):
    """A convolution of every channel by itself: [B, C, H, W] -> [B, C, H/stride, W/stride].

    On a CPU a dilated or wide one is computed in float32 where all around it is bfloat16.  There
    torch 2.13 (oneDNN) has a wrong gradient for the weights of a dilated one, which reads memory
    that nobody wrote, and is three to four times slower at both (decision 0022).  In training one
    that is both is computed phase by phase there: the same numbers in a fraction of the time
    (decision 0024).
    """

    def __init__(
        self, channels: int, kernel: int, stride: int = 1, dilation: int | tuple[int, int] = 1
    ) -> None:
        rates = (dilation, dilation) if isinstance(dilation, int) else dilation
        pad = (rates[0] * (kernel - 1) // 2, rates[1] * (kernel - 1) // 2)
        super().__init__(
            channels, channels, kernel, stride, pad, rates, groups=channels, bias=False
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H/stride, W/stride]."""
        easy = max(self.dilation) == 1 and max(self.kernel_size) <= 3
        if easy or x.device.type != "cpu":
            return super().forward(x)
        return in_float32(
            self.by_phases if self.training and self.phased(x) else super().forward, x
        )

    def phased(self, x: Tensor) -> bool:
        """Whether phases pay."""
        rate, other = self.dilation
        wide = self.kernel_size[0] > 3 and 1 < rate == other and self.stride == (1, 1)
        return wide and min(spatial(x)) >= PHASES * rate

    def by_phases(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W].

        The pixels that are a multiple of the dilation apart form an image of their own, on which
        the convolution is not dilated.
        """
        (height, width), rate = spatial(x), self.dilation[0]
        x = F.pad(x, (0, -width % rate, 0, -height % rate))
        batch, channels, padded, wide = x.shape
        rows, columns = padded // rate, wide // rate
        phases = x.permute(0, 2, 3, 1).reshape(batch, rows, rate, columns, rate, channels)
        apart = phases.permute(0, 2, 4, 1, 3, 5).reshape(-1, rows, columns, channels)
        margin = self.kernel_size[0] // 2
        y = F.conv2d(apart.permute(0, 3, 1, 2), self.weight, padding=margin, groups=channels)
        found = y.permute(0, 2, 3, 1).reshape(batch, rate, rate, rows, columns, channels)
        whole = found.permute(0, 3, 1, 4, 2, 5).reshape(batch, padded, wide, channels)
        return whole.permute(0, 3, 1, 2)[:, :, :height, :width]


def spatial(x: Tensor) -> tuple[int, int]:
    """The height and width of a [B, C, H, W]."""
    return x.shape[2], x.shape[3]

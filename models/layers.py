"""Layers that every network is made of.  All take and return [B, C, H, W].

A stride of s turns a height of H into ceil(H / s) in every layer, for odd sizes too, so that
whatever meets at a node has the same size.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def conv(c_in: int, c_out: int, kernel: int = 1, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    """A convolution without bias whose padding keeps the size (divided by ``stride``)."""
    pad = dilation * (kernel - 1) // 2
    kind: type[nn.Conv2d] = Dilated if kernel > 1 and dilation > 1 else nn.Conv2d
    if kernel == 1 and stride > 1:
        kind = Skipping
    return kind(c_in, c_out, kernel, stride, pad, dilation, bias=False)


def in_float32(layer: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """What a layer makes of ``x``, in float32 on a CPU where all around it is bfloat16."""
    if x.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        return layer(x)
    with torch.autocast("cpu", enabled=False):
        return layer(x.float()).to(x.dtype)


Sides = tuple[int, ...]
"""A number for each side of a map."""
LANES = 16
"""Channels that oneDNN computes side by side in AVX-512."""


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


PHASES = 3
"""How many pixels of a phase there must be along a map's shorter side."""


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


class ConvNormAct(nn.Sequential):
    """Convolution, batch norm, ReLU: [B, Cin, H, W] -> [B, Cout, H/stride, W/stride]."""

    def __init__(
        self, c_in: int, c_out: int, kernel: int = 1, stride: int = 1, dilation: int = 1
    ) -> None:
        super().__init__(
            conv(c_in, c_out, kernel, stride, dilation),
            nn.BatchNorm2d(c_out),
            nn.ReLU(inplace=True),
        )


class ActConvNorm(nn.Sequential):
    """ReLU, convolution, batch norm (the order of DARTS and Auto-DeepLab).

    [B, Cin, H, W] -> [B, Cout, H/stride, W/stride].  The ReLU is not in place: a cell's output
    is read by several others.
    """

    def __init__(
        self, c_in: int, c_out: int, kernel: int = 1, stride: int = 1, dilation: int = 1
    ) -> None:
        super().__init__(
            nn.ReLU(), conv(c_in, c_out, kernel, stride, dilation), nn.BatchNorm2d(c_out)
        )


class Halve(nn.Module):
    """Bilinear resize to half the size, corners aligned."""

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H/2, W/2]."""
        return resize_corners(x, ((x.shape[2] + 1) // 2, (x.shape[3] + 1) // 2))


def atrous(channels: int, kernel: int, stride: int) -> nn.Sequential:
    """ReLU, a full convolution of rate 2, batch norm: [B, C, H, W] -> [B, C, H/stride, W/stride].

    With stride 2 the map is halved bilinearly and the rate is 1 (Auto-DeepLab, as released).
    """
    if stride == 1:
        return ActConvNorm(channels, channels, kernel, dilation=2)
    assert stride == 2
    return nn.Sequential(
        nn.ReLU(), Halve(), conv(channels, channels, kernel), nn.BatchNorm2d(channels)
    )


class DepthwiseSeparable(nn.Sequential):
    """ReLU, depthwise, pointwise, batch norm: [B, C, H, W] -> [B, C, H/stride, W/stride]."""

    def __init__(self, channels: int, kernel: int, stride: int, dilation: int = 1) -> None:
        super().__init__(
            nn.ReLU(),
            Depthwise(channels, kernel, stride, dilation),
            conv(channels, channels),
            nn.BatchNorm2d(channels),
        )


class SepConv(nn.Sequential):
    """Two depthwise-separable convolutions, the first one strided (DARTS, section 3.1)."""

    def __init__(self, channels: int, kernel: int, stride: int) -> None:
        super().__init__(
            DepthwiseSeparable(channels, kernel, stride), DepthwiseSeparable(channels, kernel, 1)
        )


class FactorizedReduce(nn.Module):
    """Halve the size without losing every other pixel: [B, Cin, H, W] -> [B, Cout, H/2, W/2].

    Two 1x1 convolutions of stride 2, the second on the map shifted by one pixel (DARTS).  An odd
    size is padded by one row or column of zeros, where the original fails.
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.even = conv(c_in, c_out // 2, stride=2)
        self.odd = conv(c_in, c_out - c_out // 2, stride=2)
        self.norm = nn.BatchNorm2d(c_out)

    def forward(self, x: Tensor) -> Tensor:
        """[B, Cin, H, W] -> [B, Cout, H/2, W/2]."""
        x = F.pad(x.relu(), (0, x.shape[3] % 2, 0, x.shape[2] % 2))
        return self.norm(torch.cat([self.even(x), self.odd(x[:, :, 1:, 1:])], dim=1))


class PoolGrid(nn.Module):
    """Averages over a grid of ``cells`` x ``cells``, projected, and spread back over the map.

    The pyramid pooling of DPC (Chen et al., NeurIPS 2018, section 3.1) in DARTS's order: ReLU,
    average, 1x1 convolution, batch norm, bilinear.  [B, C, H, W] -> [B, C, H/stride, W/stride].
    """

    def __init__(self, channels: int, cells: int, stride: int) -> None:
        super().__init__()
        self.cells, self.stride = cells, stride
        self.project = nn.Sequential(conv(channels, channels), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H/stride, W/stride]."""
        h, w = spatial(x)
        y = averaging(self.cells, h, x) @ x.relu() @ averaging(self.cells, w, x).T
        return resize(self.project(y), (-(-h // self.stride), -(-w // self.stride)))


def averaging(cells: int, length: int, like: Tensor) -> Tensor:
    """The matrix [cells, length] that averages a line over ``cells`` parts of about equal length.

    Its parts are those of torch's adaptive average, which overlap by a pixel where the length does
    not divide.  As a product it is two nodes of ONNX, where the adaptive average becomes fifty.
    """
    ends = torch.arange(cells + 1, device=like.device) * length
    first, last = ends[:-1] // cells, (ends[1:] + cells - 1) // cells
    place = torch.arange(length, device=like.device)
    inside = ((place >= first[:, None]) & (place < last[:, None])).float()
    return (inside / inside.sum(1, keepdim=True)).to(like.dtype)


class Zero(nn.Module):
    """The absent edge: zeros at the output resolution."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H/stride, W/stride]."""
        return torch.zeros_like(x[:, :, :: self.stride, :: self.stride])


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear resize of [B, C, h, w] to the height and width of ``size``."""
    if surely(x, size):
        return x
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def resize_corners(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear resize of [B, C, h, w] to ``size``, the corner pixels staying where they are.

    The right one between sizes of the form 2^k n + 1, where every other pixel is kept exactly.
    """
    if surely(x, size):
        return x
    return F.interpolate(x, size=size, mode="bilinear", align_corners=True)


def spread(x: Tensor, grain: int, size: tuple[int, int]) -> Tensor:
    """[B, C, H/grain, W/grain] -> [B, C, H, W]: each value over a square, cut to ``size``.

    As a resize to the nearest, which ONNX Runtime does in a fiftieth of the time of an expansion.
    """
    if grain == 1:
        return x
    squares = F.interpolate(x, scale_factor=float(grain), mode="nearest")
    return squares[:, :, : size[0], : size[1]]


def surely(x: Tensor, size: tuple[int, int]) -> bool:
    """Whether [B, C, h, w] has the height and width of ``size``.

    Of a network that is exported with its lengths left open: whether it has them at every length,
    not just at those of the image that it is traced with.
    """
    pairs = [*zip(spatial(x), size, strict=True)]
    if all(isinstance(length, int) for pair in pairs for length in pair):
        return spatial(x) == size
    from torch.fx.experimental.symbolic_shapes import guard_or_false

    return all(guard_or_false(have == want) for have, want in pairs)


def spatial(x: Tensor) -> tuple[int, int]:
    """The height and width of a [B, C, H, W]."""
    return x.shape[2], x.shape[3]

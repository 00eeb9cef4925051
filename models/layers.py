"""Layers that every network is made of.  All take and return [B, C, H, W].

A stride of s turns a height of H into ceil(H / s) in every layer, for odd sizes too, so that
whatever meets at a node has the same size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.convolutions import Depthwise, conv, spatial


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

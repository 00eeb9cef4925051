"""Depthwise-separable convolutions side by side, in little memory and as fast as a CPU can.

A map [B, K*C, H, W] holds K maps of C channels, each with convolutions of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

WIDEST = 3
"""The widest kernel whose weights have a fast gradient in oneDNN, which torch computes with."""


def separable(x: Tensor, depth: Tensor, point: Tensor, stride: int, dilation: int) -> Tensor:
    """K depthwise convolutions, each followed by a 1x1.

    x [B, K*C, H, W], depth [K*C, 1, k, k], point [K*C, C, 1, 1] -> [B, K*C, H/stride, W/stride].
    One of dilation 2 is one without dilation on each of the four grids of every other pixel, and
    with stride 2 on the first of them: dilated ones have no fast gradients.
    """
    assert (stride, dilation) in ((1, 1), (2, 1), (1, 2), (2, 2))
    x, depth, point = autocast(x), autocast(depth), autocast(point)
    if (stride, dilation) == (2, 2):
        return apply(x[:, :, ::2, ::2], depth, point, 1, False)
    return apply(x, depth, point, stride, dilation == 2)


def autocast(x: Tensor) -> Tensor:
    """``x`` in the precision that a convolution would compute in here."""
    device = x.device.type
    return x.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else x


class Separable(torch.autograd.Function):
    """Keeps its input, which others read too; what it made of it is cheap to make again.

    Has first derivatives only.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, depth: Tensor, point: Tensor, stride: int, grids: bool
    ) -> Tensor:
        """[B, K*C, H, W] -> [B, K*C, H/stride, W/stride]."""
        ctx.save_for_backward(x, depth, point)
        ctx.stride, ctx.grids = stride, grids
        seen = to_grids(x) if grids else x
        y = matmul(depthwise(seen, depth, stride), per_map(point).transpose(1, 2))
        return from_grids(y, x) if grids else y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """[B, K*C, H/stride, W/stride] -> the gradients of x, depth and point."""
        whole, depth, point = ctx.saved_tensors
        x, grad = (to_grids(whole), to_grids(grad)) if ctx.grids else (whole, grad)
        inner = matmul(grad, per_map(point))
        of_point = of_depth = of_x = None
        if ctx.needs_input_grad[2]:
            again, c = depthwise(x, depth, ctx.stride), point.shape[1]
            of_point = torch.bmm(rows(grad, c).transpose(1, 2), rows(again, c)).view_as(point)
        if ctx.needs_input_grad[1]:
            of_depth = depthwise_weight_gradient(x, depth, inner, ctx.stride)
        if ctx.needs_input_grad[0]:
            of_x = depthwise_gradients(x, depth, inner, ctx.stride, (True, False))[0]
            of_x = from_grids(of_x, whole) if ctx.grids else of_x
        return of_x, of_depth, of_point, None, None


apply: Callable[..., Tensor] = Separable.apply


def depthwise(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    """[B, C, H, W], weight [C, 1, k, k] -> [B, C, H/stride, W/stride]."""
    return F.conv2d(x, weight, None, stride, weight.shape[2] // 2, 1, x.shape[1])


def depthwise_gradients(
    x: Tensor, weight: Tensor, grad: Tensor, stride: int, wanted: tuple[bool, bool], wide: int = -1
) -> tuple[Tensor, Tensor]:
    """Of a depthwise convolution's x and weight, those that are wanted.

    ``wide`` is the padding of the width, half the kernel unless told.
    """
    tall = weight.shape[2] // 2
    pad, none = [tall, tall if wide < 0 else wide], [0, 0]
    mask, c = [*wanted, False], x.shape[1]
    of_x, of_weight, _ = torch.ops.aten.convolution_backward(
        grad, x, weight, None, [stride, stride], pad, [1, 1], False, none, c, mask
    )
    return of_x, of_weight


def depthwise_weight_gradient(x: Tensor, weight: Tensor, grad: Tensor, stride: int) -> Tensor:
    """[C, 1, k, k].  A wide kernel's is put together from those of its columns, three at a time."""
    k = weight.shape[3]
    if k <= WIDEST or stride > 1:
        return depthwise_gradients(x, weight, grad, stride, (False, True))[1]
    x, width = F.pad(x, (k // 2, k // 2)), grad.shape[3]
    columns = []
    for first in range(0, k, WIDEST):
        part = weight[..., first : first + WIDEST]
        seen = x[..., first : first + width + part.shape[3] - 1]
        columns.append(depthwise_gradients(seen, part, grad, 1, (False, True), 0)[1])
    return torch.cat(columns, dim=3)


def rows(x: Tensor, c: int) -> Tensor:
    """[B, K*C, H, W] -> [K, B*H*W, C]: a view where the channels are last in memory."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1] // c, c).transpose(0, 1)


def per_map(point: Tensor) -> Tensor:
    """[K*C, C, 1, 1] -> [K, C, C]."""
    c = point.shape[1]
    return point.reshape(-1, c, c)


def matmul(x: Tensor, weight: Tensor) -> Tensor:
    """x [B, K*C, H, W], weight [K, C, D] -> [B, K*D, H, W], channels last in memory.

    One product of matrices a map: faster than a grouped convolution here.
    """
    b, _, h, w = x.shape
    k, c, d = weight.shape
    y = x.new_empty(b * h * w, k, d)
    torch.bmm(rows(x, c), weight, out=y.transpose(0, 1))
    return y.view(b, h, w, k * d).permute(0, 3, 1, 2)


def to_grids(x: Tensor) -> Tensor:
    """[B, C, H, W] -> [4 * B, C, H/2, W/2]: the four grids of every other pixel."""
    x = even(x)
    b, c, h, w = x.shape
    windows = x.permute(0, 2, 3, 1).reshape(b, h // 2, 2, w // 2, 2, c)
    return windows.permute(2, 4, 0, 1, 3, 5).reshape(4 * b, h // 2, w // 2, c).permute(0, 3, 1, 2)


def even(x: Tensor) -> Tensor:
    """[B, C, H, W] with a row and a column of zeros more where their number is odd.

    Where it is not, ``x`` itself: torch's padding by nothing is a copy.
    """
    tall, wide = x.shape[2] % 2, x.shape[3] % 2
    return F.pad(x, (0, wide, 0, tall)) if tall or wide else x


def from_grids(x: Tensor, like: Tensor) -> Tensor:
    """[4 * B, C, H/2, W/2] -> [B, C, H, W], which is the shape of ``like``."""
    (_, c, h, w), b = x.shape, len(like)
    grids = x.permute(0, 2, 3, 1).reshape(2, 2, b, h, w, c)
    whole = grids.permute(2, 3, 0, 4, 1, 5).reshape(b, 2 * h, 2 * w, c).permute(0, 3, 1, 2)
    return whole[:, :, : like.shape[2], : like.shape[3]]

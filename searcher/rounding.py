"""Quantisation-aware training: weights and maps are rounded as an INT8 file rounds them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from models.network import Network


class Rounding:
    """Rounds the convolutions of a network, and the maps around them, while :meth:`on` lasts.

    As :mod:`export.formats.int8` does for processors: weights to 7 bits, symmetric, a scale an
    output channel; maps to uint8, whose scale goes from the least to the largest value, here of
    the batch.  What reads the picture stays as it is.  Gradients pass straight through.  Nothing of
    it is left in the network, and it has no state.
    """

    def __init__(self, network: Network) -> None:
        convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
        self.layers = [m for m in convolutions if m.in_channels != 3]
        self.norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
        self.active = False
        for layer in self.layers:
            layer.register_forward_pre_hook(self.before)
        for part in written(network):
            part.register_forward_hook(self.after)

    @contextmanager
    def on(self) -> Iterator[None]:
        """In this block weights are rounded, maps as they pass, and norms stand still.

        The norms are those of what ships: a file has them in its weights.
        """
        kept = [layer.weight.detach().clone() for layer in self.layers]
        self.active = True
        for norm in self.norms:
            norm.eval()
        try:
            with torch.no_grad():
                for layer in self.layers:
                    layer.weight.copy_(rounded_weight(layer.weight))
            yield
        finally:
            self.active = False
            with torch.no_grad():
                for layer, weight in zip(self.layers, kept, strict=True):
                    layer.weight.copy_(weight)

    def before(self, layer: nn.Module, inputs: Any) -> Any:
        """[B, C, H, W] -> the same, rounded: a hook of what reads a map."""
        return (rounded_map(inputs[0]), *inputs[1:]) if self.active else None

    def after(self, layer: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        """[B, C, H, W] -> the same, rounded: a hook of what writes a map."""
        return rounded_map(output) if self.active else output


def written(network: Network) -> Iterator[nn.Module]:
    """The norms and classifiers whose output a file stores, which a ReLU does not follow."""
    chains = [m for m in network.modules() if isinstance(m, nn.Sequential)]
    pairs = [pair for chain in chains for pair in pairwise(chain)]
    followed = {id(first) for first, second in pairs if isinstance(second, nn.ReLU)}
    for part in network.modules():
        final = isinstance(part, nn.Conv2d) and part.bias is not None
        if (final or isinstance(part, nn.BatchNorm2d)) and id(part) not in followed:
            yield part


def rounded_weight(weight: Tensor) -> Tensor:
    """[D, C, h, w] -> the same in 128 steps from -max to max, of each output by itself."""
    largest = weight.abs().amax((1, 2, 3)).clamp(min=SMALLEST)
    zero = torch.zeros_like(largest, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight, largest / 64, zero, 0, -64, 64)


def rounded_map(x: Tensor) -> Tensor:
    """[B, C, H, W] -> the same in 256 steps from its least to its largest value, 0 among them."""
    least, largest = x.detach().float().aminmax()
    least, largest = least.clamp(max=0), largest.clamp(min=0)
    scale = ((largest - least) / 255).clamp(min=SMALLEST)
    zero = (-least / scale).round().to(torch.int32)
    return torch.fake_quantize_per_tensor_affine(x.float(), scale, zero, 0, 255).to(x.dtype)


SMALLEST = 1e-12
"""Of a scale: a layer may be nothing but zeros."""

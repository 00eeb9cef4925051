"""The workload of a real-time network: what its layers do, by kind, so how long it takes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from models.families.pyramid import stage
from models.families.realtime import SKIP, grain_of
from models.genotype import Genotype
from models.network import META, parameters
from models.ops import make_op

KINDS = ("dense", "pointwise", "depthwise")
"""Of convolutions: wide ones of all channels, 1x1, and each channel by itself."""
WORK = (*KINDS, "read", "gathered", "written", "classified", "layers")
"""Millions of multiply-adds of each kind, as a processor does them: whole blocks of
:data:`BLOCK` channels.  Millions of numbers that convolutions of all channels read, that wide ones
gather before they multiply, that all write, and that get a class; how many convolutions there are.
"""
BLOCK = 16
"""What a convolution writes is computed so many channels at once: 17 take as long as 32."""
MULTIPLY_ADDS = "multiply_adds"
"""Millions of multiply-adds, counted as everyone does."""
WEIGHTS = "weights"
"""Millions of numbers that are learned, which take memory and hardly any time."""

Workload = Mapping[str, float]
Size = tuple[int, int]


def workload(genotype: Genotype, size: Size, num_classes: int) -> Workload:
    """What one image of ``size`` (height, width) takes: each of :data:`WORK`, and the weights.

    Of the family ``realtime``.  Nothing is built but an op where it first stands, so that a search
    may ask a thousand times.
    """
    widths, channels = genotype.sizes["widths"], genotype.sizes["decoder"]
    assert isinstance(widths, tuple)
    assert isinstance(channels, tuple)
    maps = [halved(size, k + 1) for k in range(len(widths))]
    found = Counter(convolution(3, 3, widths[0], maps[0], source=size))
    for k, (c_in, c_out) in enumerate(pairwise(widths), 1):
        found.update(convolution(3, c_in, c_out, maps[k], source=maps[k - 1]))
    for edge in genotype.graphs["stages"]:
        k = stage(edge.src)
        found.update(op_work(edge.op, widths[k], maps[k]))
    found.update(convolution(1, widths[-1], channels[0], maps[-1]))
    for edge in genotype.graphs["context"]:
        found.update(op_work(edge.op, channels[0], maps[-1]))
    for edge, (coarse, fine) in zip(genotype.graphs["decoder"], pairwise(channels), strict=True):
        found.update(convolution(1, coarse, fine, maps[edge.src]))
        found.update(convolution(1, widths[edge.dst], fine, maps[edge.dst]))
        found.update(op_work(edge.op, fine, maps[edge.dst]))
    last = genotype.graphs["decoder"][-1].dst
    found.update(convolution(1, channels[-1], num_classes, maps[last], biased=True))
    height, width = (-(-length // grain_of(genotype)) for length in size)
    found.update({"classified": num_classes * area((height, width))})
    return {name: found[name] for name in (*WORK, MULTIPLY_ADDS, WEIGHTS)}


def halved(size: Size, times: int) -> Size:
    """A map's size after so many layers of stride 2."""
    return -(-size[0] // 2**times), -(-size[1] // 2**times)


def convolution(
    kernel: int,
    c_in: int,
    c_out: int,
    size: Size,
    *,
    source: Size | None = None,
    groups: int = 1,
    biased: bool = False,
) -> dict[str, float]:
    """What one does that writes a map of ``size`` and reads one of ``source``, or of the same.

    A batch norm follows, or it has a bias.
    """
    places, each = area(size), kernel**2 * c_in // groups
    found = {
        MULTIPLY_ADDS: each * c_out * places,
        WEIGHTS: (each + (1 if biased else 2)) * c_out / 1e6,
        "written": c_out * places,
        "layers": 1,
    }
    if groups > 1:
        return {**found, "depthwise": found[MULTIPLY_ADDS]}
    found["read"] = c_in * area(source or size)
    done = each * math.ceil(c_out / BLOCK) * BLOCK * places
    if kernel == 1:
        return {**found, "pointwise": done}
    return {**found, "dense": done, "gathered": each * places}


def area(size: Size) -> float:
    """Millions of places of a map."""
    return size[0] * size[1] / 1e6


@cache
def op_work(op: str, channels: int, size: Size) -> Workload:
    """What an op does on a map of ``size``."""
    if op == SKIP:
        return {}
    found: Counter[str] = Counter()
    with torch.device(META):
        module = make_op(op, channels).eval()
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(noted(found))
    with torch.no_grad():
        module(torch.empty(1, channels, *size, device=META))
    return {**found, WEIGHTS: parameters(module) / 1e6}


def noted(found: Counter[str]) -> Any:
    """A hook that adds up what a convolution does."""

    def hook(layer: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        size = (output.shape[2], output.shape[3])
        kernel, groups = layer.kernel_size[0], layer.groups
        found.update(
            convolution(kernel, layer.in_channels, layer.out_channels, size, groups=groups)
        )

    return hook

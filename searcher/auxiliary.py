"""What stands beside a network while it is trained and never ships: a second head, drop path."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from models.cell import Cell
from models.convolutions import spatial
from models.families import pyramid
from models.layers import ConvNormAct, resize
from models.network import Network

WIDEST = 128
"""The most channels of a second head."""

SELDOM = 4
"""A second head is asked about every fourth pixel of a height and a width (decision 0035)."""


class Bare(nn.Module):
    """A network alone, as it learns: pixels [B, 3, H, W] -> the logits of its squares."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """[B, 3, H, W] -> [B, K, H/grain, W/grain]."""
        return (self.network.squares(pixels),)


class Tapped(nn.Module):
    """A network, and a head on the ``middle`` of its body that must know the classes too.

    The head is the body's own, where its paper has one.  The network is the one given and remains
    a network of its own.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.head = second_head(network)

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """[B, 3, H, W] -> logits of squares, and [B, K, H/4, W/4] of each second head.

        Of a classifier [B, K, 1, 1] both.  Auxiliary cells are several heads.
        """
        logits, seen = tap(self.network, pixels)
        found = self.head(seen)
        second = found if isinstance(found, tuple) else (found,)
        height, width = spatial(logits if self.network.labels == "images" else pixels)
        size = (-(-height // SELDOM), -(-width // SELDOM))
        return logits, *(resize(other, size) for other in second)


def seldom(labels: Tensor) -> Tensor:
    """[B, H, W] -> [B, H/4, W/4]: the labels that a second head is asked for."""
    return labels[:, ::SELDOM, ::SELDOM]


def second_head(network: Network) -> nn.Module:
    """The body's ``auxiliary_head``, or a general one: the middle -> logits [B, K, h, w]."""
    if callable(make := getattr(network.body, "auxiliary_head", None)):
        return make(network.num_classes)
    with torch.no_grad():
        blank = torch.zeros(1, 3, 64, 64, device=network.pixel_mean.device)
        channels = tap(network.eval(), blank)[1].shape[1]
    width = min(channels, WIDEST)
    return nn.Sequential(
        nn.ReLU(), ConvNormAct(channels, width, 3), nn.Conv2d(width, network.num_classes, 1)
    )


def tap(network: Network, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """[B, 3, H, W] -> the logits of squares, and the middle of a network's body [B, C, h, w]."""
    seen: list[Tensor] = []
    handle = middle(network).register_forward_hook(lambda *call: seen.append(call[2]))
    try:
        return network.squares(pixels), seen[0]
    finally:
        handle.remove()


def middle(network: Network) -> nn.Module:
    """The part of a body that a second head reads; ``ValueError`` where the family has none."""
    found = getattr(network.body, "middle", None)
    if not isinstance(found, nn.Module):
        raise ValueError(
            f"train.auxiliary: family {network.genotype.family!r} has no place for a second head; "
            f"set it to 0"
        )
    return found


class DropPath:
    """Leaves out, in training, each op of a cell for each sample with a chance of ``rate``.

    What stays is scaled up by 1 / (1 - rate); an identity is never left out (DARTS, as released).
    """

    def __init__(self, network: Network) -> None:
        self.rate = 0.0
        for cell in network.modules():
            if isinstance(cell, Cell | pyramid.Stage):
                for op in cell.ops:
                    if not isinstance(op, nn.Identity):
                        op.register_forward_hook(self.drop)

    def drop(self, op: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]: a hook."""
        if not op.training or not self.rate:
            return output
        keep = 1 - self.rate
        mask = output.new_empty(len(output), 1, 1, 1).bernoulli_(keep)
        return output * mask / keep

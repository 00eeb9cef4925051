"""Where the ops of a network stand: each slot, and the size of the map that arrives there."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.cell import Slot
from models.genotype import Genotype
from models.network import build


@dataclass(frozen=True, order=True)
class OpKey:
    """What an op costs depends on: its name, its channels and stride, and the size it reads."""

    op: str
    channels: int
    stride: int
    height: int
    width: int


@dataclass(frozen=True)
class Stand:
    """A slot and the height and width of its input."""

    slot: Slot
    height: int
    width: int

    def key(self, op: str) -> OpKey:
        """What ``op`` would be priced as, if it stood here."""
        return OpKey(op, self.slot.channels, self.slot.stride, self.height, self.width)


class Recorder(nn.Module):
    """Stands in a slot, notes the size of what arrives, and answers with zeros of the right size.

    A slot that several batches pass (the ways into a node of a trellis) is noted once for each.
    """

    def __init__(self, slot: Slot, stands: list[Stand]) -> None:
        super().__init__()
        self.slot, self.stands = slot, stands

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H/stride, W/stride]."""
        self.stands.append(Stand(self.slot, x.shape[2], x.shape[3]))
        return x[:, :, :: self.slot.stride, :: self.slot.stride]


@torch.no_grad()
def stands(genotype: Genotype, size: tuple[int, int], num_classes: int = 2) -> tuple[Stand, ...]:
    """Every place where an edge of ``genotype`` stands in its network, in the order of the pass.

    ``size`` is the height and width of the image.  An edge stands in as many places as its cell.
    No op is built, so it takes milliseconds for a complete genotype too.  Torch's random state
    stays as it is: whoever asks searches and trains like one who does not.
    """
    found: list[Stand] = []
    with torch.random.fork_rng(devices=()):
        network = build(genotype, num_classes, place=lambda slot: Recorder(slot, found)).eval()
    network(torch.zeros(1, 3, *size))
    return tuple(found)

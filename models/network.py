"""``build``: from a genotype to a network that reads pixels and writes logits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from models.cell import Place, concrete
from models.convolutions import spatial
from models.families import CLASSIFIERS, FAMILIES
from models.genotype import Genotype, Labels
from models.layers import resize, spread

PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)


class Network(nn.Module):
    """Pixels in, logits out.  Normalisation lives here and nowhere else."""

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, genotype: Genotype, num_classes: int, body: nn.Module) -> None:
        super().__init__()
        self.genotype, self.num_classes, self.body = genotype, num_classes, body
        self.register_buffer("pixel_mean", torch.tensor(PIXEL_MEAN).view(-1, 1, 1), False)
        self.register_buffer("pixel_std", torch.tensor(PIXEL_STD).view(-1, 1, 1), False)

    def forward(self, pixels: Tensor) -> Tensor:
        """[B, 3, H, W] in 0..255 -> logits [B, K, H, W], or [B, K, 1, 1] of a classifier."""
        logits = self.squares(pixels)
        if self.labels == "images":
            return logits
        return spread(logits, self.grain, spatial(pixels))

    def squares(self, pixels: Tensor) -> Tensor:
        """[B, 3, H, W] in 0..255 -> the logits of what gets a class: [B, K, H/grain, W/grain]."""
        logits = self.body((pixels - self.pixel_mean) / self.pixel_std)
        if self.labels == "images":
            return logits
        if self.training:  # few classes, side by side: slow to resize and to compare
            logits = logits.contiguous()
        height, width = spatial(pixels)
        return resize(logits, (-(-height // self.grain), -(-width // self.grain)))

    @property
    def grain(self) -> int:
        """The side in pixels of the squares that get one class each: mostly 1."""
        return getattr(self.body, "grain", 1)

    @property
    def labels(self) -> Labels:
        """What the network gives a class to."""
        return "images" if self.genotype.family in CLASSIFIERS else "pixels"


class PixelsToLabels(nn.Module):
    """What is shipped: uint8 pixels [B, H, W, 3] in, uint8 labels [B, H, W] out."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        """[B, H, W, 3] -> [B, H, W].  The cast comes first: TensorRT refuses to permute uint8."""
        seen = pixels.float().permute(0, 3, 1, 2)
        if not isinstance(self.network, Network):
            return self.network(seen).argmax(1).to(torch.uint8)
        squares = self.network.squares(seen).argmax(1, keepdim=True)
        if self.network.grain > 1:  # TensorRT resizes no whole numbers
            squares = spread(squares.float(), self.network.grain, spatial(seen))
        return squares[:, 0].to(torch.uint8)


class PixelsToLogits(nn.Module):
    """What is shipped on request: uint8 pixels [B, H, W, 3] in, float32 logits [B, K, H, W] out."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        """[B, H, W, 3] -> [B, K, H, W]."""
        return self.network(pixels.float().permute(0, 3, 1, 2))


def build(genotype: Genotype, num_classes: int, *, place: Place = concrete) -> Network:
    """The network that ``genotype`` describes, with fresh weights.

    ``ValueError`` names the key of the genotype that its family cannot use.
    """
    if genotype.family not in FAMILIES:
        raise ValueError(
            f"unknown family {genotype.family!r}; choose from {', '.join(sorted(FAMILIES))}"
        )
    family = FAMILIES[genotype.family]
    refuse_unknown("graphs", genotype.graphs, family.GRAPHS)
    refuse_unknown("sizes", genotype.sizes, family.SIZES)
    return Network(genotype, num_classes, family(genotype, num_classes, place))


def refuse_unknown(where: str, names: Iterable[str], known: tuple[str, ...]) -> None:
    """``ValueError`` names the first key that the family does not read."""
    for name in names:
        if name not in known:
            raise ValueError(f"unknown key {where}.{name}; choose from {', '.join(known)}")


def parameters(network: nn.Module) -> int:
    """How many numbers are learned."""
    return sum(p.numel() for p in network.parameters())


def macs(network: nn.Module, size: tuple[int, int]) -> int:
    """Multiply-adds of convolutions and products for one image of ``size`` (height, width).

    Of ``network`` in evaluation mode, which stays as it is.  Nothing is computed: torch passes
    the shapes alone through it, so that size and memory do not matter.
    """
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter, evaluating(network):
        torch.func.functional_call(network, hollow(network), torch.empty(1, 3, *size, device=META))
    return counter.get_total_flops() // 2


META = "meta"
"""The device of tensors that have a shape and no numbers."""


def hollow(network: nn.Module) -> dict[str, Tensor]:
    """Every parameter and buffer by name, without its numbers."""
    return {n: t.to(META) for n, t in (*network.named_parameters(), *network.named_buffers())}


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """The network in evaluation mode, and afterwards in the one that it was in."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training

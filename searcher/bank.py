"""The bank: one set of weights for all networks of a space.

A network's layer has, by its name, a tensor that is as large as that layer is anywhere in the
space, and reads its first channels (slimmable networks, Yu et al., ICLR 2019; once for all, Cai et
al., ICLR 2020).  No network is in it: which one learns is said with every batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path

import torch
from safetensors.torch import save as packed
from torch import Tensor, nn
from torch.func import functional_call

from files import write_bytes
from models.genotype import Genotype
from models.network import Network, build
from models.weights import read

Sizes = tuple[int, ...]
BANK = "bank.safetensors"


class Bank(nn.Module):
    """The weights of the networks of ``widest``, which together have every layer of a space."""

    def __init__(self, widest: Iterable[Genotype], num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        largest: dict[str, Tensor] = {}
        for genotype in widest:
            for name, fresh in build(genotype, num_classes).named_parameters():
                known = largest.get(name)
                if known is None or fresh.numel() > known.numel():
                    largest[name] = fresh.detach()
        self.weights = nn.ParameterDict({plain(n): nn.Parameter(t) for n, t in largest.items()})

    def of(self, network: nn.Module) -> Mapping[str, Tensor]:
        """The weights that the bank has for a network, by the names that they have there."""
        return {n: first(self.weights[plain(n)], p.shape) for n, p in network.named_parameters()}

    def forward(self, network: nn.Module, pixels: Tensor) -> Tensor:
        """[B, 3, H, W] -> [B, K, H, W]: what ``network`` says with the bank's weights.

        Gradients go to the bank.  The network's own norms follow what passes.
        """
        return functional_call(network, dict(self.of(network)), (pixels,))

    @torch.no_grad()
    def network(self, genotype: Genotype) -> Network:
        """A network with the bank's weights, and norms that have not seen anything yet."""
        made = build(genotype, self.num_classes)
        for name, inherited in self.of(made).items():
            made.get_parameter(name).copy_(inherited)
        return made

    @cached_property
    def size(self) -> int:
        """How many numbers it has."""
        return sum(p.numel() for p in self.weights.values())

    def save(self, path: Path) -> None:
        """Write its weights, as safetensors."""
        write_bytes(path, packed({n: t.detach().contiguous() for n, t in self.weights.items()}))

    def load(self, path: Path) -> None:
        """Take the weights at ``path``; ``ValueError`` where they are not of this space."""
        tensors = read(path)
        shapes = {name: tensor.shape for name, tensor in tensors.items()}
        if shapes != {name: p.shape for name, p in self.weights.items()}:
            raise ValueError(
                f"search.bank: {path} is the bank of another space or other classes: name a search "
                f"with the same search.sizes on this data"
            )
        with torch.no_grad():
            for name, tensor in tensors.items():
                self.weights[name].copy_(tensor)


def plain(name: str) -> str:
    """A parameter's name as a key: torch does not take dots."""
    return name.replace(".", "/")


def first(tensor: Tensor, shape: Sizes) -> Tensor:
    """The first of a tensor's numbers in each direction."""
    return tensor[tuple(slice(length) for length in shape)]

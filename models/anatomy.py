"""The anatomy of a network: how many numbers each part of it learns, and what an image costs."""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from models.families import FAMILIES
from models.genotype import Genotype
from models.network import META, Network, build, evaluating, macs, parameters

CLASSES, SIZE = 19, (1025, 2049)
"""Cityscapes: what is counted for where nobody says it.

A family for other tasks has ``CLASSES`` and ``SIZE`` of its own.
"""
HEAD = "head"
"""The name that every body has for what makes logits of its maps."""
PROBE = 257
"""Pixels of the image on which the output stride is measured: 2^8 + 1."""


@dataclass(frozen=True)
class Parameters:
    """How many numbers are learned."""

    encoder: int
    """By all that is not ``head``."""
    head: int
    auxiliary: int
    """By the paper's second head, which is trained with the network and does not ship; or 0."""

    @property
    def without_auxiliary(self) -> int:
        return self.encoder + self.head

    @property
    def total(self) -> int:
        return self.without_auxiliary + self.auxiliary

    def row(self) -> dict[str, int]:
        return {"total": self.total, "without_auxiliary": self.without_auxiliary, **vars(self)}


@dataclass(frozen=True)
class Anatomy:
    """What is known of a network before it is trained."""

    genotype: Genotype
    classes: int
    size: tuple[int, int]
    """Height and width of the image that ``macs`` are of."""
    parameters: Parameters
    macs: int
    """Multiply-adds of one image in evaluation mode, without the second head."""
    output_stride: int
    """By how much the map is smaller than the image that the head reads last.

    Of a body that decodes the maps of an encoder: by how much its logits are.
    """

    def row(self) -> dict[str, Any]:
        """As one JSON object."""
        size = f"{self.size[0]}x{self.size[1]}"
        return {
            "family": self.genotype.family,
            "fingerprint": self.genotype.fingerprint,
            "classes": self.classes,
            "size": size,
            "parameters": self.parameters.row(),
            "macs": self.macs,
            "output_stride": self.output_stride,
            "graphs": {n: [astuple(e) for e in es] for n, es in self.genotype.graphs.items()},
            "sizes": dict(self.genotype.sizes),
        }


def dissect(genotype: Genotype, classes: int, size: tuple[int, int]) -> Anatomy:
    """The anatomy of the network that ``genotype`` builds; nothing is computed or allocated.

    ``ValueError`` names the key of the genotype that is wrong, or the size that is too small.
    """
    with torch.device(META):
        network = build(genotype, classes)
        auxiliary = getattr(network.body, "auxiliary_head", None)
        second = parameters(auxiliary(classes)) if auxiliary else 0
    head = sum(parameters(network.body.get_submodule(part)) for part in head_of(network.body))
    counted = Parameters(parameters(network) - head, head, second)
    drop_norms(network)
    stride = output_stride(network)
    return Anatomy(genotype, classes, size, counted, macs(network, size), stride)


def drop_norms(network: nn.Module) -> None:
    """Take out the batch norms: they change no shape, are not counted, and take half the time."""
    for module in [*network.modules()]:
        for name, part in module.named_children():
            if isinstance(part, nn.BatchNorm2d):
                setattr(module, name, nn.Identity())


def usual(genotype: Genotype) -> tuple[int, tuple[int, int]]:
    """The classes and the size that a genotype of its family is counted for."""
    family = FAMILIES.get(genotype.family)
    return getattr(family, "CLASSES", CLASSES), getattr(family, "SIZE", SIZE)


def head_of(body: nn.Module) -> tuple[str, ...]:
    """The parts of a body that are its head: mostly one of that name."""
    return getattr(body, "HEAD", (HEAD,))


def output_stride(network: Network) -> int:
    """The stride of the last map [B, C, h, w] that is computed before the head, or of logits."""
    if hasattr(network.body, "decode") or len(head_of(network.body)) > 1:
        with torch.no_grad(), evaluating(network):
            logits = network.body(torch.empty(1, 3, PROBE, PROBE, device=META))
        return nearest_stride(logits.shape[2])
    heights: list[int] = []
    finished: list[bool] = []
    head = network.body.get_submodule(HEAD)

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.dim() == 4 and not finished:
            heights.append(output.shape[2])

    hooks = [part.register_forward_hook(note) for part in network.body.modules()]
    hooks.append(head.register_forward_pre_hook(lambda *_: finished.append(True)))
    try:
        with torch.no_grad(), evaluating(network):
            network(torch.empty(1, 3, PROBE, PROBE, device=META))
    finally:
        for hook in hooks:
            hook.remove()
    return nearest_stride(heights[-1])


def nearest_stride(height: int) -> int:
    """The power of two by which a map of the probe is smaller."""
    return 2 ** round(math.log2(PROBE / height))

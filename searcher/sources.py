"""Sources: what a candidate learns from and is scored on: images, or the maps of an encoder."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.genotype import Genotype
from models.layers import resize
from models.network import Network, build
from models.weights import load_encoder
from searcher.auxiliary import Tapped
from searcher.distill import load_teacher
from searcher.task import Task

QUARTER = 4
"""Decoders learn from labels of a quarter of the images' height and width, as in Fast NAS."""


class Example(NamedTuple):
    """A batch."""

    x: Any
    """Pixels [B, 3, H, W], or an encoder's maps."""
    labels: Tensor
    """[B, H, W]"""
    taught: Tensor | None = None
    """A teacher's logits, [B, K, H, W]."""


class Source(Protocol):
    """What candidates learn from and are scored on."""

    def ready(self, genotype: Genotype) -> Network:
        """The network of a candidate, as it begins."""

    def train(self, epoch: int) -> Iterator[Example]: ...

    def val(self) -> Iterator[Example]: ...

    def logits(self, network: Network, x: Any) -> Tensor:
        """[B, K, h, w]"""

    def heard(self, module: nn.Module, x: Any) -> tuple[Tensor, ...]:
        """The logits of a network, and those of the second heads of a :class:`Tapped` one."""


class Whole:
    """The whole network learns from images, its encoder from the weights at ``encoder`` if any."""

    def __init__(self, task: Task, encoder: Path | None = None) -> None:
        self.task, self.encoder = task, encoder

    def ready(self, genotype: Genotype) -> Network:
        network = build(genotype, self.task.num_classes)
        if self.encoder:
            load_encoder(network.body, self.encoder, "search.encoder")
        self.task.place(network)
        return network

    def train(self, epoch: int) -> Iterator[Example]:
        return (Example(*batch) for batch in self.task.ready(self.task.train, epoch))

    def val(self) -> Iterator[Example]:
        return (Example(*batch) for batch in self.task.ready(self.task.val, 0))

    def logits(self, network: Network, x: Tensor) -> Tensor:
        """[B, 3, H, W] -> [B, K, H, W]."""
        return self.task.logits(network, x)

    def heard(self, module: nn.Module, x: Tensor) -> tuple[Tensor, ...]:
        with self.task.fabric.autocast():
            found = module(x)
        return found if isinstance(found, tuple) else (found,)


class Kept(NamedTuple):
    """What is known of the images to train on: tensors of one row an image."""

    maps: tuple[Tensor, ...]
    """[N, Ci, h/stride, w/stride] each."""
    labels: Tensor
    """[N, h, w]: a quarter of the images' size."""
    taught: Tensor | None
    """[N, K, h, w]"""

    def rows(self, chosen: Tensor) -> Example:
        """The images of these numbers."""
        taught = None if self.taught is None else self.taught[chosen]
        return Example(tuple(m[chosen] for m in self.maps), self.labels[chosen], taught)


class Decoders:
    """The decoder learns from the maps of an encoder that stays as it is, computed once.

    ``path`` is what :func:`models.weights.load_encoder` reads, ``teacher`` the folder of a training
    or a bundle whose logits are computed with the maps.  Those of one epoch's images are kept in
    memory, and drawn anew into batches in every epoch.
    """

    def __init__(
        self, task: Task, path: Path, any_one: Genotype, teacher: Path | None = None
    ) -> None:
        self.task, self.any_one = task, any_one
        self.whole = Whole(task, path)
        self.teacher = load_teacher(teacher, task, "search.proxy.teacher") if teacher else None

    def ready(self, genotype: Genotype) -> Network:
        return self.whole.ready(genotype)

    @cached_property
    def network(self) -> Network:
        """One whose encoder computes the maps."""
        return self.ready(self.any_one).eval()

    @cached_property
    def kept(self) -> Kept:
        """Of the images to train on."""
        found = [self.quartered(example) for example in self.whole.train(0)]
        maps, labels, taught = zip(*found, strict=True)
        logits = None if self.teacher is None else torch.cat(taught)
        return Kept(tuple(map(torch.cat, zip(*maps, strict=True))), torch.cat(labels), logits)

    @cached_property
    def kept_val(self) -> list[Example]:
        """Of the images to validate on: batches with labels as large as they are."""
        return [Example(self.maps(x), labels) for x, labels, _ in self.whole.val()]

    def quartered(self, example: Example) -> Example:
        """Pixels and labels -> maps, labels of a quarter of the size, and what a teacher says."""
        pixels, labels, _ = example
        size = (-(-labels.shape[1] // QUARTER), -(-labels.shape[2] // QUARTER))
        fewer = F.interpolate(labels[:, None].float(), size, mode="nearest-exact")[:, 0].long()
        return Example(self.maps(pixels), fewer, self.taught(pixels, size))

    @torch.no_grad()
    def maps(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """[B, 3, H, W] -> the encoder's maps."""
        with self.task.fabric.autocast():
            x = (pixels - self.network.pixel_mean) / self.network.pixel_std
            return self.network.get_submodule("body.encoder")(x)

    @torch.no_grad()
    def taught(self, pixels: Tensor, size: tuple[int, int]) -> Tensor | None:
        """[B, 3, H, W] -> the teacher's logits [B, K, *size]; None without one."""
        if self.teacher is None:
            return None
        return resize(self.task.logits(self.teacher, pixels), size)

    def train(self, epoch: int) -> Iterator[Example]:
        count = len(self.kept.labels)
        order = torch.tensor(random.Random(epoch).sample(range(count), count))
        batch = min(self.task.train.batch, count)
        for chosen in order[: count - count % batch].split(batch):
            self.task.tick()
            yield self.kept.rows(chosen.to(self.kept.labels.device))

    def val(self) -> Iterator[Example]:
        return iter(self.kept_val)

    def logits(self, network: Network, x: tuple[Tensor, ...]) -> Tensor:
        """An encoder's maps -> [B, K, h, w]."""
        return self.heard(network, x)[0].float()

    def heard(self, module: nn.Module, x: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        with self.task.fabric.autocast():
            if not isinstance(module, Tapped):
                return (decoder(module).decode(x),)
            logits, others = decoder(module.network).decode_all(x, module.head)
            return (logits, *others)


def decoder(network: Any) -> Any:
    """The body, which can decode."""
    return network.body

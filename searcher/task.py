"""The task: the data a search or a training works on, and how a network is scored on it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from models.genotype import Genotype, Labels
from pace import never
from searcher import ranks
from searcher.budgets import Budget
from searcher.costs import Target
from searcher.data.batches import Batch, Batches
from searcher.losses import Criterion, cross_entropy
from searcher.metrics import Confusion

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True)
class Task:
    """What is learned from and on which device: ``train`` for weights, ``arch`` for architecture.

    ``arch`` is the other half of the training images during a search, and empty after it.
    """

    num_classes: int
    fabric: Fabric
    train: Batches
    val: Batches
    arch: Batches | None = None
    labels: Labels = "pixels"
    """What has a class.  An image with one is a map of one pixel: nothing but scores differs."""
    background: int | None = None
    """The class that is whatever the others are not, where there is one."""
    tick: Callable[[], None] = lambda: None
    """Called for every batch to train on that was drawn."""
    target: Target | None = None
    """What an architecture costs, where the search minds."""
    budget: Budget | None = None
    """What one may cost, where the search has a bound."""
    parents: Mapping[str, Genotype] = field(default_factory=dict)
    """The networks that a search begins with, by the names that the recipe calls them."""

    def ready(self, batches: Batches, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from ``start`` on, on the task's device.

        Of several processes each has its part of every batch.
        """
        rank, count = self.fabric.global_rank, self.fabric.world_size
        for pixels, labels in batches(epoch, start, rank, count):
            if batches is self.train:
                self.tick()
            yield self.fabric.to_device(pixels), self.fabric.to_device(labels)

    def place(self, network: nn.Module) -> None:
        """Move a network to the task's device, its weights channels last like the images."""
        network.to(self.fabric.device)
        for p in network.parameters():
            if p.ndim == 4:
                p.data = p.data.contiguous(memory_format=torch.channels_last)

    def logits(self, network: nn.Module, pixels: Tensor) -> Tensor:
        """[B, 3, H, W] -> float32 [B, K, H, W] or [B, K, 1, 1], in the task's precision."""
        with self.fabric.autocast():
            return network(pixels).float()

    def loss(
        self, network: nn.Module, batch: Batch, criterion: Criterion = cross_entropy
    ) -> Tensor:
        """What ``criterion`` says about a batch; ``ValueError`` where it is not finite."""
        pixels, labels = batch
        return finite(criterion(self.logits(network, pixels), labels))

    @torch.no_grad()
    def score(self, network: nn.Module, between: Callable[[], None] = never) -> Confusion:
        """The confusion matrix over the validation split; ``between`` is called after a batch.

        Of several processes each labels its part, with the network that the first one ships.
        """
        ranks.share_buffers(network)
        network.eval()
        confusion = Confusion(self.num_classes)
        for pixels, labels in self.ready(self.val, 0):
            confusion.add(self.logits(network, pixels).argmax(1), labels)
            between()
        confusion.table = ranks.total(confusion.table.to(self.fabric.device)).cpu()
        return confusion

    @property
    def metric(self) -> str:
        """The name of the score that ranks networks."""
        return "accuracy" if self.labels == "images" else "miou"

    def scores(self, confusion: Confusion) -> Mapping[str, float]:
        """What is reported of a validation, 0..1, :attr:`metric` among it."""
        if self.labels == "images":
            return {"accuracy": confusion.pixel_accuracy}
        return {"miou": confusion.miou, "pixel_accuracy": confusion.pixel_accuracy}

    def value(self, network: nn.Module, between: Callable[[], None] = never) -> float:
        """The score that ranks ``network`` on the validation split: see :attr:`metric`."""
        return self.scores(self.score(network, between))[self.metric]


def finite(loss: Tensor) -> Tensor:
    """The loss; ``ValueError`` where it is no number."""
    if not math.isfinite(loss.item()):
        raise ValueError(
            "the loss is no longer a number: lower the learning rate and choose another "
            "folder with --set out=DIR"
        )
    return loss

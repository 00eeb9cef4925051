"""Estimators: what a candidate is worth, found out by training it for a while."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from models.genotype import Genotype
from models.layers import resize
from models.network import Network, build, macs, parameters
from models.weights import load_encoder
from pace import never
from searcher.auxiliary import Tapped
from searcher.data import IGNORE
from searcher.learner import hasten_norms
from searcher.metrics import Confusion
from searcher.task import Task, finite
from sections import Proxy

Costs = Mapping[str, float]
Example = tuple[Any, Tensor]
"""Pixels, or an encoder's maps, and labels [B, H, W]."""

CLIP, DECAY = 3.0, 1e-5
"""The longest gradient and the weight decay of Fast NAS's candidates."""


class Estimator(Protocol):
    """Scores a candidate, the same for the same ``seed``."""

    def __call__(
        self, genotype: Genotype, seed: int, between: Callable[[], None] = never
    ) -> tuple[float, Costs]: ...


class Source(Protocol):
    """What candidates learn from and are scored on."""

    def ready(self, genotype: Genotype) -> Network:
        """The network of a candidate, as it begins."""

    def train(self, epoch: int) -> Iterator[Example]: ...

    def val(self) -> Iterator[Example]: ...

    def logits(self, network: Network, x: Any) -> Tensor:
        """[B, K, h, w]"""

    def tapped(self, network: Network) -> tuple[nn.Module, Callable[[Any], tuple[Tensor, ...]]]:
        """What learns, and what it says in training: the logits, and those of second heads."""


class Whole:
    """The whole network learns from images."""

    def __init__(self, task: Task) -> None:
        self.task = task

    def ready(self, genotype: Genotype) -> Network:
        network = build(genotype, self.task.num_classes)
        self.task.place(network)
        return network

    def train(self, epoch: int) -> Iterator[Example]:
        return self.task.ready(self.task.train, epoch)

    def val(self) -> Iterator[Example]:
        return self.task.ready(self.task.val, 0)

    def logits(self, network: Network, x: Tensor) -> Tensor:
        """[B, 3, H, W] -> [B, K, H, W]."""
        return self.task.logits(network, x)

    def tapped(self, network: Network) -> tuple[nn.Module, Callable[[Any], tuple[Tensor, ...]]]:
        module = Tapped(network) if hasattr(network.body, "auxiliary_head") else network
        self.task.place(module)

        def heard(x: Tensor) -> tuple[Tensor, ...]:
            with self.task.fabric.autocast():
                found = module(x)
            return found if isinstance(found, tuple) else (found,)

        return module, heard


class Decoders:
    """The decoder learns from the maps of an encoder that stays as it is, computed once.

    ``path`` is what :func:`models.weights.load_encoder` reads.  The maps are those of one epoch's
    images, kept in memory.
    """

    def __init__(self, task: Task, path: Path, any_one: Genotype) -> None:
        self.task, self.path, self.any_one = task, path, any_one

    def ready(self, genotype: Genotype) -> Network:
        network = build(genotype, self.task.num_classes)
        load_encoder(network.body, self.path, "search.encoder")
        self.task.place(network)
        return network

    @cached_property
    def kept(self) -> tuple[list[Example], list[Example]]:
        """The maps of the images to train on, and of those to validate on."""
        network = self.ready(self.any_one).eval()
        whole = Whole(self.task)
        return self.encoded(network, whole.train(0)), self.encoded(network, whole.val())

    @torch.no_grad()
    def encoded(self, network: Network, examples: Iterator[Example]) -> list[Example]:
        found = []
        for pixels, labels in examples:
            with self.task.fabric.autocast():
                x = (pixels - network.pixel_mean) / network.pixel_std
                found.append((network.get_submodule("body.encoder")(x), labels))
        return found

    def train(self, epoch: int) -> Iterator[Example]:
        for i in random.Random(epoch).sample(range(len(self.kept[0])), len(self.kept[0])):
            self.task.tick()
            yield self.kept[0][i]

    def val(self) -> Iterator[Example]:
        return iter(self.kept[1])

    def logits(self, network: Network, x: tuple[Tensor, ...]) -> Tensor:
        """An encoder's maps -> [B, K, h, w]."""
        with self.task.fabric.autocast():
            return self.decoder(network).decode(x).float()

    def decoder(self, network: Network) -> Any:
        """The body, which can decode."""
        return network.body

    def tapped(self, network: Network) -> tuple[nn.Module, Callable[[Any], tuple[Tensor, ...]]]:
        network.get_submodule("body.encoder").requires_grad_(False)
        body = self.decoder(network)
        if not hasattr(body, "auxiliary_head"):
            return network, lambda x: (self.logits(network, x),)
        auxiliary = body.auxiliary_head(self.task.num_classes)
        self.task.place(auxiliary)

        def heard(x: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            with self.task.fabric.autocast():
                logits, others = body.decode_all(x, auxiliary)
            return (logits, *others)

        return nn.ModuleList([network, auxiliary]), heard


class ProxyTraining:
    """A candidate is trained for ``proxy.epochs`` and validated as the average of its weights.

    The average follows the statistics of batch norms too, which Fast NAS's does not.
    """

    def __init__(self, source: Source, task: Task, proxy: Proxy, score: Callable[..., float]):
        self.source, self.task, self.proxy, self.score = source, task, proxy, score

    def __call__(
        self, genotype: Genotype, seed: int, between: Callable[[], None] = never
    ) -> tuple[float, Costs]:
        """Its score, 0 where it does not fit into memory, and its size at the images' size."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = self.source.ready(genotype)
            try:
                confusion = self.confusion(self.trained(network, between), between)
            except torch.OutOfMemoryError:
                return 0.0, counted(network, self.size)
        return self.score(confusion), counted(network, self.size)

    def trained(self, network: Network, between: Callable[[], None]) -> Network:
        """The running average of a network's weights after its training."""
        module, heard = self.source.tapped(network)
        hasten_norms(network, self.proxy.epochs * len(self.task.train))
        learned = [p for p in module.parameters() if p.requires_grad]
        optimizer = torch.optim.Adam(learned, self.proxy.lr, weight_decay=DECAY)
        follow = get_ema_multi_avg_fn(self.proxy.polyak)
        average = AveragedModel(network, multi_avg_fn=follow, use_buffers=True)
        module.train()
        for epoch in range(self.proxy.epochs):
            for x, labels in self.source.train(epoch):
                optimizer.zero_grad()
                loss, *others = (loss_of(logits, labels) for logits in heard(x))
                finite(loss + self.proxy.auxiliary * sum(others)).backward()
                nn.utils.clip_grad_norm_(learned, CLIP)
                optimizer.step()
                average.update_parameters(network)
                between()
        assert isinstance(average.module, Network)
        return average.module.eval()

    @torch.no_grad()
    def confusion(self, network: Network, between: Callable[[], None]) -> Confusion:
        found = Confusion(self.task.num_classes)
        for x, labels in self.source.val():
            logits = resize(self.source.logits(network, x), (labels.shape[1], labels.shape[2]))
            found.add(logits.argmax(1), labels)
            between()
        return found

    @cached_property
    def size(self) -> tuple[int, int]:
        """Height and width of the images to validate on."""
        _, labels = next(self.source.val())
        return labels.shape[1], labels.shape[2]


def loss_of(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy at the size of the labels: a scalar."""
    resized = resize(logits.float(), (labels.shape[1], labels.shape[2]))
    return F.cross_entropy(resized, labels, ignore_index=IGNORE)


def counted(network: Network, size: tuple[int, int]) -> Costs:
    """Millions of parameters, billions of multiply-adds for one image."""
    return {"mparams": parameters(network) / 1e6, "gmacs": macs(network, size) / 1e9}

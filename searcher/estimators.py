"""Estimators: what a candidate is worth, found out by training it for a while."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD, Adam, Optimizer
from torch.optim.swa_utils import get_ema_multi_avg_fn

from models.anatomy import drop_norms
from models.genotype import Genotype
from models.layers import resize
from models.network import Network, macs, parameters
from pace import never
from searcher.auxiliary import Tapped
from searcher.data import IGNORE
from searcher.distill import distance
from searcher.learner import hasten_norms
from searcher.metrics import Confusion
from searcher.sources import Example, Source
from searcher.stopping import goes_on
from searcher.strategies import Trial
from searcher.task import Task, finite
from sections import Proxy

CLIP, DECAY = 3.0, 1e-5
"""The longest gradient and the weight decay of Fast NAS's candidates."""
ENCODER_LR, MOMENTUM, WHOLE_POLYAK = 1e-3, 0.9, 0.99
"""How its encoder learns in the second stage, and how slowly the average follows all of it."""
TAUGHT = 0.3
"""How much a teacher's logits count beside the labels."""


class Estimator(Protocol):
    """Scores a candidate, the same for the same ``seed`` and the same trials ``before`` it."""

    def __call__(
        self,
        genotype: Genotype,
        seed: int,
        between: Callable[[], None] = never,
        before: Sequence[Trial] = (),
    ) -> Trial: ...


class Lasting(Estimator, Protocol):
    """One that trains a candidate for as long as it is told."""

    def lasting(self, epochs: int) -> Estimator: ...


Optimizers = Callable[[Network, nn.Module, float], list[Optimizer]]
"""What moves a network and what stands beside it, by the rate of a decoder."""


def by_adam(network: Network, module: nn.Module, lr: float) -> list[Optimizer]:
    """Adam for all that learns."""
    return [Adam(module.parameters(), lr, weight_decay=DECAY, fused=True)]


def encoder_by_sgd(network: Network, module: nn.Module, lr: float) -> list[Optimizer]:
    """Adam for the decoder; slow steps for the encoder, which knows much already."""
    encoder = list(network.get_submodule("body.encoder").parameters())
    known = set(encoder)
    others = [p for p in module.parameters() if p not in known]
    slow = SGD(encoder, ENCODER_LR, momentum=MOMENTUM, weight_decay=DECAY)
    return [Adam(others, lr, weight_decay=DECAY, fused=True), slow]


@dataclass(frozen=True)
class Stage:
    """A part of a candidate's training, at the end of which it is validated."""

    source: Source
    epochs: int
    polyak: float
    """How slowly the average follows that is validated and goes on."""
    check: int = 0
    """The epoch after which it is validated too; 0 is none."""
    optimizers: Optimizers = by_adam


@dataclass(frozen=True)
class ProxyTraining:
    """A candidate is trained stage by stage, and validated as the average of its weights.

    The average follows the statistics of batch norms too, which Fast NAS's does not.  A candidate
    that is hopeless beside those ``before`` it is stopped where it is validated.
    """

    stages: tuple[Stage, ...]
    task: Task
    proxy: Proxy
    score: Callable[[Confusion], float]

    def __call__(
        self,
        genotype: Genotype,
        seed: int,
        between: Callable[[], None] = never,
        before: Sequence[Trial] = (),
    ) -> Trial:
        """Its last score, 0 where it does not fit into memory; what it costs, and its epochs."""
        reached: list[tuple[int, float]] = []
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = self.stages[0].source.ready(genotype)
            try:
                for point in self.points(network, between):
                    reached.append(point)
                    if hopeless(reached, before, seed):
                        break
                score = reached[-1][1]
            except torch.OutOfMemoryError:
                score = 0.0
        epochs = reached[-1][0] if reached else 0
        costs = {**counted(network, self.size), "epochs": epochs}
        return Trial(genotype, score, costs, checks=tuple(found for _, found in reached))

    def points(self, network: Network, between: Callable[[], None]) -> Iterator[tuple[int, float]]:
        """Train; wherever the network is validated, the epochs until then and its score."""
        tapped = self.proxy.auxiliary and hasattr(network.body, "auxiliary_head")
        module = Tapped(network) if tapped else network
        self.task.place(module)
        hasten_norms(network, sum(stage.epochs for stage in self.stages) * len(self.task.train))
        done = 0
        for stage in self.stages:
            training = Training(network, module, stage, self.proxy)
            for epoch in range(stage.epochs):
                training.run(epoch, between)
                done += 1
                if epoch + 1 in (stage.check, stage.epochs):
                    yield done, self.score(self.confusion(stage.source, training.found, between))
            network.load_state_dict(training.found.state_dict())

    @torch.no_grad()
    def confusion(
        self, source: Source, network: Network, between: Callable[[], None] = never
    ) -> Confusion:
        """Over the images to validate on."""
        network.eval()
        found = Confusion(self.task.num_classes)
        for x, labels, _ in source.val():
            logits = resize(source.logits(network, x), (labels.shape[1], labels.shape[2]))
            found.add(logits.argmax(1), labels)
            between()
        return found

    @cached_property
    def size(self) -> tuple[int, int]:
        """Height and width of the images to validate on."""
        _, labels, _ = next(self.stages[0].source.val())
        return labels.shape[1], labels.shape[2]

    def lasting(self, epochs: int) -> Self:
        """The same with so many epochs in the first stage."""
        first, *later = self.stages
        return replace(self, stages=(replace(first, epochs=epochs), *later))


class Training:
    """One stage of a network's: its optimizers and the running average of its weights."""

    def __init__(self, network: Network, module: nn.Module, stage: Stage, proxy: Proxy) -> None:
        self.network, self.module, self.stage, self.proxy = network, module, stage, proxy
        self.optimizers = stage.optimizers(network, module, proxy.lr)
        self.average = Average(network, stage.polyak)

    @property
    def found(self) -> Network:
        """What is validated."""
        return self.average.network

    def run(self, epoch: int, between: Callable[[], None]) -> None:
        """One epoch."""
        self.module.train()
        for example in self.stage.source.train(epoch):
            self.module.zero_grad()
            finite(self.loss(example)).backward()
            for optimizer in self.optimizers:
                nn.utils.clip_grad_norm_(optimizer.param_groups[0]["params"], CLIP)
                optimizer.step()
            self.average.update()
            between()

    def loss(self, example: Example) -> Tensor:
        """What the labels say, of second heads too, and a teacher of the network: a scalar."""
        x, labels, taught = example
        size = (labels.shape[1], labels.shape[2])
        heard = [resize(logits.float(), size) for logits in self.stage.source.heard(self.module, x)]
        loss, *others = (F.cross_entropy(y, labels, ignore_index=IGNORE) for y in heard)
        if taught is not None:
            loss = loss + TAUGHT * distance(heard[0], taught, labels)
        return loss + self.proxy.auxiliary * sum(others)


class Average:
    """A network that follows another slowly, its statistics too; at first it is the other.

    Like torch's ``AveragedModel``, which looks for the tensors anew in every step: that takes ten
    times as long as their numbers do in a small network of many layers.
    """

    def __init__(self, leader: Network, decay: float) -> None:
        self.network = deepcopy(leader)
        pairs = zip(self.network.state_dict().values(), leader.state_dict().values(), strict=True)
        real = [pair for pair in pairs if pair[0].is_floating_point()]
        self.tensors = [mine for mine, _ in real], [other for _, other in real]
        self.later, self.step = get_ema_multi_avg_fn(decay), get_ema_multi_avg_fn(0.0)

    def update(self) -> None:
        """Follow one step."""
        self.step(*self.tensors, None)
        self.step = self.later


def hopeless(reached: Sequence[tuple[int, float]], before: Sequence[Trial], seed: int) -> bool:
    """Whether a candidate stops at the last of the points that it has ``reached``."""
    point = len(reached) - 1
    earlier = [trial.checks[point] for trial in before if len(trial.checks) > point]
    return not goes_on(reached[-1][1], earlier, random.Random(f"{seed}/{point}"))


def counted(network: Network, size: tuple[int, int]) -> Mapping[str, float]:
    """Millions of parameters, billions of multiply-adds for one image.

    The network loses its batch norms: whoever counts is done with it.
    """
    learned = parameters(network)
    drop_norms(network)
    return {"mparams": learned / 1e6, "gmacs": macs(network, size) / 1e9}

"""What a network is worth that learns alone for a while, as it will when it is trained."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch

from lessons import Train
from models.genotype import Genotype
from models.network import Network, build
from pace import never
from searcher.learner import Learner
from searcher.strategies import Trial
from searcher.task import Task, finite
from sections import Search


@dataclass(frozen=True)
class Alone:
    """A candidate learns from fresh weights, and is scored as the average that followed them.

    Its rate rises and falls once, so that short trainings end as long ones do.
    """

    task: Task
    search: Search
    epochs: int

    def __call__(
        self,
        genotype: Genotype,
        seed: int,
        between: Callable[[], None] = never,
        before: Sequence[Trial] = (),
    ) -> Trial:
        """Its score, 0 where it does not fit into memory; what it costs, and its epochs."""
        assert self.task.budget is not None
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = build(genotype, self.task.num_classes)
        costs = {**self.task.budget.costs(genotype), "epochs": self.epochs}
        try:
            return Trial(genotype, self.score(network, between), costs)
        except torch.OutOfMemoryError:
            return Trial(genotype, 0.0, costs)

    def score(self, network: Network, between: Callable[[], None]) -> float:
        """What a network is worth when it has learned."""
        average = self.search.proxy.polyak
        learned(network, self.task, self.search, between, self.epochs, ema=average)
        return self.task.value(network, between)

    def lasting(self, epochs: int) -> Self:
        """The same for so many epochs."""
        return replace(self, epochs=epochs)


def learned(
    network: Network,
    task: Task,
    search: Search,
    between: Callable[[], None],
    epochs: int,
    ema: float = 0.0,
) -> float:
    """Let a network learn alone, at the rate of a proxy; the mean of its last epoch's losses.

    That this ranks networks better than what they score then is from Ru et al., NeurIPS 2021.
    """
    settings = Train(epochs=epochs, lr=search.proxy.lr, weight_decay=search.weight_decay, ema=ema)
    learner = Learner(network, task, settings, epochs * len(task.train))
    losses: list[float] = []
    for epoch in range(epochs):
        losses = []
        for batch in task.ready(task.train, epoch):
            losses.append(finite(learner.step(batch)).item())
            between()
    learner.chosen()
    return math.fsum(losses) / len(losses)

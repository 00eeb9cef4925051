"""Joint search: weights and architecture learn from the same step, with what it costs: GAS."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pace import never
from searcher.checkpoint import located
from searcher.data.batches import Batch
from searcher.guided import GuidedGumbel, annealed
from searcher.optimizers import search_rate
from searcher.ranks import share_gradients
from searcher.strategies import Trial
from searcher.strategies.gradients import restore, state_of, weights_by_sgd
from searcher.supernet import Supernet
from searcher.task import Task, finite
from sections import Search


class Joint:
    """One level: each batch moves the weights and the logits, by ops that are drawn for it.

    The loss is that on the labels, plus the weight of the cost times its logarithm.  In the first
    ``search.warmup`` epochs only the weights learn.
    """

    def __init__(self, supernet: Supernet, relax: GuidedGumbel, task: Task, search: Search) -> None:
        self.supernet, self.relax, self.task, self.search = supernet, relax, task, search
        self.target = task.target
        self.costs = task.target.costs(supernet.space) if task.target else None
        task.place(supernet)
        self.epoch = self.batch = 0
        decay = search.arch_weight_decay
        groups = [
            {"params": list(supernet.logits.values()), "weight_decay": decay},
            {"params": list(relax.parameters()), "weight_decay": 0.0},
        ]
        self.arch_optimizer = torch.optim.Adam(groups, search.arch_lr, betas=(0.5, 0.999))
        self.weight_optimizer = weights_by_sgd(supernet, search)

    def step(self, between: Callable[[], None] = never) -> Trial:
        """One epoch over all images to train on, or what is left of it.

        ``between`` is called after every batch, when the state is that of this moment.
        """
        self.supernet.train()
        for batch in self.task.ready(self.task.train, self.epoch, self.batch):
            self.cool()
            self.update(batch)
            self.batch += 1
            between()
        self.cool()
        score = self.task.value(self.supernet, between)
        self.epoch, self.batch = self.epoch + 1, 0
        preferred = self.preferred()
        genotype = self.supernet.space.discretize(preferred)
        return Trial(genotype, score, self.costs_of(preferred), self.supernet.named(preferred))

    def cool(self) -> None:
        """The temperature and the learning rate of this moment."""
        share = (self.epoch + self.batch / len(self.task.train)) / self.search.epochs
        self.relax.temperature = annealed(*self.search.temperature, share)
        for group in self.weight_optimizer.param_groups:
            group["lr"] = search_rate(self.search.lr, self.epoch / self.search.epochs)

    def update(self, batch: Batch) -> None:
        """One step of the weights and, after the warm-up, of the architecture."""
        self.supernet.zero_grad()
        with located(self.epoch + 1, self.batch + 1, self.weight_optimizer.param_groups[0]["lr"]):
            loss = finite(self.task.loss(self.supernet, batch) + self.penalty())
        loss.backward()
        share_gradients(self.supernet)
        nn.utils.clip_grad_norm_(self.supernet.computing(), 5.0)
        self.weight_optimizer.step()
        if self.epoch >= self.search.warmup:
            self.arch_optimizer.step()

    def penalty(self) -> Tensor | float:
        """What the ops that were just drawn cost, for the loss: a scalar."""
        if self.target is None or self.costs is None:
            return 0.0
        drawn = self.costs.expected(self.supernet.mixing.weights)
        return self.target.weight * (self.target.rest + drawn).log()

    @torch.no_grad()
    def preferred(self) -> Mapping[str, Tensor]:
        """The weights that are decoded."""
        return self.relax.preferred(dict(self.supernet.logits.items()))

    def costs_of(self, weights: Mapping[str, Tensor]) -> Mapping[str, float]:
        """What the mixture costs on average over its draws, and what is decoded from it."""
        if self.target is None or self.costs is None:
            return {}
        decoded = self.costs.decoded(self.supernet.space.discretize(weights))
        return self.target.report(self.costs.expected(weights).item(), decoded)

    def choose(self, trials: Sequence[Trial]) -> Trial:
        """The last: a supernet's score ranks its weights, not its architecture."""
        return trials[-1]

    def state_dict(self) -> dict[str, Any]:
        return state_of(self)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        restore(self, state)

"""Bilevel gradient search, first order: DARTS, Auto-DeepLab."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any

import torch
from torch import nn

from recipe import Search
from searcher.data.batches import Batch
from searcher.ranks import share_gradients
from searcher.strategies import Trial
from searcher.supernet import Supernet
from searcher.task import Task


class Bilevel:
    """Alternate: weights learn on one half of the data, the architecture on the other.

    In the first ``search.warmup`` epochs only the weights learn (Auto-DeepLab, section 4.1).
    """

    def __init__(self, supernet: Supernet, task: Task, search: Search) -> None:
        self.supernet, self.task, self.search = supernet, task, search
        task.place(supernet)
        self.epoch = 0
        self.arch_optimizer = torch.optim.Adam(
            supernet.architecture(),
            search.arch_lr,
            betas=(0.5, 0.999),
            weight_decay=search.arch_weight_decay,
        )
        self.weight_optimizer = torch.optim.SGD(
            self.weights(), search.lr, momentum=0.9, weight_decay=search.weight_decay
        )

    def weights(self) -> list[nn.Parameter]:
        """What computes, as opposed to what chooses."""
        chosen = {id(p) for p in self.supernet.architecture()}
        learned = (p for p in self.supernet.parameters() if p.requires_grad)
        return [p for p in learned if id(p) not in chosen]

    def step(self) -> Trial:
        """One epoch over the half for weights."""
        self.supernet.train()
        for group in self.weight_optimizer.param_groups:
            group["lr"] = self.rate()
        arch = self.arch_batches()
        for batch in self.task.ready(self.task.train, self.epoch):
            if self.epoch >= self.search.warmup:
                self.update(self.arch_optimizer, next(arch))
            self.update(self.weight_optimizer, batch)
        self.epoch += 1
        return Trial(self.supernet.derive(), self.task.score(self.supernet).miou)

    def arch_batches(self) -> Iterator[Batch]:
        """Batches of the half for the architecture, reshuffled whenever it ends."""
        assert self.task.arch is not None
        for turn in count():
            yield from self.task.ready(self.task.arch, 1000 * self.epoch + turn)

    def rate(self) -> float:
        """Cosine from ``search.lr`` to a twenty-fifth of it."""
        share = self.epoch / self.search.epochs
        return self.search.lr * (0.04 + 0.96 * (1 + math.cos(math.pi * share)) / 2)

    def update(self, optimizer: torch.optim.Optimizer, batch: Batch) -> None:
        """One step of one optimizer; the gradients that the other would see are cleared."""
        self.supernet.zero_grad()
        self.task.loss(self.supernet, batch).backward()
        share_gradients(self.supernet)
        nn.utils.clip_grad_norm_(self.weights(), 5.0)
        optimizer.step()

    def choose(self, trials: Sequence[Trial]) -> Trial:
        """The last: a supernet's score ranks its weights, not its architecture."""
        return trials[-1]

    def parts(self) -> dict[str, nn.Module | torch.optim.Optimizer]:
        return {
            "supernet": self.supernet,
            "arch_optimizer": self.arch_optimizer,
            "weight_optimizer": self.weight_optimizer,
        }

    def state_dict(self) -> dict[str, Any]:
        parts = {name: part.state_dict() for name, part in self.parts().items()}
        return {"epoch": self.epoch, **parts}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.epoch = state["epoch"]
        for name, part in self.parts().items():
            part.load_state_dict(state[name])

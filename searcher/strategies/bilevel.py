"""Bilevel gradient search of first or second order: DARTS, Auto-DeepLab, CAS."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn

from pace import never
from searcher.checkpoint import located
from searcher.data.batches import Batch
from searcher.optimizers import search_rate
from searcher.penalty import Penalty
from searcher.ranks import share_gradients
from searcher.schedules import Schedule, together
from searcher.strategies import Trial
from searcher.strategies.gradients import restore, state_of, weights_by_sgd
from searcher.supernet import Supernet
from searcher.task import Task, finite
from searcher.unrolled import frozen, unrolled_gradient
from sections import Search


class Bilevel:
    """Alternate: weights learn on one half of the data, the architecture on the other.

    Of ``search.order`` 2, the architecture's gradient looks one step of the weights ahead.
    ``schedule`` says which logits learn in an epoch; without it all do after the first
    ``search.warmup`` epochs, in which only the weights learn (Auto-DeepLab, section 4.1).
    ``penalty`` joins the loss of the architecture (CAS).
    """

    def __init__(
        self,
        supernet: Supernet,
        task: Task,
        search: Search,
        penalty: Penalty | None = None,
        schedule: Schedule | None = None,
    ) -> None:
        self.supernet, self.task, self.search = supernet, task, search
        self.penalty = penalty
        self.schedule = schedule or together(search.warmup, supernet.logits)
        self.held: list[nn.Parameter] = []
        task.place(supernet)
        self.epoch = self.batch = 0
        self.arch_optimizer = torch.optim.Adam(
            supernet.architecture(),
            search.arch_lr,
            betas=(0.5, 0.999),
            weight_decay=search.arch_weight_decay,
        )
        self.weight_optimizer = weights_by_sgd(supernet, search)

    def weights(self) -> list[nn.Parameter]:
        """What computes, as opposed to what chooses."""
        return self.supernet.computing()

    def step(self, between: Callable[[], None] = never) -> Trial:
        """One epoch over the half for weights, or what is left of it.

        ``between`` is called after every batch, when the state is that of this moment.
        """
        self.supernet.train()
        for group in self.weight_optimizer.param_groups:
            group["lr"] = self.rate()
        searching = self.hold(self.schedule(self.epoch))
        arch = self.arch_batches(self.batch)
        for batch in self.task.ready(self.task.train, self.epoch, self.batch):
            if searching:
                self.update_architecture(next(arch), batch)
            self.update(self.weight_optimizer, batch)
            self.batch += 1
            between()
        score = self.task.value(self.supernet, between)
        self.epoch, self.batch = self.epoch + 1, 0
        genotype = self.supernet.derive()
        weights = self.supernet.weights()
        costs = self.penalty.report(weights, genotype) if self.penalty else {}
        return Trial(genotype, score, costs, self.supernet.named(weights))

    def hold(self, learning: frozenset[str]) -> bool:
        """Let the logits of these graphs learn and no others; whether there are any."""
        self.held = [p for name, p in self.supernet.logits.items() if name not in learning]
        return bool(learning)

    def arch_batches(self, drawn: int = 0) -> Iterator[Batch]:
        """Batches of the half for the architecture, reshuffled whenever it ends.

        Every batch for the weights comes with one: ``drawn`` of them are behind us.
        """
        assert self.task.arch is not None
        first, start = divmod(drawn, len(self.task.arch))
        for turn in count(first):
            yield from self.task.ready(self.task.arch, 1000 * self.epoch + turn, start)
            start = 0

    def rate(self) -> float:
        """Cosine from ``search.lr`` to a twenty-fifth of it."""
        return search_rate(self.search.lr, self.epoch / self.search.epochs)

    def update_architecture(self, batch: Batch, train: Batch) -> None:
        """One step of the architecture; ``train`` is what the weights learn from next."""
        if self.search.order == 1:
            return self.update(self.arch_optimizer, batch)
        self.supernet.zero_grad()
        chosen = self.supernet.architecture()
        found = unrolled_gradient(self.priced, chosen, self.weight_optimizer, train, batch)
        for p, grad in zip(chosen, found, strict=True):
            p.grad = grad
        self.forget_held()
        self.arch_optimizer.step()

    def update(self, optimizer: torch.optim.Optimizer, batch: Batch) -> None:
        """One step of one optimizer; what the other moves is constant, which is cheaper."""
        self.supernet.zero_grad()
        weights, chosen = self.weights(), self.supernet.architecture()
        of_choice = optimizer is self.arch_optimizer
        with frozen(weights if of_choice else chosen):
            loss = self.priced(batch) if of_choice else self.loss(batch)
        loss.backward()
        share_gradients(self.supernet)
        self.forget_held()
        nn.utils.clip_grad_norm_(weights, 5.0)
        optimizer.step()

    def loss(self, batch: Batch) -> Tensor:
        """The supernet's; an error says in which batch."""
        rate = self.weight_optimizer.param_groups[0]["lr"]
        with located(self.epoch + 1, self.batch + 1, rate):
            return self.task.loss(self.supernet, batch)

    def priced(self, batch: Batch) -> Tensor:
        """The loss of the architecture: the supernet's, and the penalty, which no weight moves."""
        loss = self.loss(batch)
        return finite(loss + self.penalty(self.supernet.weights())) if self.penalty else loss

    def forget_held(self) -> None:
        """Leave the logits that do not learn in this epoch as they are."""
        for logits in self.held:
            logits.grad = None

    def choose(self, trials: Sequence[Trial]) -> Trial:
        """The last: a supernet's score ranks its weights, not its architecture."""
        return trials[-1]

    def state_dict(self) -> dict[str, Any]:
        return state_of(self)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        restore(self, state)

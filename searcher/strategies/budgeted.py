"""Search within a budget: a bank of weights learns, then networks that read from it evolve.

Single path one-shot (Guo et al., ECCV 2020) and once for all (Cai et al., ICLR 2020): while the
bank learns, networks are drawn about the budget, and of those that share a batch the dearest
teaches the others.  Afterwards a candidate is scored with the bank's weights and norms of its own,
in a second or two.  The budget is a bound, never a part of the score.  The best at the budget may
then learn alone for a while, from the bank's weights: how fast tells more than where they began.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from models import weights
from models.genotype import Genotype
from models.network import Network, build
from pace import never
from searcher.alone import learned
from searcher.bank import BANK, Bank
from searcher.budgets import DRAWS, NAMES, Budget, Timed
from searcher.checkpoint import located
from searcher.data.batches import Batch
from searcher.distill import divergence
from searcher.losses import cross_entropy
from searcher.optimizers import parameter_groups, search_rate
from searcher.ranks import decided
from searcher.spaces import Crossed
from searcher.strategies import LOSS, Trial
from searcher.task import Task, finite
from sections import Search

PATHS = 2
"""Networks that learn from each batch."""
NEAR = (0.3, 1.6)
"""While the bank learns: how much of the budget a network costs."""
AROUND = (1.0, 0.5, 1.0, 0.75, 1.0, 1.25)
"""The shares of the budget that candidates are sought at, in turn: the front around it."""
PARENTS, FRESH, MUTATED = 12, 24, 0.5
"""How many of the best have children, after how many random ones, and who has one parent."""
CALIBRATION = 8
"""Batches that a candidate's norms see before it is scored."""
TIMED = 2
"""How many candidates are measured for each that becomes a finalist, where the search measures."""

Draw = Callable[[random.Random], Genotype]


class Elastic(Crossed, Protocol):
    """A space whose networks may share their weights."""

    def widest(self) -> list[Genotype]:
        """Networks that together have every layer, as wide as any has it."""


class Budgeted:
    """A trial is a candidate near the budget; before the first the bank learns."""

    def __init__(self, space: Elastic, task: Task, search: Search, budget: Budget) -> None:
        self.space, self.task, self.search, self.budget = space, task, search, budget
        self.bank = Bank(space.widest(), task.num_classes)
        task.place(self.bank)
        groups = parameter_groups(self.bank, search.weight_decay)
        self.optimizer = torch.optim.AdamW(groups, search.lr)
        self.epoch = self.batch = 0
        if search.bank:
            self.bank.load(search.bank / BANK)
            self.epoch = search.epochs
        self.trials: list[Trial] = []
        self.took: dict[str, float] = {}
        """Milliseconds that were measured, by a genotype's fingerprint."""

    def step(self, between: Callable[[], None] = never) -> Trial:
        """The next candidate; of the first one, the bank's learning is a part."""
        while self.epoch < self.search.epochs:
            self.learn(between)
        done = len(self.trials) - self.search.trials
        trial = self.candidate(between) if done < 0 else self.finalist(done, between)
        self.trials.append(trial)
        return trial

    def candidate(self, between: Callable[[], None]) -> Trial:
        """The next network that is sought, scored with the bank's weights."""
        genotype = self.propose(random.Random(f"{self.task.train.seed}/{len(self.trials)}"))
        score = self.task.value(self.inherited(genotype), between)
        return Trial(genotype, score, self.budget.costs(genotype))

    def finalist(self, place: int, between: Callable[[], None]) -> Trial:
        """The candidate of that place, from 0, scored after it has learned alone for a while."""
        trial = self.finalists()[place]
        return self.after_a_while(trial.genotype, trial.costs, between)

    def after_a_while(
        self, genotype: Genotype, costs: Mapping[str, float], between: Callable[[], None] = never
    ) -> Trial:
        """A network's score and loss when it has learned alone, from the bank's weights."""
        epochs, network = self.search.proxy.epochs, self.inherited(genotype)
        loss = learned(network, self.task, self.search, between, epochs)
        learnt = {**costs, "epochs": epochs, LOSS: loss}
        return Trial(genotype, self.task.value(network, between), learnt)

    def finalists(self) -> list[Trial]:
        """The candidates, the best first; where the search measures, some, by what they took."""
        candidates = self.ranked(self.trials[: self.search.trials])
        if self.budget.timed is None:
            return candidates
        close = candidates[: TIMED * self.search.finalists]
        if not self.took:
            self.took = self.measured([trial.genotype for trial in close], self.budget.timed)
        return self.ranked([replace(t, costs=self.costs_as_measured(t)) for t in close])

    def measured(self, genotypes: Sequence[Genotype], timed: Timed) -> dict[str, float]:
        """Milliseconds of networks as they would ship, by their fingerprints."""
        names = [genotype.fingerprint for genotype in genotypes]
        return dict(zip(names, decided(lambda: timed(genotypes)), strict=True))

    def costs_as_measured(self, trial: Trial) -> dict[str, float]:
        """What a candidate costs, its milliseconds those that it took."""
        return {**trial.costs, NAMES[self.budget.metric]: self.took[trial.genotype.fingerprint]}

    def learn(self, between: Callable[[], None]) -> None:
        """One epoch of the bank, or what is left of it."""
        for batch in self.task.ready(self.task.train, self.epoch, self.batch):
            share = (self.epoch + self.batch / len(self.task.train)) / self.search.epochs
            for group in self.optimizer.param_groups:
                group["lr"] = search_rate(self.search.lr, share)
            rng = random.Random(f"bank {self.task.train.seed}/{self.epoch}/{self.batch}")
            with located(self.epoch + 1, self.batch + 1, self.optimizer.param_groups[0]["lr"]):
                self.update(batch, [self.near(rng) for _ in range(PATHS)])
            self.batch += 1
            between()
        self.epoch, self.batch = self.epoch + 1, 0

    def update(self, batch: Batch, paths: Sequence[Genotype]) -> None:
        """One step of the bank: every path learns from the batch, and from the dearest of them."""
        self.optimizer.zero_grad(set_to_none=True)
        pixels, labels = batch
        taught: Tensor | None = None
        for genotype in sorted(paths, key=self.budget.of, reverse=True):
            network = self.fresh(genotype).train()
            with self.task.fabric.autocast():
                logits = self.bank(network, pixels).float()
            loss = cross_entropy(logits, labels)
            if taught is not None:
                loss = loss + divergence(logits, taught, labels, 1.0)
            finite(loss).backward()
            taught = logits.detach() if taught is None else taught
        nn.utils.clip_grad_norm_(self.bank.parameters(), 5.0)
        self.optimizer.step()

    def near(self, rng: random.Random) -> Genotype:
        """A random network that costs about the budget."""
        low, high = (share * self.budget.limit for share in NEAR)
        drawn = (self.space.sample(rng) for _ in range(DRAWS))
        return self.budget.nearest(drawn, lambda cost: low <= cost <= high, self.budget.limit)

    def propose(self, rng: random.Random) -> Genotype:
        """A candidate at one of the shares of the budget: a child of the best there, or random."""
        share = AROUND[len(self.trials) % len(AROUND)]
        parents = self.parents(share)
        evolves = len(self.trials) >= FRESH and parents
        return self.at(share, partial(self.child, parents) if evolves else self.space.sample, rng)

    def at(self, share: float, draw: Draw, rng: random.Random) -> Genotype:
        """The first of what is drawn that costs a share of the budget and was not tried."""
        tried = {trial.genotype.fingerprint for trial in self.trials}
        drawn = (draw(rng) for _ in range(DRAWS))
        new = (genotype for genotype in drawn if genotype.fingerprint not in tried)
        limit = share * self.budget.limit
        return self.budget.nearest(new, lambda cost: self.budget.at(cost, share), limit)

    def parents(self, share: float) -> list[Genotype]:
        """The best of those that cost no more than a share of the budget; the cheapest, if none."""
        name, limit = NAMES[self.budget.metric], share * self.budget.limit
        cheapest = sorted(self.trials, key=lambda trial: trial.costs[name])[:PARENTS]
        fit = [trial for trial in self.trials if trial.costs[name] <= limit] or cheapest
        return [t.genotype for t in sorted(fit, key=lambda t: -t.score)[:PARENTS]]

    def child(self, parents: Sequence[Genotype], rng: random.Random) -> Genotype:
        """Of one parent, changed once or more, or of two."""
        found = rng.choice(parents)
        if rng.random() >= MUTATED:
            found = self.space.cross(found, rng.choice(parents), rng)
        for _ in range(rng.choice((0, 1, 1, 2, 3))):
            found = self.space.mutate(found, rng)
        return found

    @torch.no_grad()
    def inherited(self, genotype: Genotype) -> Network:
        """A network with the bank's weights, whose norms have seen some batches."""
        network = self.bank.network(genotype)
        self.task.place(network)
        norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
        for norm in norms:
            norm.momentum = None
        network.train()
        for pixels in self.seen:
            self.task.logits(network, pixels)
        for norm in norms:
            norm.momentum = 0.1
        return network.eval()

    def lend(self, genotype: Genotype, folder: Path) -> list[str]:
        """Save a network with the bank's weights, and the bank, in ``folder``; the files' names."""
        weights.save(self.inherited(genotype), folder)
        self.bank.save(folder / BANK)
        return [weights.NETWORK, weights.WEIGHTS, BANK]

    @cached_property
    def seen(self) -> list[Tensor]:
        """What norms see: the same for all candidates."""
        return [pixels for pixels, _ in islice(self.task.ready(self.task.train, 0), CALIBRATION)]

    def fresh(self, genotype: Genotype) -> Network:
        """A network that the bank lends its weights to: of its own it has norms alone."""
        with torch.random.fork_rng([]):
            network = build(genotype, self.task.num_classes)
        self.task.place(network)
        return network

    def choose(self, trials: Sequence[Trial]) -> Trial:
        """The first in rank, of the finalists where there are any."""
        return self.ranked([trial for trial in trials if LOSS in trial.costs] or trials)[0]

    def ranked(self, trials: Sequence[Trial]) -> list[Trial]:
        """The best at the budget, then the best within it, then those above it.

        Of finalists the best are those with the lowest loss.
        """

        def rank(trial: Trial) -> tuple[bool, bool, float]:
            cost = trial.costs[NAMES[self.budget.metric]]
            return (
                not self.budget.at(cost),
                cost > self.budget.limit,
                trial.costs.get(LOSS, -trial.score),
            )

        return sorted(trials, key=rank)

    def state_dict(self) -> dict[str, Any]:
        state = {"bank": self.bank.state_dict(), "epoch": self.epoch, "batch": self.batch}
        state["took"] = dict(self.took)
        if self.epoch < self.search.epochs:
            state["optimizer"] = self.optimizer.state_dict()
        return {**state, "trials": [trial.state() for trial in self.trials]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.bank.load_state_dict(state["bank"])
        self.epoch, self.batch, self.took = state["epoch"], state["batch"], state["took"]
        if "optimizer" in state:
            self.optimizer.load_state_dict(state["optimizer"])
        self.trials = [Trial.from_state(trial) for trial in state["trials"]]

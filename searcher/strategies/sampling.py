"""Searching by trying: draw a candidate, score it, remember it."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from models.genotype import Genotype
from pace import never
from searcher.estimators import Estimator
from searcher.spaces import Sampled
from searcher.strategies import Trial
from searcher.strategies.finals import Finals

Proposal = Callable[[Sequence[Trial], random.Random], Genotype]
"""The next candidate, from all trials before it and chance: a function of both alone."""

LOCAL = 0.5
"""The share of the candidates that lie near the best one."""


class Sampling:
    """A trial is a candidate of ``propose``, scored by ``estimate``; the last may be of ``finals``.

    Chance of trial n is that of ``seed`` and n, and what was learned is learned of the trials: so a
    search that was killed draws what it would have drawn, and any process can run any turn.
    """

    def __init__(
        self, propose: Proposal, estimate: Estimator, seed: int, finals: Finals | None = None
    ) -> None:
        self.propose, self.estimate, self.seed, self.finals = propose, estimate, seed, finals
        self.trials: list[Trial] = []

    def step(self, between: Callable[[], None] = never) -> Trial:
        """Draw and score one candidate.  ``between`` is called after every batch."""
        trial = self.trial(len(self.trials), self.trials, between)
        self.trials.append(trial)
        return trial

    def trial(
        self, turn: int, before: Sequence[Trial], between: Callable[[], None] = never
    ) -> Trial:
        """The trial of one turn, counted from 0, proposed from those ``before``.

        From one call to the next ``before`` may only grow at its end.
        """
        rng = random.Random(f"{self.seed}/{turn}")
        final = self.finals.at(turn, before) if self.finals else None
        genotype, said = final or (self.propose(before, rng), {})
        beside = () if final else before  # no finalist is stopped: its mean is of whole ones
        trial = self.estimate(genotype, rng.getrandbits(32), between, beside)
        return replace(trial, costs={**trial.costs, **said})

    def choose(self, trials: Sequence[Trial]) -> Trial:
        """Who won the finals; without any, the best of those that were trained longest."""
        if self.finals:
            return self.finals.choose(trials)
        return max(trials, key=lambda trial: (trial.costs.get("epochs", 0), trial.score))

    def state_dict(self) -> dict[str, Any]:
        return {"trials": [trial.state() for trial in self.trials]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.trials = [Trial.from_state(trial) for trial in state["trials"]]


def uniform(space: Sampled) -> Proposal:
    """Random search: whatever the space gives."""
    return lambda trials, rng: space.sample(rng)


def near_best(space: Sampled, share: float = LOCAL) -> Proposal:
    """Random search that looks near the best so far for a ``share`` of its candidates.

    So does DPC's (section 3.2), which does not say how often.
    """

    def propose(trials: Sequence[Trial], rng: random.Random) -> Genotype:
        if not trials or rng.random() >= share:
            return space.sample(rng)
        return space.mutate(max(trials, key=lambda trial: trial.score).genotype, rng)

    return propose

"""Successive halving (Jamieson and Talwalkar, AISTATS 2016): many briefly, the best third for long.

Every training of a candidate is a trial.  A candidate that goes on is trained again from its
beginning, for three times as many epochs: nothing but the trials is kept between two of them.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from models.genotype import Genotype
from pace import never
from searcher.estimators import Estimator
from searcher.spaces import Sampled
from searcher.strategies import Trial
from searcher.strategies.sampling import Proposal

TIMES = 3
"""One in so many candidates goes on, for so many times the epochs."""
DRAWS = 100
"""How often a candidate is drawn until it is one that was not tried yet."""


@dataclass(frozen=True)
class Rung:
    """So many candidates are trained for so many epochs."""

    candidates: int
    epochs: int


def ladder(trials: int, epochs: int) -> tuple[Rung, ...]:
    """The rungs of ``trials`` trainings, the last of them of ``epochs``: as many as both allow.

    The trials that no rung needs are candidates of the first.
    """
    rungs = 1
    while epochs >= TIMES**rungs and trials >= sum(TIMES**i for i in range(rungs + 1)):
        rungs += 1
    first = max(n for n in range(1, trials + 1) if sum(thinned(n, rungs)) <= trials)
    later = thinned(first, rungs)[1:]
    budgets = [epochs // TIMES ** (rungs - 1 - i) for i in range(rungs)]
    return tuple(map(Rung, [trials - sum(later), *later], budgets))


def thinned(first: int, rungs: int) -> list[int]:
    """How many candidates each rung has, where the first has ``first``."""
    return [first // TIMES**i for i in range(rungs)]


def halving(space: Sampled, rungs: Sequence[Rung]) -> Proposal:
    """Fresh candidates for the first rung; for each later one the best of the rung before it."""
    starts = [0, *accumulate(rung.candidates for rung in rungs)]

    def propose(trials: Sequence[Trial], rng: random.Random) -> Genotype:
        rung = bisect_right(starts, len(trials)) - 1
        if rung == 0:
            return fresh(space, trials, rng)
        last = trials[starts[rung - 1] : starts[rung]]
        ranked = sorted(last, key=lambda trial: trial.score, reverse=True)
        return ranked[len(trials) - starts[rung]].genotype

    return propose


def fresh(space: Sampled, trials: Sequence[Trial], rng: random.Random) -> Genotype:
    """A candidate that was not tried, if the space has one left."""
    tried = {trial.genotype.fingerprint for trial in trials}
    for _ in range(DRAWS):
        found = space.sample(rng)
        if found.fingerprint not in tried:
            break
    return found


class Rungs:
    """Scores a candidate by the estimator of its rung, which is how often it was tried before."""

    def __init__(self, estimators: Sequence[Estimator]) -> None:
        self.estimators = tuple(estimators)

    def __call__(
        self,
        genotype: Genotype,
        seed: int,
        between: Callable[[], None] = never,
        before: Sequence[Trial] = (),
    ) -> Trial:
        """Nobody is compared with trials of other rungs, so that none is stopped by them."""
        tried = sum(trial.genotype == genotype for trial in before)
        estimate = self.estimators[min(tried, len(self.estimators) - 1)]
        return estimate(genotype, seed, between, ())

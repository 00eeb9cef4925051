"""Successive halving: how many are trained for how long, and who goes on."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from models.genotype import Genotype
from pace import never
from searcher.estimators import Estimator
from searcher.spaces.fast_nas import FastNas
from searcher.strategies import Trial
from searcher.strategies.halving import Rung, Rungs, halving, ladder
from searcher.strategies.sampling import Sampling

SPACE = FastNas({})


@given(st.integers(4, 400), st.integers(3, 100))
def test_a_third_goes_on_for_three_times_as_long(trials: int, epochs: int) -> None:
    rungs = ladder(trials, epochs)
    assert len(rungs) > 1
    assert sum(rung.candidates for rung in rungs) == trials
    assert rungs[-1].epochs == epochs
    for rung, later in pairwise(rungs):
        assert 1 <= later.candidates <= rung.candidates / 3
        assert 1 <= rung.epochs <= later.epochs / 3


def test_what_few_trials_and_epochs_allow() -> None:
    assert ladder(13, 9) == (Rung(9, 1), Rung(3, 3), Rung(1, 9))
    assert ladder(16, 4) == (Rung(12, 1), Rung(4, 4))
    assert ladder(10, 9) == (Rung(8, 3), Rung(2, 9))
    assert ladder(4, 100) == (Rung(3, 33), Rung(1, 100))


def scored(epochs: int) -> Estimator:
    """Better with every epoch, by an amount of the candidate's own."""

    def estimate(
        genotype: Genotype,
        seed: int,
        between: Callable[[], None] = never,
        before: Sequence[Trial] = (),
    ) -> Trial:
        assert not before
        own = random.Random(genotype.fingerprint).random()
        return Trial(genotype, own * epochs / (epochs + 1), {"epochs": epochs})

    return estimate


def test_the_best_go_on_and_the_last_is_chosen() -> None:
    rungs = ladder(16, 9)
    estimate = Rungs([scored(rung.epochs) for rung in rungs])
    strategy = Sampling(halving(SPACE, rungs), estimate, 0)
    trials = [strategy.step() for _ in range(16)]
    names = [trial.genotype.fingerprint for trial in trials]
    assert [trial.costs["epochs"] for trial in trials] == [1] * 12 + [3] * 3 + [9]
    assert len(set(names)) == 12
    ranked = sorted(trials[:12], key=lambda trial: -trial.score)
    assert names[12:15] == [trial.genotype.fingerprint for trial in ranked[:3]]
    assert names[15] == max(trials[12:15], key=lambda trial: trial.score).genotype.fingerprint
    assert strategy.choose(trials) == trials[15]


def test_a_good_beginning_is_not_chosen() -> None:
    """A candidate of a short training may have the best score of all."""
    lucky = Trial(SPACE.sample(random.Random(0)), 0.9, {"epochs": 1})
    last = Trial(SPACE.sample(random.Random(1)), 0.5, {"epochs": 9})
    strategy = Sampling(halving(SPACE, ladder(13, 9)), scored(1), 0)
    assert strategy.choose([lucky, last]) == last

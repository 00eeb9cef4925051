"""Finals: who is trained again, how often, and who wins."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from statistics import mean
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.genotype import Genotype
from recipe import Recipe
from searcher.spaces.fast_nas import FastNas
from searcher.strategies import AGAIN, Trial
from searcher.strategies.finals import Finals
from searcher.strategies.sampling import Sampling, uniform

SPACE = FastNas({})


def lucky(luck: float) -> Callable[..., Trial]:
    """What a candidate is worth, and luck of its seed."""

    def estimate(genotype: Genotype, seed: int, *_: object) -> Trial:
        own = random.Random(genotype.fingerprint).random()
        return Trial(genotype, own + luck * random.Random(seed).random(), {"epochs": 1})

    return estimate


def searched(trials: int, finalists: int, repeats: int, seed: int = 0, luck: float = 1) -> Sampling:
    made = Sampling(uniform(SPACE), lucky(luck), seed, Finals(trials, finalists))
    for _ in range(trials + finalists * repeats):
        made.step()
    return made


@given(st.integers(1, 12), st.integers(1, 4), st.integers(1, 3), st.integers(0, 2**31))
def test_the_best_are_trained_again_and_the_highest_mean_wins(
    trials: int, finalists: int, repeats: int, seed: int
) -> None:
    made = searched(trials, min(finalists, trials), repeats, seed)
    first, again = made.trials[:trials], made.trials[trials:]
    ranked = sorted(first, key=lambda trial: trial.score, reverse=True)
    best = [trial.genotype.fingerprint for trial in ranked[: min(finalists, trials)]]
    assert Counter(t.genotype.fingerprint for t in again) == dict.fromkeys(best, repeats)
    assert [t.costs.get(AGAIN) for t in first] == [None] * trials
    assert [t.costs[AGAIN] for t in again] == [n + 1 for n in range(repeats) for _ in best]
    means = {
        name: mean(t.score for t in made.trials if t.genotype.fingerprint == name) for name in best
    }
    chosen = made.choose(made.trials).genotype.fingerprint
    assert means[chosen] == max(means.values())


def test_a_finalist_is_trained_by_other_chance() -> None:
    made = searched(4, 1, 3)
    scores = [t.score for t in made.trials if t.genotype == made.trials[-1].genotype]
    assert len(set(scores)) == 4


def test_a_finalist_is_compared_with_nobody_who_would_stop_it() -> None:
    compared: list[int] = []

    def estimate(*given: Any, **named: Any) -> Trial:
        compared.append(len(given[3]))
        return lucky(1)(*given, **named)

    made = Sampling(uniform(SPACE), estimate, 0, Finals(3, 2))
    for _ in range(5):
        made.step()
    assert compared == [0, 1, 2, 0, 0]


def test_luck_wins_less_often_where_there_are_finals() -> None:
    def worth(finalists: int) -> float:
        found = (searched(8, finalists, 4, seed) for seed in range(200))
        chosen = (made.choose(made.trials).genotype for made in found)
        return mean(random.Random(genotype.fingerprint).random() for genotype in chosen)

    assert worth(4) > worth(1) + 0.05


def test_a_search_that_was_stopped_goes_on_in_its_finals() -> None:
    whole, half = searched(5, 2, 2), searched(5, 2, 1)
    other = Sampling(half.propose, half.estimate, 0, half.finals)
    other.load_state_dict(half.state_dict())
    other.step()
    other.step()
    assert other.trials == whole.trials


@pytest.mark.parametrize(
    ("system", "steps"), [("fast_nas", 8 + 3 * 2), ("darts", None), ("realtime", 8 + 3)]
)
def test_how_many_steps_there_are(system: str, steps: int | None) -> None:
    budget = {"cost": {"metric": "macs", "budget": 1}} if system == "realtime" else {}
    words = {"system": system, "out": "a", "search": {"trials": 8, "finalists": 3, **budget}}
    if steps is None:
        with pytest.raises(ValueError, match=r"search\.finalists means nothing to system 'darts'"):
            Recipe.model_validate(words)
    else:
        assert Recipe.model_validate(words).steps == steps

"""The stop of hopeless candidates: a function of what was reached before, and of chance."""

from __future__ import annotations

import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searcher.stopping import goes_on, leniency, running_mean

REWARD = st.floats(0, 1)
REWARDS = st.lists(REWARD, max_size=250)


@given(REWARDS)
def test_the_mean_lies_among_what_was_reached(rewards: list[float]) -> None:
    low, high = min(rewards, default=0), max(rewards, default=0)
    assert low - 1e-9 <= running_mean(rewards) <= high + 1e-9


@given(st.lists(REWARD, min_size=1, max_size=100))
def test_of_a_hundred_it_is_the_plain_mean(rewards: list[float]) -> None:
    assert running_mean(rewards) == pytest.approx(statistics.mean(rewards), abs=1e-9)


@given(REWARD, REWARDS, st.integers(0, 2**32))
def test_above_the_mean_all_go_on_and_far_below_it_none(
    reward: float, earlier: list[float], seed: int
) -> None:
    mean = running_mean([*earlier, reward])
    found = goes_on(reward, earlier, random.Random(seed))
    if reward > mean:
        assert found
    if reward <= mean * (1 - leniency(len(earlier))):
        assert not found
    assert found == goes_on(reward, earlier, random.Random(seed))


@given(REWARDS, REWARD, REWARD, st.integers(0, 2**32))
def test_with_the_same_chance_the_better_goes_on_if_the_worse_does(
    earlier: list[float], one: float, other: float, seed: int
) -> None:
    worse, better = (goes_on(r, earlier, random.Random(seed)) for r in sorted((one, other)))
    assert better or not worse


@given(st.floats(0.001, 1), st.integers(0, 2**32))
def test_the_first_goes_on_whatever_it_reached(reward: float, seed: int) -> None:
    assert goes_on(reward, [], random.Random(seed))


def test_patience_ends_step_by_step() -> None:
    steps = {0: 0.9, 99: 0.9, 100: 0.81, 200: 0.648, 300: 0.4536, 400: 0.27216, 9999: 0.27216}
    for count, share in steps.items():
        assert leniency(count) == pytest.approx(share)


def test_candidates_stop_from_the_first_dozen_on() -> None:
    """With the released mean, 0.01 at first, nobody at 0.3 of 0.6 would."""
    stopped = [not goes_on(0.3, [0.6] * 12, random.Random(seed)) for seed in range(200)]
    assert 0.4 < statistics.mean(stopped) < 0.7

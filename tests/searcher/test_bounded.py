"""What is drawn within a budget is at it, and candidates are trained there one by one."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.genotype import Genotype
from recipe import Recipe
from searcher.bounded import Bounded
from searcher.budgets import PRICES, Budget
from searcher.learner import Learner
from searcher.spaces.realtime import Realtime
from searcher.strategies.evolution import alive
from searcher.strategies.sampling import Sampling
from searcher.systems import SYSTEMS
from searcher.task import Task
from sections import Proxy, Search

SPACE = Realtime({"width": 2})
BUDGET = Budget("macs", 0.003, (64, 96), 3, PRICES["macs"])


def at_it(genotype: Genotype) -> bool:
    return BUDGET.at(BUDGET.of(genotype))


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_what_is_drawn_and_its_children_are_at_the_budget(seed: int) -> None:
    bounded, rng = Bounded(SPACE, BUDGET), random.Random(seed)
    found = bounded.sample(rng)
    for _ in range(3):
        child = bounded.mutate(found, rng)
        assert child != found
        assert at_it(found)
        assert at_it(child)
        found = child


def tried(task: Task, strategy: str, trials: int, finalists: int = 0, **given: Any) -> Sampling:
    """A search that has tried so many candidates, and trained its finalists once more."""
    proxy = Proxy(**{"epochs": 1, "lr": 0.01, **given})
    words = {"strategy": strategy, "trials": trials, "finalists": finalists, "proxy": proxy}
    search = Search.model_validate({**words, "sizes": {"width": 2}})
    made = SYSTEMS["realtime"](replace(task, budget=BUDGET), search)
    assert isinstance(made, Sampling)
    for _ in range(trials + finalists):
        made.step()
    return made


@pytest.mark.parametrize("strategy", ["random", "local", "evolution"])
def test_every_candidate_of_a_strategy_is_at_the_budget(
    strategy: str, tiny_task: Callable[[], Task]
) -> None:
    made = tried(tiny_task(), strategy, 6)
    assert all(at_it(trial.genotype) for trial in made.trials)
    assert {tuple(trial.costs) for trial in made.trials} == {("gmacs", "mparams", "epochs")}
    assert made.choose(made.trials).score == max(trial.score for trial in made.trials)


def test_halving_trains_the_best_for_longer(tiny_task: Callable[[], Task]) -> None:
    made = tried(tiny_task(), "halving", 4, epochs=3)
    *brief, last = made.trials
    assert [trial.costs["epochs"] for trial in made.trials] == [1, 1, 1, 3]
    assert last.genotype == max(brief, key=lambda trial: trial.score).genotype


def test_finalists_are_trained_again(tiny_task: Callable[[], Task]) -> None:
    made = tried(tiny_task(), "random", 3, finalists=2, epochs=4)
    first, again = made.trials[:3], made.trials[3:]
    ranked = sorted(first, key=lambda trial: trial.score, reverse=True)
    assert [trial.genotype for trial in again] == [trial.genotype for trial in ranked[:2]]
    assert [trial.score for trial in again] != [trial.score for trial in ranked[:2]]


def test_a_candidate_learns_and_the_same_seed_is_the_same_trial(
    tiny_task: Callable[[], Task],
) -> None:
    task = tiny_task()
    one, other = (tried(task, "random", 1, epochs=12) for _ in range(2))
    assert one.trials == other.trials
    assert one.trials[0].score > tried(task, "random", 1, lr=1e-9).trials[0].score


@pytest.mark.parametrize("word", ["bank=DIR", "proxy.check=1"])
def test_what_is_for_a_bank_is_refused_beside_a_strategy(word: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(
        "{system: realtime, out: a, search: {strategy: local, cost: {metric: macs, budget: 1}}}"
    )
    key = f"search.{word.partition('=')[0]}"
    with pytest.raises(ValueError, match=f"{key} means nothing where search.strategy"):
        Recipe.load(tmp_path / "recipe.yaml", [f"search.{word}"])


def test_two_thirds_of_a_short_evolution_evolve() -> None:
    assert [alive(trials) for trials in (4, 16, 24, 48, 400)] == [4, 5, 8, 16, 16]


def test_what_does_not_fit_into_memory_is_worth_nothing(
    tiny_task: Callable[[], Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> Tensor:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(Learner, "step", full)
    (trial,) = tried(tiny_task(), "random", 1).trials
    assert (trial.score, trial.costs["epochs"]) == (0.0, 1)


def test_global_chance_is_left_as_it_was(tiny_task: Callable[[], Task]) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    tried(tiny_task(), "random", 1)
    assert torch.rand(1) == expected

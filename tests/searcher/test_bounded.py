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
from searcher.strategies import Trial
from searcher.strategies.evolution import alive, descent
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


def related(cost: float, seed: int) -> Genotype:
    """A random network of about so many billions of multiply-adds."""
    budget = replace(BUDGET, limit=cost)
    return Bounded(SPACE, budget).sample(random.Random(seed))


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**31), costs=st.tuples(*[st.sampled_from([0.0015, 0.003, 0.008])] * 2))
def test_a_child_of_two_is_at_the_budget_whatever_they_cost(
    seed: int, costs: tuple[float, float]
) -> None:
    one, other = (related(cost, seed + i) for i, cost in enumerate(costs))
    child = Bounded(SPACE, BUDGET).cross(one, other, random.Random(seed))
    assert at_it(child)
    assert SPACE.holds(child)


def test_parents_at_the_budget_are_tried_first_and_all_have_children(
    tiny_task: Callable[[], Task],
) -> None:
    at, dear, other = related(0.003, 0), related(0.008, 1), related(0.003, 2)
    words = {"strategy": "evolution", "trials": 6, "proxy": {"epochs": 1}, "sizes": {"width": 2}}
    parents = {"dear.json": dear, "at.json": at, "other.json": other}
    task = replace(tiny_task(), budget=BUDGET, parents=parents)
    made = SYSTEMS["realtime"](task, Search.model_validate(words))
    trials = [made.step() for _ in range(6)]
    assert {trial.genotype.fingerprint for trial in trials[:2]} == {
        at.fingerprint,
        other.fingerprint,
    }
    known = {genotype.fingerprint for genotype in parents.values()}
    for trial in trials[2:]:
        assert at_it(trial.genotype)
        assert trial.genotype.fingerprint not in known


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), missed=st.integers(0, 2))
def test_every_parent_at_the_budget_is_tried_although_some_trials_are_not_known(
    seed: int, missed: int
) -> None:
    """Of several processes one does not see what the others are trying."""
    parents = [related(0.003, i) for i in range(3)] + [related(0.008, 3)]
    propose = descent(Bounded(SPACE, BUDGET), parents)
    trials: list[Trial] = []
    for turn in range(3 + missed):
        known = trials[: max(0, turn - missed)]
        trials.append(Trial(propose(known, random.Random(f"{seed}/{turn}")), 0.5))
    tried = {trial.genotype.fingerprint for trial in trials}
    later = propose(trials, random.Random(seed))
    left = [p for p in parents[:3] if p.fingerprint not in tried]
    assert later in left if left else at_it(later)


def test_one_network_under_two_names_is_no_pair(tiny_task: Callable[[], Task]) -> None:
    parents = {"one.json": related(0.003, 0), "again.json": related(0.003, 0)}
    words = {"strategy": "evolution", "proxy": {"epochs": 1}, "sizes": {"width": 2}}
    task = replace(tiny_task(), budget=BUDGET, parents=parents)
    with pytest.raises(ValueError, match="all one network: name another"):
        SYSTEMS["realtime"](task, Search.model_validate(words))


def test_a_parent_of_another_space_is_named(tiny_task: Callable[[], Task]) -> None:
    parents = {"mine.json": related(0.003, 0), "theirs.json": Realtime({"width": 3}).ends()[0]}
    words = {"strategy": "evolution", "proxy": {"epochs": 1}, "sizes": {"width": 2}}
    task = replace(tiny_task(), budget=BUDGET, parents=parents)
    with pytest.raises(ValueError, match=r"search.parents: theirs.json .* leave it out"):
        SYSTEMS["realtime"](task, Search.model_validate(words))

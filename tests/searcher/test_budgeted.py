"""The search within a budget: one bank, networks that read from it, and a bound that holds."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from models.genotype import Genotype
from models.network import build
from pace import never
from searcher.alone import learned
from searcher.bank import Bank
from searcher.budgets import PRICES, Budget
from searcher.fronts import alike
from searcher.search import search
from searcher.spaces.realtime import Realtime
from searcher.strategies import Trial
from searcher.strategies.budgeted import AROUND, Budgeted
from searcher.systems import SYSTEMS
from searcher.task import Task
from sections import Proxy, Search

MakeTask = Callable[[], Task]
Same = Callable[[Any, Any], None]
SPACE = Realtime({"width": 2})
BUDGET = Budget("macs", 0.003, (64, 96), 3, PRICES["macs"])


@pytest.fixture(scope="module")
def bank() -> Bank:
    torch.manual_seed(0)
    return Bank(SPACE.widest(), 3)


def strategy(task: Task, budget: Budget = BUDGET, **given: Any) -> Budgeted:
    torch.manual_seed(0)
    settings = Search(epochs=2, warmup=0, batch=2, sizes={"width": 2}, **{"lr": 0.002, **given})
    made = SYSTEMS["realtime"](replace(task, budget=budget), settings)
    assert isinstance(made, Budgeted)
    return made


def test_the_bank_has_every_layer_of_every_network(bank: Bank) -> None:
    rng = random.Random(0)
    for _ in range(40):
        genotype = SPACE.sample(rng)
        shapes = {n: p.shape for n, p in build(genotype, 3).named_parameters()}
        assert {n: t.shape for n, t in bank.of(build(genotype, 3)).items()} == shapes


def test_a_network_of_the_bank_says_what_the_bank_says_for_it(bank: Bank) -> None:
    genotype = SPACE.sample(random.Random(1))
    pixels = torch.rand(2, 3, 64, 96) * 255
    fresh = build(genotype, 3).train()
    assert torch.equal(bank(fresh, pixels), bank.network(genotype).train()(pixels))


def test_networks_share_what_they_have_alike_and_nothing_else(bank: Bank) -> None:
    rng = random.Random(2)
    one = SPACE.sample(rng)
    bank.zero_grad()
    bank(build(one, 3).train(), torch.rand(2, 3, 64, 96) * 255).square().mean().backward()
    used = {n.replace(".", "/") for n, _ in build(one, 3).named_parameters()}
    assert {n for n, p in bank.weights.items() if p.grad is not None} == used
    stem = bank.weights["body/stem/0/weight"].grad
    assert stem is not None
    width = one.sizes["widths"]
    assert isinstance(width, tuple)
    assert stem[: width[0]].any()
    assert not stem[width[0] :].any()


def test_a_budget_out_of_reach_is_named_with_its_range(tiny_task: MakeTask) -> None:
    for limit in (1e-6, 10.0):
        with pytest.raises(
            ValueError, match=r"search.cost.budget is .* cost 0\.\d+ to 0\.\d+ \(gm"
        ):
            strategy(tiny_task(), replace(BUDGET, limit=limit))


def test_candidates_lie_where_they_are_sought_and_none_is_tried_twice(tiny_task: MakeTask) -> None:
    made = strategy(tiny_task())
    made.epoch = 2
    for turn in range(60):
        genotype = made.propose(random.Random(turn))
        cost, share = BUDGET.of(genotype), AROUND[turn % len(AROUND)]
        assert BUDGET.at(cost, share), (turn, cost, share)
        made.trials.append(Trial(genotype, random.Random(turn).random(), BUDGET.costs(genotype)))
    assert len({trial.genotype.fingerprint for trial in made.trials}) == 60


def test_a_budget_that_no_random_network_meets_is_reached(tiny_task: MakeTask) -> None:
    """Of networks that cost too much the cheapest have children."""
    costs = sorted(BUDGET.of(SPACE.sample(random.Random(i))) for i in range(2000))
    lightest = BUDGET.of(SPACE.ends()[0])
    limit = lightest + 0.5 * (costs[0] - lightest)
    made = strategy(tiny_task(), replace(BUDGET, limit=limit))
    made.epoch = 2
    for turn in range(80):
        genotype = made.propose(random.Random(turn))
        made.trials.append(
            Trial(genotype, random.Random(turn).random(), made.budget.costs(genotype))
        )
    assert sum(made.budget.at(trial.costs["gmacs"]) for trial in made.trials[40:]) > 5


def test_evolution_finds_what_scores(tiny_task: MakeTask) -> None:
    """Where the score is a share of the ops, children of the best have more of it."""
    made = strategy(tiny_task())
    made.epoch = 2
    scores = []
    for turn in range(120):
        genotype = made.propose(random.Random(turn))
        layers = genotype.graphs["stages"]
        scores.append(sum(edge.op == "narrow_3x3" for edge in layers) / len(layers))
        made.trials.append(Trial(genotype, scores[-1], BUDGET.costs(genotype)))
    assert sum(scores[-24:]) / 24 > 0.15 + sum(scores[:24]) / 24


def test_the_choice_is_the_best_at_the_budget_and_never_above(tiny_task: MakeTask) -> None:
    made = strategy(tiny_task())
    genotype = SPACE.sample(random.Random(0))
    trials = [
        Trial(genotype, score, {"gmacs": cost})
        for score, cost in ((0.9, 0.0031), (0.8, 0.0020), (0.6, 0.0029), (0.7, 0.0030))
    ]
    assert made.choose(trials).score == 0.7
    assert made.choose(trials[:2]).score == 0.8
    assert made.choose(trials[:1]).score == 0.9


def test_no_finalist_above_the_budget_is_chosen_before_one_within(tiny_task: MakeTask) -> None:
    made = strategy(tiny_task())
    genotype = SPACE.sample(random.Random(0))
    trials = [
        Trial(genotype, 0.5, {"gmacs": cost, "loss": loss})
        for cost, loss in ((0.0031, 0.1), (0.0020, 0.2), (0.0029, 0.4), (0.0030, 0.3))
    ]
    assert made.choose(trials).costs["loss"] == 0.3
    assert made.choose(trials[:2]).costs["loss"] == 0.2
    assert made.choose(trials[:1]).costs["loss"] == 0.1


def test_learning_lowers_the_loss_of_networks_that_were_never_drawn(tiny_task: MakeTask) -> None:
    made = strategy(tiny_task(), lr=0.02)
    batches = list(made.task.ready(made.task.train, 0))
    others = [SPACE.sample(random.Random(f"other {i}")) for i in range(6)]

    def loss() -> float:
        with torch.no_grad():
            found = [
                torch.nn.functional.cross_entropy(made.bank(build(g, 3).train(), x), y)
                for g in others
                for x, y in batches
            ]
        return float(torch.stack(found).mean())

    before = loss()
    for turn in range(60):
        rng = random.Random(turn)
        made.update(batches[turn % len(batches)], [made.near(rng) for _ in range(2)])
    assert loss() < 0.8 * before


def test_an_inherited_network_has_the_banks_weights_and_norms_of_its_own(
    tiny_task: MakeTask,
) -> None:
    made = strategy(tiny_task())
    genotype = SPACE.sample(random.Random(0))
    network = made.inherited(genotype)
    assert not network.training
    for name, weight in made.bank.of(network).items():
        assert torch.equal(network.get_parameter(name), weight)
    norm = network.get_submodule("body.stem.1")
    with torch.no_grad():
        seen = [
            network.get_submodule("body.stem.0")((x - network.pixel_mean) / network.pixel_std)
            for x in made.seen
        ]
    wanted = torch.stack([x.mean((0, 2, 3)) for x in seen]).mean(0)
    assert torch.allclose(norm.get_buffer("running_mean"), wanted, atol=1e-4)


@pytest.mark.parametrize("stop", [1, 3, 5])
def test_stopped_after_any_batch_it_goes_on_as_the_straight_run(
    stop: int, tiny_task: MakeTask, assert_same: Same
) -> None:
    """Two epochs of two batches, then the batches of the validations."""

    class Stopped(Exception):
        """Whoever asks for it gets it between two batches."""

    states: list[dict[str, Any]] = []

    def between() -> None:
        states.append(stopped.state_dict())
        if len(states) == stop:
            raise Stopped

    straight = strategy(tiny_task())
    trials = [straight.step() for _ in range(3)]
    stopped = strategy(tiny_task())
    with pytest.raises(Stopped):
        stopped.step(between)
    resumed = strategy(tiny_task())
    resumed.load_state_dict(states[-1])
    assert_same([resumed.step().state() for _ in range(3)], [trial.state() for trial in trials])
    assert_same(dict(resumed.bank.state_dict()), dict(straight.bank.state_dict()))


def test_a_search_leaves_its_candidates_and_what_they_cost(
    tiny_task: MakeTask, tmp_path: Path
) -> None:
    made = strategy(tiny_task())
    chosen = search(made, 4, tmp_path, lambda *_: None, key={"a": 1})
    assert Genotype.load(tmp_path / "genotype.json") == chosen.genotype
    assert chosen.costs["gmacs"] <= BUDGET.limit
    assert len((tmp_path / "candidates.jsonl").read_text().splitlines()) == 4


def test_finalists_are_the_best_at_the_budget_and_the_one_that_learns_best_is_chosen(
    tiny_task: MakeTask, tmp_path: Path
) -> None:
    made = strategy(tiny_task(), trials=8, finalists=3, proxy=Proxy(epochs=2, lr=0.01))
    chosen = search(made, 11, tmp_path, lambda *_: None, key={"a": 1})
    candidates, finalists = made.trials[:8], made.trials[8:]
    wanted = [trial.genotype for trial in made.ranked(candidates)[:3]]
    assert [trial.genotype for trial in finalists] == wanted
    assert [trial.costs["epochs"] for trial in finalists] == [2, 2, 2]
    assert chosen.costs["loss"] == min(trial.costs["loss"] for trial in finalists)
    assert not any("loss" in trial.costs for trial in candidates)
    lines = [json.loads(line) for line in (tmp_path / "trials.jsonl").read_text().splitlines()]
    assert alike(lines) == lines[:8]


def test_of_twice_as_many_those_that_take_the_budget_are_finalists(
    tiny_task: MakeTask, tmp_path: Path, assert_same: Same
) -> None:
    """The two best by the bank take too long, and the search remembers what it measured."""
    asked: list[int] = []

    def timed(genotypes: Sequence[Genotype]) -> list[float]:
        asked.append(len(genotypes))
        return [0.004] * 2 + [0.003 - i * 1e-5 for i in range(len(genotypes) - 2)]

    given: dict[str, Any] = {"trials": 8, "finalists": 3, "proxy": Proxy(epochs=1)}
    made = strategy(tiny_task(), replace(BUDGET, timed=timed), **given)
    chosen = search(made, 11, tmp_path, lambda *_: None, key={"a": 1})
    assert asked == [6]
    candidates, finalists = made.ranked(made.trials[:8]), made.trials[8:]
    names = [trial.genotype.fingerprint for trial in candidates[2:6]]
    assert {trial.genotype.fingerprint for trial in finalists} <= set(names)
    assert all(0.00285 <= trial.costs["gmacs"] <= 0.003 for trial in [chosen, *finalists])
    resumed = strategy(tiny_task(), replace(BUDGET, timed=timed), **given)
    resumed.load_state_dict(made.state_dict())
    assert_same([t.state() for t in resumed.finalists()], [t.state() for t in made.finalists()])
    assert asked == [6]


def test_a_finalist_learns_from_where_the_bank_is_and_leaves_it_there(tiny_task: MakeTask) -> None:
    made = strategy(tiny_task(), trials=1, finalists=1, proxy=Proxy(epochs=20, lr=0.02))
    made.step()
    bank = {name: weight.clone() for name, weight in made.bank.state_dict().items()}
    network = made.inherited(made.trials[0].genotype)
    settings = made.search.model_copy(update={"proxy": Proxy(epochs=1)})
    first = learned(network, made.task, settings, never, epochs=1)
    assert made.step().costs["loss"] < 0.9 * first
    assert all(torch.equal(bank[name], weight) for name, weight in made.bank.state_dict().items())


def test_a_finalist_that_was_stopped_learns_anew(tiny_task: MakeTask, assert_same: Same) -> None:
    given: dict[str, Any] = {"trials": 1, "finalists": 1, "proxy": Proxy(epochs=2)}
    straight, resumed = strategy(tiny_task(), **given), strategy(tiny_task(), **given)
    straight.step()
    states: list[dict[str, Any]] = []
    trial = straight.step(lambda: states.append(straight.state_dict()))
    assert len(states) > 4
    resumed.load_state_dict(states[2])
    assert_same(resumed.step().state(), trial.state())


def test_a_bank_is_taken_and_one_of_another_space_is_refused(
    tiny_task: MakeTask, bank: Bank, tmp_path: Path
) -> None:
    bank.save(tmp_path / "bank.safetensors")
    made = strategy(tiny_task(), bank=tmp_path)
    assert made.epoch == 2
    made.step()
    for name, weight in bank.weights.items():
        assert torch.equal(made.bank.weights[name], weight)
    Bank(SPACE.widest(), 5).save(tmp_path / "bank.safetensors")
    with pytest.raises(ValueError, match=r"search.bank: .* is the bank of another space or other"):
        strategy(tiny_task(), bank=tmp_path)

"""Bilevel search: who moves when, and a resumed search is the search that was not stopped."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from searcher import checkpoint
from searcher.schedules import in_turn, together
from searcher.search import TRIALS, search
from searcher.strategies import Strategy
from searcher.strategies.bilevel import Bilevel
from searcher.systems import JOINT, SPACES, SYSTEMS
from searcher.task import Task
from sections import Search

MakeTask = Callable[[], Task]
Same = Callable[[Any, Any], None]
SIZES = {
    "darts": {"width": 2, "head": 4},
    "auto_deeplab": {"width": 2, "stem": 4, "head": 4},
    "cas": {"width": 2, "head": 4},
}

BILEVEL = [name for name in SPACES if name not in JOINT]


def settings(system: str, epochs: int = 3, warmup: int = 1, order: int = 1) -> Search:
    settings = {"epochs": epochs, "warmup": warmup, "batch": 2, "layers": 2, "nodes": 2}
    return Search.model_validate(
        {**settings, "order": order, "sizes": SIZES[system], "arch_lr": 0.1}
    )


def strategy(system: str, task: Task, **changes: int) -> Bilevel:
    torch.manual_seed(0)
    made = SYSTEMS[system](task, settings(system, **changes))
    assert isinstance(made, Bilevel)
    return made


def snapshot(tensors: list[torch.nn.Parameter]) -> list[Tensor]:
    return [t.detach().clone() for t in tensors]


def moved(before: list[Tensor], now: list[torch.nn.Parameter]) -> bool:
    return any(not torch.equal(a, b) for a, b in zip(before, now, strict=True))


@pytest.mark.parametrize("system", BILEVEL)
def test_the_architecture_waits_until_the_warm_up_is_over(system: str, tiny_task: MakeTask) -> None:
    made = strategy(system, tiny_task(), epochs=4, warmup=2)
    for epoch in range(3):
        logits = snapshot(made.supernet.architecture())
        weights = snapshot(made.weights())
        made.step()
        assert moved(weights, made.weights())
        assert moved(logits, made.supernet.architecture()) == (epoch >= 2)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("system", BILEVEL)
def test_a_step_of_one_moves_nothing_of_the_other(
    system: str, order: int, tiny_task: MakeTask
) -> None:
    made = strategy(system, tiny_task(), order=order)
    batch = next(iter(made.task.ready(made.task.train, 0)))
    state = {n: t.clone() for n, t in made.supernet.network.state_dict().items()}
    logits = snapshot(made.supernet.architecture())
    made.update_architecture(batch, batch)
    assert all(torch.equal(t, state[n]) for n, t in made.supernet.network.state_dict().items())
    assert moved(logits, made.supernet.architecture())
    logits, weights = snapshot(made.supernet.architecture()), snapshot(made.weights())
    made.update(made.weight_optimizer, batch)
    assert not moved(logits, made.supernet.architecture())
    assert moved(weights, made.weights())


@pytest.mark.parametrize(("rate", "near"), [(1e-8, True), (0.025, False)])
def test_the_second_order_is_the_first_where_the_step_ahead_is_none(
    rate: float, near: bool, tiny_task: MakeTask
) -> None:
    found = []
    for order in (1, 2):
        made = strategy("darts", tiny_task(), order=order)
        made.weight_optimizer.param_groups[0]["lr"] = rate
        first, second = list(made.task.ready(made.task.train, 0))
        made.update_architecture(first, second)
        grad = made.supernet.logits["reduce"].grad
        assert grad is not None
        found.append(grad.clone())
    difference = (found[1] - found[0]).norm() / found[0].norm()
    assert (difference < 1e-2) == near


@pytest.mark.parametrize("system", BILEVEL)
def test_a_step_starts_from_gradients_of_its_own(system: str, tiny_task: MakeTask) -> None:
    """What the architecture's step left in the weights does not reach the weights' step."""
    made = strategy(system, tiny_task())
    first, second = list(made.task.ready(made.task.train, 0))
    made.update(made.arch_optimizer, first)
    twin = copy.deepcopy(made.supernet)
    made.update(made.weight_optimizer, second)
    alone = Bilevel(twin, tiny_task(), made.search)
    alone.update(alone.weight_optimizer, second)
    assert not moved(snapshot(made.weights()), alone.weights())


@pytest.mark.parametrize("system", BILEVEL)
def test_weights_and_architecture_are_disjoint_and_complete(
    system: str, tiny_task: MakeTask
) -> None:
    made = strategy(system, tiny_task())
    choose = {id(p) for p in made.supernet.architecture()}
    compute = {id(p) for p in made.weights()}
    learned = {id(p) for p in made.supernet.parameters() if p.requires_grad}
    assert not choose & compute
    assert choose | compute == learned
    held = [
        {id(p) for group in optimizer.param_groups for p in group["params"]}
        for optimizer in (made.arch_optimizer, made.weight_optimizer)
    ]
    assert held == [choose, compute]


@pytest.mark.parametrize("system", BILEVEL)
def test_resumed_after_any_step_it_is_the_straight_run(
    system: str, tiny_task: MakeTask, assert_same: Same, tmp_path: Path
) -> None:
    straight = strategy(system, tiny_task())
    expected = [straight.step() for _ in range(3)]
    for stop in (1, 2):
        folder = tmp_path / f"{system}{stop}"
        run(system, tiny_task(), folder, steps=stop)
        torch.manual_seed(99)
        resumed = run(system, tiny_task(), folder, steps=3)
        assert_same(resumed.state_dict(), straight.state_dict())
        lines = checkpoint.read_log(folder / TRIALS)
        assert [line["miou"] for line in lines] == [trial.score for trial in expected]
        assert [line["genotype"] for line in lines] == [t.genotype.fingerprint for t in expected]
        assert [line["step"] for line in lines] == [1, 2, 3]


ORDERS = [("darts", 1), ("darts", 2), ("auto_deeplab", 1), ("cas", 1)]


@pytest.mark.parametrize(("system", "order"), ORDERS)
def test_from_the_state_after_any_batch_it_goes_on_as_the_straight_run(
    system: str, order: int, tiny_task: MakeTask, assert_same: Same
) -> None:
    """Two batches to learn from and two to validate on in each of three epochs."""
    straight = strategy(system, tiny_task(), order=order)
    saved: list[dict[str, Any]] = []
    expected = [
        straight.step(lambda: saved.append(copy.deepcopy(straight.state_dict()))) for _ in range(3)
    ]
    assert [(s["epoch"], s["batch"]) for s in saved[4:8]] == [(1, 1), (1, 2), (1, 2), (1, 2)]
    for moment in (4, 7, 8):
        resumed = strategy(system, tiny_task(), order=order)
        resumed.load_state_dict(saved[moment])
        rest = [resumed.step() for _ in range(resumed.epoch, 3)]
        assert rest == expected[-len(rest) :]
        assert_same(resumed.state_dict(), straight.state_dict())


@pytest.mark.parametrize("drawn", range(6))
def test_the_architecture_goes_on_where_its_half_was_left(
    drawn: int, tiny_task: MakeTask, assert_same: Same
) -> None:
    made = strategy("darts", tiny_task())
    straight, resumed = made.arch_batches(), made.arch_batches(drawn)
    for _ in range(drawn):
        next(straight)
    for _ in range(3):
        assert_same(next(straight), next(resumed))


def run(system: str, task: Task, folder: Path, steps: int) -> Strategy:
    """A process that starts or goes on, and is stopped after ``steps`` steps."""
    made = strategy(system, task)
    search(made, steps, folder, lambda step, scores: None, key={"system": system})
    return made


def test_the_rate_falls_along_a_cosine_to_a_twenty_fifth(tiny_task: MakeTask) -> None:
    made = strategy("darts", tiny_task(), epochs=10)
    rates = []
    for made.epoch in range(11):
        rates.append(made.rate())
    assert rates[0] == pytest.approx(0.025)
    assert rates[5] == pytest.approx(0.025 * 0.52)
    assert rates[10] == pytest.approx(0.001)
    assert rates == sorted(rates, reverse=True)


def test_the_architecture_sees_only_its_own_half_and_never_runs_out(tiny_task: MakeTask) -> None:
    made = strategy("darts", tiny_task())
    assert made.task.arch is not None
    assert not {*made.task.arch.split.names} & {*made.task.train.split.names}
    batches = made.arch_batches()
    assert len([next(batches) for _ in range(5)]) == 5


def test_phases_begin_after_the_warm_up_and_end_when_the_next_begins() -> None:
    schedule = in_turn(2, ["a", "b"], 4, ["c"])
    assert [sorted(schedule(epoch)) for epoch in range(6)] == [
        [],
        [],
        ["a", "b"],
        ["a", "b"],
        ["c"],
        ["c"],
    ]
    assert [sorted(together(1, "ab")(epoch)) for epoch in range(3)] == [[], ["a", "b"], ["a", "b"]]


def logits_of(made: Bilevel) -> dict[str, Tensor]:
    return {name: alpha.detach().clone() for name, alpha in made.supernet.logits.items()}


@pytest.mark.parametrize(
    ("context", "expected"),
    [(None, ["", "nr", "nr", "c", "c"]), (1, ["", "nr", "nr", "nr", "c"]), (0, ["", *4 * ["cnr"]])],
)
def test_the_backbone_is_chosen_first_and_then_the_multi_scale_cell(
    context: int | None, expected: list[str], tiny_task: MakeTask
) -> None:
    """What does not learn stays as it is to the bit, whatever the optimizer remembers of it."""
    search = settings("cas", epochs=5).model_copy(update={"context_epochs": context, "layers": 3})
    made = SYSTEMS["cas"](tiny_task(), search)
    assert isinstance(made, Bilevel)
    for names in expected:
        before, weights = logits_of(made), snapshot(made.weights())
        made.step()
        now = logits_of(made)
        assert "".join(sorted(n[0] for n in now if not torch.equal(now[n], before[n]))) == names
        assert moved(weights, made.weights())


def test_the_search_ends_with_its_last_trial(tiny_task: MakeTask) -> None:
    made = strategy("darts", tiny_task())
    trials = [made.step(), made.step()]
    assert made.choose(trials) is trials[-1]
    assert trials[-1].genotype == made.supernet.derive()
    assert 0 <= trials[-1].score <= 1

"""Optimizers and schedules: what a recipe asks for, at every update."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from lessons import Train
from searcher.optimizers import course, make_optimizer, make_schedule, parameter_groups


def net() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4))


def rates(settings: Train, updates: int) -> list[float]:
    """The learning rate of every update."""
    optimizer = make_optimizer(net(), settings)
    schedule = make_schedule(optimizer, settings, updates)
    found = []
    for _ in range(updates):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return [*found, optimizer.param_groups[0]["lr"]]


def test_poly_falls_as_in_deeplab() -> None:
    found = rates(Train(schedule="poly", lr=0.05, epochs=2), 10)
    assert found == pytest.approx([0.05 * (1 - i / 10) ** 0.9 for i in range(11)])


def test_cosine_rises_and_then_is_half_a_wave() -> None:
    found = rates(Train(schedule="cosine", lr=0.1, epochs=5, warmup=1), 20)
    assert found[:4] == pytest.approx([0.02, 0.04, 0.06, 0.08])
    assert found[4:] == pytest.approx([0.05 * (1 + math.cos(math.pi * i / 16)) for i in range(17)])


def test_a_restart_begins_the_course_anew() -> None:
    rounds = Train(schedule="cosine", lr=0.1, epochs=5, warmup=1, restarts=[3])
    found = rates(rounds, 20)
    assert found[:12] == pytest.approx(
        rates(rounds.model_copy(update={"epochs": 3, "restarts": []}), 12)[:-1]
    )
    assert found[12:] == pytest.approx(
        rates(rounds.model_copy(update={"epochs": 2, "restarts": []}), 8)
    )


@pytest.mark.parametrize("restarts", [[5], [3, 2], [2, 2], [1], [4]])
def test_a_restart_has_time_to_rise_and_fall(restarts: list[int]) -> None:
    with pytest.raises(ValueError, match=r"each round be longer than train\.warmup"):
        Train(schedule="poly", warmup=1, epochs=5, restarts=restarts)


def test_one_cycle_has_no_restarts() -> None:
    with pytest.raises(ValueError, match=r"choose a train\.schedule"):
        Train(restarts=[3])


def test_one_cycle_rises_and_falls() -> None:
    found = rates(Train(lr=0.1), 20)
    assert found[-1] < found[0] < max(found) <= 0.1


def test_a_course_that_only_rises_ends() -> None:
    assert [course("poly", 3, 3)(i) for i in range(4)] == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize(("name", "kind"), [("sgd", torch.optim.SGD), ("adamw", torch.optim.AdamW)])
def test_the_optimizer_is_the_one_that_was_asked_for(name: str, kind: type) -> None:
    made = make_optimizer(net(), Train.model_validate({"optimizer": name, "momentum": 0.5}))
    assert type(made) is kind
    assert name != "sgd" or made.param_groups[0]["momentum"] == 0.5


def test_what_does_not_learn_is_in_no_group() -> None:
    module = net()
    module[0].requires_grad_(False)
    assert [len(group["params"]) for group in parameter_groups(module, 0.1)] == [0, 2]


def test_a_warm_up_must_end_and_have_a_use() -> None:
    with pytest.raises(ValueError, match=r"below train\.epochs"):
        Train(schedule="poly", warmup=3, epochs=3)
    with pytest.raises(ValueError, match="one_cycle rises by itself"):
        Train(warmup=1)

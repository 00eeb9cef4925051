"""Recorded steps: where they may be, and that they learn what others learn."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric

from lessons import Train
from models.network import Network, build
from searcher.graphed import recordable
from searcher.learner import Learner
from searcher.spaces.darts import Darts
from searcher.task import Task

MakeTask = Callable[[], Task]
STEPS = 12
without_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no NVIDIA GPU")


def settings(**given: Any) -> Train:
    return Train.model_validate({"epochs": 3, "batch": 2, **given})


def on_gpu(task: Task) -> Task:
    return replace(task, fabric=Fabric(accelerator="cuda", devices=1))


def fresh() -> Network:
    torch.manual_seed(0)
    return build(Darts(2, 1, {"width": 2, "head": 4}).sample(random.Random(1)), 3)


def test_a_processor_records_nothing(tiny_task: MakeTask) -> None:
    task = tiny_task()
    assert not recordable(task, settings())
    assert Learner(fresh(), task, settings(), STEPS).graphed is None


@pytest.mark.gpu
@without_gpu
@pytest.mark.parametrize(
    "given",
    [
        {"accumulate": 2},
        {"drop_path": 0.2},
        {"quantise": 0.5},
        {"compile": True},
        {"loss": {"ohem": 1}},
        {"loss": {"lovasz": 1}},
    ],
)
def test_what_waits_or_changes_is_not_recorded(tiny_task: MakeTask, given: Any) -> None:
    task = on_gpu(tiny_task())
    assert recordable(task, settings())
    assert not recordable(task, settings(**given))


@pytest.mark.gpu
@without_gpu
def test_recorded_steps_learn_what_others_learn(tiny_task: MakeTask) -> None:
    given = settings(ema=0.9, auxiliary=0.4, loss={"ce": 1, "dice": 1})
    learners = [Learner(fresh(), on_gpu(tiny_task()), given, STEPS) for _ in range(2)]
    learners[1].graphed = None
    losses = []
    for learner in learners:
        task = learner.task
        full = [batch for epoch in range(2) for batch in task.ready(task.train, epoch)]
        double = [(torch.cat([x, x]), torch.cat([y, y])) for x, y in full[:2]]
        losses.append([learner.step(batch).item() for batch in (*full, *double, *full)])
    assert learners[0].graphed is not None
    assert len(learners[0].graphed.recordings) == 2
    assert losses[0] == pytest.approx(losses[1], rel=2e-2)

"""Training: a resumed training is the one that was not stopped."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from models import weights
from models.network import Network, build
from recipe import Train
from searcher import checkpoint
from searcher.optimizers import parameter_groups
from searcher.spaces.darts import Darts
from searcher.task import Task
from searcher.train import METRICS, Training, fit

MakeTask = Callable[[], Task]
SETTINGS = Train(epochs=3, batch=2, validate_every=2)


def fresh() -> Network:
    torch.manual_seed(0)
    genotype = Darts(2, 1, {"width": 2, "head": 4}).sample(random.Random(0))
    return build(genotype, 3)


class StoppedError(Exception):
    """The process ends here."""


def train(task: Task, folder: Path, stop_after: int = 9) -> Network:
    """Train, or go on, and stop after an epoch."""

    def report(epoch: int, scores: object) -> None:
        if epoch == stop_after:
            raise StoppedError

    return fit(fresh(), task, SETTINGS, folder, report, key={"seed": 0})


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_resumed_after_any_epoch_it_is_the_straight_run(
    stop: int, tiny_task: MakeTask, tmp_path: Path
) -> None:
    train(tiny_task(), tmp_path / "straight")
    with pytest.raises(StoppedError):
        train(tiny_task(), tmp_path / "again", stop)
    assert not (tmp_path / "again" / weights.WEIGHTS).exists()
    torch.manual_seed(99)
    train(tiny_task(), tmp_path / "again")
    for name in (weights.WEIGHTS, weights.NETWORK, METRICS):
        assert (tmp_path / "again" / name).read_bytes() == (
            tmp_path / "straight" / name
        ).read_bytes()


def test_what_is_saved_is_the_trained_network(tiny_task: MakeTask, tmp_path: Path) -> None:
    network = train(tiny_task(), tmp_path)
    assert not network.training
    saved, untrained = weights.load(tmp_path).state_dict(), fresh().state_dict()
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, saved[name])
        assert not torch.equal(tensor, untrained[name])


def test_it_is_validated_every_few_epochs_and_after_the_last(
    tiny_task: MakeTask, tmp_path: Path
) -> None:
    train(tiny_task(), tmp_path)
    log = checkpoint.read_log(tmp_path / METRICS)
    assert [line["epoch"] for line in log] == [1, 2, 3]
    assert ["miou" in line for line in log] == [False, True, True]


def test_the_schedule_ends_with_the_last_step(tiny_task: MakeTask) -> None:
    training = Training(fresh(), tiny_task(), SETTINGS)
    rates = [training.learner.schedule.get_last_lr()[0]]
    for _ in range(SETTINGS.epochs):
        training.epoch()
        rates.append(training.learner.schedule.get_last_lr()[0])
    assert max(rates) <= SETTINGS.lr
    assert rates[-1] < rates[0] < max(rates)


def test_another_recipe_does_not_go_on(tiny_task: MakeTask, tmp_path: Path) -> None:
    train(tiny_task(), tmp_path)
    with pytest.raises(ValueError, match="seed: 0 -> 1"):
        fit(fresh(), tiny_task(), SETTINGS, tmp_path, lambda *_: None, key={"seed": 1})


def test_every_parameter_is_in_one_group_and_norms_do_not_decay() -> None:
    network = fresh()
    decayed, free = parameter_groups(network, 0.1)
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.1, 0.0)
    assert all(p.ndim == 4 for p in decayed["params"])
    assert all(p.ndim == 1 for p in free["params"])
    grouped = [id(p) for group in (decayed, free) for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in network.parameters())

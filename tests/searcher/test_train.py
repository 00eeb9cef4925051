"""Training: a resumed training is the one that was not stopped."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
import torch

from lessons import Train
from models import weights
from models.network import Network, build
from pace import Pace, Stop, StoppedError
from searcher import checkpoint
from searcher.data.batches import Batch
from searcher.learner import Learner
from searcher.optimizers import parameter_groups
from searcher.spaces.darts import Darts
from searcher.task import Task
from searcher.train import METRICS, Training, fit

MakeTask = Callable[[], Task]
SETTINGS = Train(epochs=3, batch=2, validate_every=2)
LOOKS = 2 + 3 * 2 + 2 * 2 + 3 * 2
"""At the clock: when it begins, after each batch to learn from and to validate on, and in saves."""


def fresh() -> Network:
    torch.manual_seed(0)
    genotype = Darts(2, 1, {"width": 2, "head": 4}).sample(random.Random(0))
    return build(genotype, 3)


class EndedError(Exception):
    """The process ends here."""


def asked_at(look: int) -> Pace:
    """A pace that is asked to stop when it looks at its clock for the ``look``-th time."""
    stop, looks = Stop(), count(1)

    def clock() -> float:
        if next(looks) == look:
            stop.signum = signal.SIGTERM
        return 0.0

    return Pace(stop=stop, clock=clock)


def train(task: Task, folder: Path, stop_after: int = 9, pace: Pace | None = None) -> Network:
    """Train, or go on, and stop after an epoch."""

    def report(epoch: int, scores: object) -> None:
        if epoch == stop_after:
            raise EndedError

    return fit(fresh(), task, SETTINGS, folder, report, key={"seed": 0}, pace=pace)


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_resumed_after_any_epoch_it_is_the_straight_run(
    stop: int, straight: Path, tiny_task: MakeTask, tmp_path: Path
) -> None:
    with pytest.raises(EndedError):
        train(tiny_task(), tmp_path / "again", stop)
    assert not (tmp_path / "again" / weights.WEIGHTS).exists()
    torch.manual_seed(99)
    train(tiny_task(), tmp_path / "again")
    for name in (weights.WEIGHTS, weights.NETWORK, METRICS):
        assert (tmp_path / "again" / name).read_bytes() == (straight / name).read_bytes()


@pytest.fixture(scope="module")
def straight(tiny_task: MakeTask, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training that nobody stopped."""
    folder = tmp_path_factory.mktemp("straight")
    train(tiny_task(), folder)
    return folder


@pytest.mark.parametrize("look", range(1, LOOKS + 1))
def test_stopped_at_any_batch_and_resumed_it_is_the_straight_run(
    look: int, straight: Path, tiny_task: MakeTask, tmp_path: Path
) -> None:
    """In the middle of an epoch, of a validation, or of a save."""
    with pytest.raises(StoppedError, match="the state is saved"):
        train(tiny_task(), tmp_path / "again", pace=asked_at(look))
    torch.manual_seed(99)
    train(tiny_task(), tmp_path / "again")
    for name in (weights.WEIGHTS, weights.NETWORK, METRICS):
        assert (tmp_path / "again" / name).read_bytes() == (straight / name).read_bytes()


def test_a_log_that_a_kill_after_the_last_state_cut_short_is_whole_again(
    straight: Path, tiny_task: MakeTask, tmp_path: Path
) -> None:
    train(tiny_task(), tmp_path)
    (tmp_path / METRICS).write_text("")
    train(tiny_task(), tmp_path)
    assert (tmp_path / METRICS).read_bytes() == (straight / METRICS).read_bytes()


def test_a_loss_that_is_no_number_names_step_rate_and_state(
    tiny_task: MakeTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = Learner.step, count(1)

    def step(self: Learner, batch: Batch) -> torch.Tensor:
        if next(calls) == 5:
            with torch.no_grad():
                next(self.network.parameters()).fill_(torch.nan)
        return real(self, batch)

    monkeypatch.setattr(Learner, "step", step)
    message = (
        r"the loss is no longer a number: lower .* \(epoch 3, batch 1, learning rate [\d.e-]+\); "
        rf"the last good state is {tmp_path}/state\.pt"
    )
    with pytest.raises(ValueError, match=message):
        train(tiny_task(), tmp_path)
    state = checkpoint.resume(tmp_path, {"seed": 0})
    assert state is not None
    assert len(state["log"]) == 2
    assert not list(checkpoint.not_finite("", state))


def test_weights_that_are_no_numbers_are_not_saved(
    tiny_task: MakeTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A finite loss whose step ends nowhere: the state of the batch before is what is left."""
    real, calls = Learner.step, 0

    def step(self: Learner, batch: Batch) -> torch.Tensor:
        nonlocal calls
        calls += 1
        loss = real(self, batch)
        if calls == 4:
            with torch.no_grad():
                next(self.network.parameters()).fill_(torch.inf)
        return loss

    monkeypatch.setattr(Learner, "step", step)
    with pytest.raises(ValueError, match=r"network\..* is no longer a number: .*state\.pt"):
        train(tiny_task(), tmp_path, pace=Pace(minutes=1e-9))
    state = checkpoint.resume(tmp_path, {"seed": 0})
    assert state is not None
    assert (len(state["log"]), len(state["losses"])) == (1, 1)


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

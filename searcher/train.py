"""The one training loop: from a network with fresh weights to a trained one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lessons import Train
from models import weights
from models.network import Network
from pace import Pace, never
from searcher.checkpoint import Job, is_best, located
from searcher.learner import Learner
from searcher.task import Task, finite

METRICS = "metrics.jsonl"

Report = Callable[[int, Mapping[str, float]], None]
"""Called after each epoch with its number, from 1, and its scores.

Before the checkpoint: an epoch that is not saved is done, and reported, again.
"""


class Training:
    """A learner, and how far it is: the epochs that are done and what happened in them."""

    def __init__(self, network: Network, task: Task, settings: Train) -> None:
        self.task, self.settings = task, settings
        self.learner = Learner(network, task, settings, settings.epochs * len(task.train))
        self.log: list[dict[str, float]] = []
        self.losses: list[float] = []
        """Of the epoch that is under way."""

    def epoch(self, between: Callable[[], None] = never) -> dict[str, float]:
        """Train for one epoch or what is left of it; what happened, as a line of the log.

        It is validated if it is time.  ``between`` is called after every batch, when the state is
        that of this moment.
        """
        done = len(self.log)
        for batch in self.task.ready(self.task.train, done, len(self.losses)):
            with located(done + 1, len(self.losses) + 1, self.rate):
                self.losses.append(finite(self.learner.step(batch)).item())
            between()
        return self.end_epoch(between)

    def end_epoch(self, between: Callable[[], None] = never) -> dict[str, float]:
        """What happened in the epoch whose batches are learned; it is validated if it is time."""
        done = len(self.log)
        loss = math.fsum(self.losses) / len(self.losses)
        line = {"epoch": done + 1, "loss": loss} | self.validate(done + 1, between)
        self.log.append(line)
        self.losses = []
        return line

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return self.learner.optimizer.param_groups[0]["lr"]

    @property
    def best(self) -> bool:
        """Whether the last epoch was validated, and better than ever."""
        metric = self.task.metric
        scores = [line[metric] for line in self.log if metric in line]
        return metric in self.log[-1] and is_best(scores)

    def validate(self, epoch: int, between: Callable[[], None] = never) -> dict[str, float]:
        """Scores on the validation split, every few epochs and after the last."""
        if epoch % self.settings.validate_every and epoch != self.settings.epochs:
            return {}
        scores = self.task.scores(self.task.score(self.learner.candidate, between))
        self.learner.consider(scores[self.task.metric])
        return dict(scores)

    def state_dict(self) -> dict[str, Any]:
        return {"learner": self.learner.state_dict(), "log": self.log, "losses": self.losses}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.learner.load_state_dict(state["learner"])
        self.log, self.losses = list(state["log"]), list(state["losses"])


def kept(log: Sequence[Mapping[str, float]], keep: str) -> Mapping[str, float]:
    """The line of a log that speaks of the network that ships: see ``Learner.consider``."""
    validated = [line for line in log if "miou" in line]
    if keep == "last":
        return validated[-1]
    return max(validated, key=lambda line: -1 if math.isnan(line["miou"]) else line["miou"])


def fit(
    network: Network,
    task: Task,
    settings: Train,
    folder: Path,
    report: Report,
    *,
    key: Mapping[str, Any],
    pace: Pace | None = None,
) -> Network:
    """Train ``network`` and leave it, as it was validated best, with its log in ``folder``.

    A job that was killed goes on from the batch after its last checkpoint.  ``key`` is what the
    result depends on: ``ValueError`` where the state in ``folder`` was made with another one.
    ``StoppedError`` where ``pace`` was asked to stop.
    """
    training = Training(network, task, settings)
    job = Job(folder, key, pace)
    state = job.resume()
    if state is not None:
        training.load_state_dict(state)
    with job.running():
        while len(training.log) < settings.epochs:
            line = training.epoch(lambda: job.between(training.state_dict))
            report(len(training.log), line)
            job.save(training.state_dict(), training.best)
            job.log(METRICS, training.log)
            job.pace.heed()
    job.log(METRICS, training.log)
    chosen = training.learner.chosen()
    if job.writes:
        weights.save(chosen, folder)
    return chosen

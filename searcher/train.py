"""The one training loop: from a network with fresh weights to a trained one."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from models import weights
from models.network import Network
from recipe import Train
from searcher import checkpoint
from searcher.learner import Learner
from searcher.task import Task

METRICS = "metrics.jsonl"

Report = Callable[[int, Mapping[str, float]], None]
"""Called after each epoch with its number, from 1, and its scores."""


class Training:
    """A learner, and how far it is: the epochs that are done and what happened in them."""

    def __init__(self, network: Network, task: Task, settings: Train) -> None:
        self.task, self.settings = task, settings
        self.learner = Learner(network, task, settings, settings.epochs * len(task.train))
        self.log: list[dict[str, float]] = []

    def epoch(self) -> dict[str, float]:
        """Train for one epoch, and validate if it is time; what happened, as a line of the log."""
        done = len(self.log)
        batches = self.task.ready(self.task.train, done)
        losses = [self.learner.step(batch) for batch in batches]
        line = {"epoch": done + 1, "loss": math.fsum(losses) / len(losses)} | self.validate(
            done + 1
        )
        self.log.append(line)
        return line

    def validate(self, epoch: int) -> dict[str, float]:
        """Scores on the validation split, every few epochs and after the last."""
        if epoch % self.settings.validate_every and epoch != self.settings.epochs:
            return {}
        confusion = self.task.score(self.learner.candidate)
        self.learner.consider(confusion.miou)
        return {"miou": confusion.miou, "pixel_accuracy": confusion.pixel_accuracy}

    def state_dict(self) -> dict[str, Any]:
        return {"learner": self.learner.state_dict(), "log": self.log}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.learner.load_state_dict(state["learner"])
        self.log = list(state["log"])


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
) -> Network:
    """Train ``network`` and leave it, as it was validated best, with its log in ``folder``.

    A job that was killed goes on after its last finished epoch.  ``key`` is what the result
    depends on: ``ValueError`` where the state in ``folder`` was made with another one.
    """
    training = Training(network, task, settings)
    state = checkpoint.resume(folder, key) or {"seconds": 0.0}
    if "learner" in state:
        training.load_state_dict(state)
    seconds = state["seconds"]
    while len(training.log) < settings.epochs:
        start = time.monotonic()
        line = training.epoch()
        seconds += time.monotonic() - start
        if task.fabric.is_global_zero:
            checkpoint.save(folder, {**training.state_dict(), "seconds": seconds}, key)
            checkpoint.write_log(folder / METRICS, training.log)
        report(len(training.log), line)
    chosen = training.learner.chosen()
    if task.fabric.is_global_zero:
        weights.save(chosen, folder)
    return chosen

"""The one training loop: from a network with fresh weights to a trained one."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from models import weights
from models.network import Network
from recipe import Train
from searcher import checkpoint
from searcher.task import Task

METRICS = "metrics.jsonl"

Report = Callable[[int, Mapping[str, float]], None]
"""Called after each epoch with its number, from 1, and its scores.

Before the checkpoint: an epoch that is not saved is done, and reported, again.
"""


class Training:
    """A network, its optimizer and schedule, and how far they are."""

    def __init__(self, network: Network, task: Task, settings: Train) -> None:
        task.place(network)
        self.network, self.task, self.settings = network, task, settings
        self.optimizer = torch.optim.AdamW(
            parameter_groups(network, settings.weight_decay), settings.lr
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, settings.lr, total_steps=settings.epochs * len(task.train) + 1
        )
        self.log: list[dict[str, float]] = []

    def epoch(self) -> dict[str, float]:
        """Train for one epoch, and validate if it is time; what happened, as a line of the log."""
        self.network.train()
        done, losses = len(self.log), []
        for batch in self.task.ready(self.task.train, done):
            self.optimizer.zero_grad()
            loss = self.task.loss(self.network, batch)
            loss.backward()
            nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
            self.optimizer.step()
            self.schedule.step()
            losses.append(loss.item())
        line = {"epoch": done + 1, "loss": math.fsum(losses) / len(losses)} | self.validate(
            done + 1
        )
        self.log.append(line)
        return line

    def validate(self, epoch: int) -> dict[str, float]:
        """Scores on the validation split, every few epochs and after the last."""
        if epoch % self.settings.validate_every and epoch != self.settings.epochs:
            return {}
        confusion = self.task.score(self.network)
        return {"miou": confusion.miou, "pixel_accuracy": confusion.pixel_accuracy}

    def state_dict(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "log": self.log,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.log = list(state["log"])


def parameter_groups(network: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Weights of convolutions decay; biases and norms do not."""
    parameters = list(network.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def fit(
    network: Network,
    task: Task,
    settings: Train,
    folder: Path,
    report: Report,
    *,
    key: Mapping[str, Any],
) -> Network:
    """Train ``network`` and leave it, with its log, in ``folder``.

    A job that was killed goes on after its last finished epoch.  ``key`` is what the result
    depends on: ``ValueError`` where the state in ``folder`` was made with another one.
    """
    training = Training(network, task, settings)
    state = checkpoint.resume(folder, key) or {"seconds": 0.0}
    if "network" in state:
        training.load_state_dict(state)
    seconds = state["seconds"]
    while len(training.log) < settings.epochs:
        start = time.monotonic()
        line = training.epoch()
        seconds += time.monotonic() - start
        report(len(training.log), line)
        checkpoint.save(folder, {**training.state_dict(), "seconds": seconds}, key)
        checkpoint.write_log(folder / METRICS, training.log)
    weights.save(network, folder)
    return network.eval()

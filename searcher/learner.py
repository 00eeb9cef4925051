"""The learner: one step of training a network, and everything that a step remembers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from models.network import Network
from recipe import Train
from searcher.data.batches import Batch
from searcher.task import Task

CLIP = 5.0
"""The longest gradient, as a norm over all parameters."""


class Learner:
    """A network, its optimizer and its schedule over ``steps`` steps."""

    def __init__(self, network: Network, task: Task, settings: Train, steps: int) -> None:
        task.place(network)
        self.network, self.task = network, task
        groups = parameter_groups(network, settings.weight_decay)
        self.optimizer = torch.optim.AdamW(groups, settings.lr)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, settings.lr, total_steps=steps + 1
        )

    def step(self, batch: Batch) -> float:
        """Learn from one batch; its loss."""
        self.network.train()
        self.optimizer.zero_grad()
        loss = self.task.loss(self.network, batch)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), CLIP)
        self.optimizer.step()
        self.schedule.step()
        return loss.item()

    def parts(self) -> dict[str, Any]:
        """What has a state."""
        return {
            "network": self.network,
            "optimizer": self.optimizer,
            "schedule": self.schedule,
        }

    def state_dict(self) -> dict[str, Any]:
        return {name: part.state_dict() for name, part in self.parts().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for name, part in self.parts().items():
            part.load_state_dict(state[name])


def parameter_groups(network: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Weights of convolutions decay; biases and norms do not."""
    parameters = list(network.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]

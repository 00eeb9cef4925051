"""The optimizer of a training, and the course of its learning rate."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from lessons import Train

POWER = 0.9
"""The exponent of the poly schedule (DeepLab)."""


def make_optimizer(module: nn.Module, settings: Train) -> Optimizer:
    """AdamW or SGD over the parameters that learn."""
    groups = parameter_groups(module, settings.weight_decay)
    if settings.optimizer == "sgd":
        return SGD(groups, settings.lr, momentum=settings.momentum)
    return AdamW(groups, settings.lr)


def parameter_groups(module: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Weights of convolutions decay; biases and norms do not."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def make_schedule(optimizer: Optimizer, settings: Train, updates: int) -> LRScheduler:
    """The learning rate before each of ``updates`` updates, ``train.lr`` at its highest."""
    if settings.schedule == "one_cycle":
        return OneCycleLR(optimizer, settings.lr, total_steps=updates + 1)
    an_epoch = updates / settings.epochs
    rise = round(settings.warmup * an_epoch)
    starts = [round(epoch * an_epoch) for epoch in (0, *settings.restarts, settings.epochs)]
    rounds = [course(settings.schedule, rise, end - start) for start, end in pairwise(starts)]
    return LambdaLR(optimizer, in_turn(rounds, starts[:-1]))


def search_rate(highest: float, share: float) -> float:
    """The rate after a ``share`` of a search, 0..1: a cosine to a twenty-fifth of the highest."""
    return highest * (0.04 + 0.96 * (1 + math.cos(math.pi * share)) / 2)


def in_turn(rounds: list[Callable[[int], float]], starts: list[int]) -> Callable[[int], float]:
    """Each round's share of the highest rate from its start on, counted from there."""

    def share(update: int) -> float:
        now = bisect_right(starts, update) - 1
        return rounds[now](update - starts[now])

    return share


def course(name: str, rise: int, updates: int) -> Callable[[int], float]:
    """The share of the highest rate at an update, from 0: a linear rise, then the fall to 0.

    ``poly`` is (1 - t)^0.9, ``cosine`` half a wave, t the share of the fall that is over.
    """

    def share(update: int) -> float:
        if update < rise:
            return (update + 1) / (rise + 1)
        t = min((update - rise) / max(updates - rise, 1), 1.0)
        return (1 - t) ** POWER if name == "poly" else (1 + math.cos(math.pi * t)) / 2

    return share

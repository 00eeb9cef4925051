"""Knowledge distillation: a network learns from another's logits as well as from the labels."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from lessons import Distill
from models import weights
from models.network import Network
from searcher import squares
from searcher.data import IGNORE
from searcher.task import Task


class Teacher:
    """The network of a training's or a bundle's folder, which does not learn."""

    def __init__(self, settings: Distill, task: Task) -> None:
        self.settings, self.task = settings, task
        self.network = load_teacher(settings.teacher, task, "train.distill.teacher")

    def loss(self, pixels: Tensor, logits: Tensor, labels: Tensor, grain: int = 1) -> Tensor:
        """How far ``logits`` are from the teacher's, times its weight: a scalar.

        They are of pixels [B, K, H, W], or of squares [B, K, H/grain, W/grain].
        """
        temperature = self.settings.temperature
        with torch.no_grad():
            taught = self.task.logits(self.network, pixels)
        if grain > 1:
            found = squares.divergence(logits, taught, labels, temperature, grain)
        else:
            found = divergence(logits, taught, labels, temperature)
        return self.settings.weight * found


def load_teacher(path: Path, task: Task, key: str) -> Network:
    """The network of a folder; ``ValueError`` names the recipe's ``key`` where it cannot teach."""
    try:
        network = weights.load(path)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None
    if network.num_classes != task.num_classes:
        raise ValueError(
            f"{key}: {path} knows {network.num_classes} classes, and the data has "
            f"{task.num_classes}: name one trained on this data"
        )
    if network.labels != task.labels:
        raise ValueError(
            f"{key}: {path} gives classes to {network.labels}, and the data to {task.labels}: name "
            f"one trained on this data"
        )
    task.place(network)
    return network


def distance(logits: Tensor, taught: Tensor, labels: Tensor) -> Tensor:
    """The mean squared difference of two [B, K, H, W] over the labelled pixels of [B, H, W].

    So Fast NAS's candidates learn.  What is not labelled is left out: padding is among it.
    """
    each = (logits - taught).square().mean(1)
    labelled = labels != IGNORE
    return each.where(labelled, 0).sum() / labelled.sum().clamp(min=1)


def divergence(logits: Tensor, taught: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """KL(taught || logits), both softened by T, times T^2: the mean over the labelled pixels.

    Hinton et al. 2015, section 2.  What is not labelled is left out: padding is among it.
    """
    wanted = (taught / temperature).log_softmax(1)
    found = (logits / temperature).log_softmax(1)
    each = F.kl_div(found, wanted, reduction="none", log_target=True).sum(1)
    labelled = labels != IGNORE
    mean = each.where(labelled, 0).sum() / labelled.sum().clamp(min=1)
    return temperature**2 * mean

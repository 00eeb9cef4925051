"""Knowledge distillation: a network learns from another's logits as well as from the labels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from models import weights
from searcher.data import IGNORE
from searcher.task import Task
from sections import Distill


class Teacher:
    """The network of a training's or a bundle's folder, which does not learn."""

    def __init__(self, settings: Distill, task: Task) -> None:
        self.settings, self.task = settings, task
        self.network = weights.load(settings.teacher)
        if self.network.num_classes != task.num_classes:
            raise ValueError(
                f"train.distill.teacher: {settings.teacher} knows {self.network.num_classes} "
                f"classes, and the data has {task.num_classes}: name one trained on this data"
            )
        if self.network.labels != task.labels:
            raise ValueError(
                f"train.distill.teacher: {settings.teacher} gives classes to "
                f"{self.network.labels}, and the data to {task.labels}: name one trained on this "
                f"data"
            )
        task.place(self.network)

    def loss(self, pixels: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        """How far ``logits`` [B, K, H, W] are from the teacher's, times its weight: a scalar."""
        with torch.no_grad():
            taught = self.task.logits(self.network, pixels)
        return self.settings.weight * divergence(logits, taught, labels, self.settings.temperature)


def divergence(logits: Tensor, taught: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """KL(taught || logits), both softened by T, times T^2: the mean over the labelled pixels.

    Hinton et al. 2015, section 2.  What is not labelled is left out: padding is among it.
    """
    wanted = (taught / temperature).softmax(1)
    found = (logits / temperature).log_softmax(1)
    each = F.kl_div(found, wanted, reduction="none").sum(1)
    labelled = labels != IGNORE
    mean = each.where(labelled, 0).sum() / labelled.sum().clamp(min=1)
    return temperature**2 * mean

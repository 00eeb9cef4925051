"""Losses over logits and labels, all of which leave out what is labelled 255, and their sum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from searcher.data import IGNORE

Criterion = Callable[[Tensor, Tensor], Tensor]
"""Logits [B, K, H, W] (or [B, K]) and labels [B, H, W] (or [B]) -> a scalar."""


def cross_entropy(
    logits: Tensor, labels: Tensor, weights: Tensor | None = None, smoothing: float = 0.0
) -> Tensor:
    """Mean over the labelled pixels, each counted as its class weighs (``weights`` [K]).

    Zero where nothing is labelled: a window can fall where nothing is.  ``smoothing`` is the
    share of the target that all classes divide evenly.
    """
    total = F.cross_entropy(
        logits, labels, weights, ignore_index=IGNORE, reduction="sum", label_smoothing=smoothing
    )
    labelled = labels != IGNORE
    if weights is None:
        return total / labelled.sum().clamp(min=1)
    mass = weights[labels.where(labelled, 0)].where(labelled, 0).sum()
    return total / mass.clamp(min=torch.finfo(mass.dtype).tiny)


@dataclass(frozen=True)
class Mixed:
    """A weighted sum of losses."""

    parts: tuple[tuple[float, Criterion], ...]

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """[B, K, H, W] and [B, H, W] -> a scalar."""
        terms = [weight * loss(logits, labels) for weight, loss in self.parts]
        return sum(terms[1:], terms[0])

"""The losses of a network that gives one class to a square of pixels, exactly and on its squares.

What is said about a pixel is said about all of a square, so that the sum over its pixels needs but
how many of each class it holds: of squares of 4 pixels a side, a sixteenth of the numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from searcher import ranks
from searcher.data import IGNORE


def held(labels: Tensor, classes: int, grain: int) -> Tensor:
    """[B, H, W] -> [B, K, H/grain, W/grain]: how many pixels of each class a square holds."""
    pad = (-labels.shape[2] % grain, -labels.shape[1] % grain)
    whole = F.pad(labels.where(labels != IGNORE, classes), (0, pad[0], 0, pad[1]), value=classes)
    squares = whole.unflatten(2, (-1, grain)).unflatten(1, (-1, grain)).movedim(2, 3).flatten(3)
    none = torch.zeros((*squares.shape[:3], classes + 1), device=labels.device)
    found = none.scatter_add_(3, squares, torch.ones_like(squares, dtype=none.dtype))
    return found[..., :classes].movedim(3, 1).contiguous()


def gathered(x: Tensor, grain: int) -> Tensor:
    """[B, C, H, W] -> [B, C, H/grain, W/grain]: the sum over a square; those at an edge are cut."""
    pad = (0, -x.shape[3] % grain, 0, -x.shape[2] % grain)
    return F.avg_pool2d(F.pad(x, pad), grain, divisor_override=1)


def cross_entropy(
    logits: Tensor, counts: Tensor, weights: Tensor | None = None, smoothing: float = 0.0
) -> Tensor:
    """``losses.cross_entropy`` of what squares hold; both [B, K, h, w]."""
    wanted = counts
    if smoothing:
        evenly = counts.sum(1, keepdim=True) / counts.shape[1]
        wanted = (1 - smoothing) * counts + smoothing * evenly
    each = logits.log_softmax(1) * wanted
    if weights is not None:
        each, counts = (x * weights.view(-1, 1, 1) for x in (each, counts))
    mass = ranks.mean(counts.sum()).clamp(min=torch.finfo(counts.dtype).tiny)
    return -each.sum() / mass


def dice(logits: Tensor, counts: Tensor) -> Tensor:
    """``losses.dice`` of what squares hold; both [B, K, h, w]."""
    chances, places = logits.softmax(1), (0, 2, 3)
    overlap, truth = (chances * counts).sum(places), counts.sum(places)
    size = (chances.square() * counts.sum(1, keepdim=True)).sum(places) + truth
    shown = truth > 0
    scores = 2 * overlap / size.clamp(min=1e-6)
    return ((1 - scores) * shown).sum() / shown.sum().clamp(min=1)


def divergence(
    logits: Tensor, taught: Tensor, labels: Tensor, temperature: float, grain: int
) -> Tensor:
    """``distill.divergence`` of squares [B, K, h, w] from what a teacher says of their pixels."""
    labelled = labels != IGNORE
    wanted = (taught / temperature).log_softmax(1)
    chances = wanted.exp() * labelled.unsqueeze(1)
    found = (logits / temperature).log_softmax(1)
    total = (chances * wanted).sum() - (gathered(chances, grain) * found).sum()
    return temperature**2 * total / labelled.sum().clamp(min=1)

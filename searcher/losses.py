"""Losses over logits and labels, all of which leave out what is labelled 255, and their sum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F

from lessons import Loss
from models.layers import spread
from searcher import ranks, squares
from searcher.data import IGNORE

Criterion = Callable[[Tensor, Tensor], Tensor]
"""Logits [B, K, H, W] and labels [B, H, W] -> a scalar."""

SURE = 0.7
"""OHEM: a pixel whose class is given this probability is easy."""

LEAST = 1 / 16
"""OHEM: the share of the labelled pixels that count at least."""


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
    return total / mass(labels, weights)


def mass(labels: Tensor, weights: Tensor | None) -> Tensor:
    """What all labelled pixels weigh together; never 0.

    Where several processes train, the mean of what theirs weigh: with it, the mean of their
    gradients is the gradient of one batch that is all of theirs.
    """
    labelled = labels != IGNORE
    if weights is None:
        return ranks.mean(labelled.sum()).clamp(min=1)
    found = ranks.mean(weights[labels.where(labelled, 0)].where(labelled, 0).sum())
    return found.clamp(min=torch.finfo(found.dtype).tiny)


def ohem(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Cross-entropy over the hard pixels alone: mean over them, each counted as its class weighs.

    Hard is a labelled pixel whose class has a probability below 0.7; where these are fewer than a
    sixteenth of the labelled pixels, those of the least probability (BiSeNet, section 3.3).
    """
    chances = logits.detach().softmax(1).gather(1, labels.where(labels != IGNORE, 0)[:, None])
    chances = chances[:, 0].masked_fill(labels == IGNORE, torch.inf)
    count = int((labels != IGNORE).sum())
    if count == 0:
        return cross_entropy(logits, labels)
    least = chances.flatten().kthvalue(max(1, round(LEAST * count))).values
    hard = (chances < SURE) | (chances <= least)
    return cross_entropy(logits, labels.where(hard, IGNORE), weights)


def dice(logits: Tensor, labels: Tensor) -> Tensor:
    """1 - the mean over the classes that are shown of 2 |P T| / (|P| + |T|), P probabilities.

    Over the labelled pixels of the whole batch; squares in the denominator (V-Net, section 3).
    """
    loss: Criterion = Dice.apply
    return loss(logits, labels)


class Dice(Function):
    """:func:`dice` and its gradient, which is linear in few sums: torch's own took thrice as long.

    For class k let O be the sum of p where its pixels are, S that of p^2 everywhere and of the
    labels; the score 2 O / S grows with p by (2 [its pixel] - 4 O p / S) / S.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor) -> Tensor:
        """[B, K, H, W] and [B, H, W] -> a scalar."""
        labelled = (labels != IGNORE).unsqueeze(1)
        classes = labels.unsqueeze(1).where(labelled, 0)
        chances = logits.softmax(1).mul_(labelled)
        right = chances.gather(1, classes)
        none = right.new_zeros(logits.shape[1])
        overlap = none.index_add(0, classes.flatten(), right.flatten())
        truth = none.index_add(0, classes.flatten(), labelled.flatten().to(none.dtype))
        size = torch.linalg.vector_norm(chances, dim=(0, 2, 3)).square() + truth
        shown = (truth > 0) / (truth > 0).sum().clamp(min=1)
        size = size.clamp(min=1e-6)
        ctx.save_for_backward(chances, right, classes, 4 * overlap / size**2 * shown)
        ctx.gain = 2 / size * shown
        return (shown * (1 - 2 * overlap / size)).sum()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """A scalar -> [B, K, H, W]."""
        chances, right, classes, loss = ctx.saved_tensors
        found = chances * (gradient * loss).view(-1, 1, 1)
        gained = right * (gradient * ctx.gain)[classes]
        mean = (found * chances).sum(1, keepdim=True) - gained
        return found.sub_(mean).mul_(chances).scatter_add_(1, classes, -gained), None


def lovasz(logits: Tensor, labels: Tensor) -> Tensor:
    """Lovasz-softmax: the mean over the classes that are shown of 1 - IoU, extended to chances.

    Over the labelled pixels of the whole batch (Berman et al., CVPR 2018, equation 9).
    """
    chances, shown = labelled_chances(logits, labels)
    losses = []
    for k in shown.unique().tolist():
        truth = (shown == k).to(chances.dtype)
        errors, order = (truth - chances[:, k]).abs().sort(descending=True)
        losses.append(errors @ jaccard_steps(truth[order]))
    return torch.stack(losses).mean() if losses else logits.sum() * 0


def jaccard_steps(truth: Tensor) -> Tensor:
    """[N] of 0 and 1 -> [N]: by how much 1 - IoU grows with each pixel that is got wrong."""
    missed = truth.sum() - truth.cumsum(0)
    covered = truth.sum() + (1 - truth).cumsum(0)
    lost = 1 - missed / covered
    return torch.cat([lost[:1], lost.diff()])


def labelled_chances(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The labelled pixels of a batch: probabilities [N, K] and classes [N]."""
    labelled = labels != IGNORE
    return logits.softmax(1).movedim(1, -1)[labelled], labels[labelled]


@dataclass(frozen=True)
class Mixed:
    """The sum of losses that a recipe asks for, ``weights`` [K] for those that go by pixels."""

    settings: Loss
    weights: Tensor | None = None
    grain: int = 1
    """The side of the squares, in pixels, where logits are of squares."""

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """[B, K, H, W], or of squares [B, K, H/grain, W/grain]; and [B, H, W] -> a scalar."""
        asked, coarse = self.settings, logits.shape[2:] != labels.shape[1:]
        if coarse and (asked.ohem or asked.lovasz):  # which tell the pixels of a square apart
            size = labels.shape[1], labels.shape[2]
            return self.of_pixels(spread(logits, self.grain, size), labels)
        return (self.of_squares if coarse else self.of_pixels)(logits, labels)

    def of_pixels(self, logits: Tensor, labels: Tensor) -> Tensor:
        """[B, K, H, W] and [B, H, W] -> a scalar."""
        asked = self.settings
        smoothing = asked.label_smoothing
        return weighed(
            logits,
            labels,
            (asked.ce, lambda x, y: cross_entropy(x, y, self.weights, smoothing)),
            (asked.ohem, lambda x, y: ohem(x, y, self.weights)),
            (asked.dice, dice),
            (asked.lovasz, lovasz),
        )

    def of_squares(self, logits: Tensor, labels: Tensor) -> Tensor:
        """[B, K, H/grain, W/grain] and [B, H, W] -> a scalar, as if over the pixels."""
        asked = self.settings
        smoothing = asked.label_smoothing
        return weighed(
            logits,
            squares.held(labels, logits.shape[1], self.grain),
            (asked.ce, lambda x, y: squares.cross_entropy(x, y, self.weights, smoothing)),
            (asked.dice, squares.dice),
        )


def weighed(logits: Tensor, truth: Tensor, *parts: tuple[float, Criterion]) -> Tensor:
    """The sum of losses, those left out that count nothing."""
    terms = [weight * loss(logits, truth) for weight, loss in parts if weight]
    return sum(terms[1:], terms[0])

"""How good labels are: one confusion matrix, and every score that follows from it."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics.functional.classification import multiclass_confusion_matrix

from searcher.data import IGNORE


class Confusion:
    """Counts of (true class, predicted class) over any number of images.

    A prediction outside the classes is a miss of the true class.
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self.table = torch.zeros(num_classes + 1, num_classes + 1, dtype=torch.int64)

    def add(self, predicted: Tensor, labels: Tensor) -> None:
        """Count two [...] of class numbers; pixels labelled 255 do not count."""
        outside = (predicted < 0) | (predicted >= self.num_classes)
        found = predicted.long().masked_fill(outside, self.num_classes)
        table = multiclass_confusion_matrix(
            found, labels.long(), len(self.table), ignore_index=IGNORE, validate_args=False
        )
        self.table += table.cpu()

    @property
    def counts(self) -> Tensor:
        """[K, K]: the pixels of each true class (row) that were predicted as each class."""
        return self.table[:-1, :-1]

    @property
    def iou(self) -> Tensor:
        """Intersection over union of every class [K]; NaN for one that never occurs."""
        hit = self.counts.diag().double()
        union = self.counts.sum(0) + self.table.sum(1)[:-1] - hit
        return hit / union.where(union > 0, torch.nan)

    @property
    def miou(self) -> float:
        """Mean IoU over the classes that occur, 0..1; NaN where nothing was counted."""
        return float(self.iou.nanmean())

    @property
    def pixel_accuracy(self) -> float:
        """Share of the labelled pixels that are right, 0..1."""
        return float(self.counts.diag().sum() / self.table.sum())

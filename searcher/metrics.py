"""How good labels are: one confusion matrix, and every score that follows from it."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.functional.classification import multiclass_confusion_matrix

from searcher.data import IGNORE

VOID = -1
"""What is no class inside :class:`BoundaryConfusion`, where 255 may be one."""
BEYOND = 1000.0
"""More than any class number."""


class Confusion:
    """Counts of (true class, predicted class) over any number of images.

    A prediction outside the classes is a miss of the true class.
    """

    def __init__(self, num_classes: int, ignore: int = IGNORE) -> None:
        self.num_classes, self.ignore = num_classes, ignore
        self.table = torch.zeros(num_classes + 1, num_classes + 1, dtype=torch.int64)

    def add(self, predicted: Tensor, labels: Tensor) -> None:
        """Count two [...] of class numbers; pixels labelled ``ignore`` do not count."""
        outside = (predicted < 0) | (predicted >= self.num_classes)
        found = predicted.long().masked_fill(outside, self.num_classes)
        table = multiclass_confusion_matrix(
            found, labels.long(), len(self.table), ignore_index=self.ignore, validate_args=False
        )
        self.table += table.cpu()

    @property
    def counts(self) -> Tensor:
        """[K, K]: the pixels of each true class (row) that were predicted as each class."""
        return self.table[:-1, :-1]

    @property
    def pixels(self) -> Tensor:
        """[K]: how many pixels each true class has, whatever was predicted."""
        return self.table.sum(1)[:-1]

    @property
    def iou(self) -> Tensor:
        """Intersection over union of every class [K]; NaN for one that never occurs.

        As Cityscapes scores: true positives over true positives, false positives and misses.
        """
        hit = self.counts.diag().double()
        union = self.counts.sum(0) + self.pixels - hit
        return hit / union.where(union > 0, torch.nan)

    @property
    def miou(self) -> float:
        """Mean IoU over the classes that occur, 0..1; NaN where nothing was counted."""
        return float(self.iou.nanmean())

    @property
    def pixel_accuracy(self) -> float:
        """Share of the labelled pixels that are right, 0..1."""
        return float(self.counts.diag().sum() / self.table.sum())

    @property
    def mean_accuracy(self) -> float:
        """Share of a class's pixels that are right, averaged over the classes in the labels."""
        return float((self.counts.diag().double() / self.pixels).nanmean())

    @property
    def frequency_weighted_iou(self) -> float:
        """IoU averaged with the share of the labelled pixels that each class has, 0..1."""
        return float((self.pixels * self.iou).nansum() / self.pixels.sum())

    def reward(self, background: int | None = None) -> float:
        """Fast NAS's: the geometric mean of mean IoU, mean accuracy and frequency-weighted IoU.

        Over all classes but ``background``, as released: what most pixels are would drown the rest.
        """
        chosen = [k for k in range(self.num_classes) if k != background]
        iou, pixels = self.iou[chosen], self.pixels[chosen]
        accuracy = self.counts.diag().double()[chosen] / pixels
        weighted = (pixels * iou).nansum() / pixels.sum()
        return float(iou.nanmean() * accuracy.nanmean() * weighted) ** (1 / 3)


class BoundaryConfusion:
    """Counts over the pixels near a class's boundary, in the labels or in the prediction.

    Boundary IoU (Cheng et al., CVPR 2021, equation 1): of each class only the pixels count that
    lie within ``reach`` of its outline, in a square neighbourhood and with the image's border as
    an outline, as in the authors' program; intersections and unions are summed over all images.
    Pixels labelled 255 do not count, and no outline runs along them: what lies there is unknown.
    """

    def __init__(self, num_classes: int, reach: float = 0.02) -> None:
        """``reach`` is a share of the image's diagonal; at least one pixel."""
        self.num_classes, self.reach = num_classes, reach
        self.confusion = Confusion(num_classes + 1, ignore=VOID)

    def add(self, predicted: Tensor, labels: Tensor) -> None:
        """Count two [H, W] of class numbers."""
        distance = max(1, round(self.reach * math.hypot(*labels.shape)))
        nothing = self.num_classes  # where no class has a boundary
        unknown = labels == IGNORE
        outside = (predicted < 0) | (predicted >= nothing)
        found = predicted.long().masked_fill(outside, nothing).masked_fill(unknown, VOID)
        truth = labels.long().masked_fill(unknown, VOID)
        found = found.where(near_other(found, distance), nothing)
        truth = truth.where(near_other(truth, distance), nothing)
        self.confusion.add(found, truth)

    @property
    def iou(self) -> Tensor:
        """Boundary IoU of every class [K]; NaN for one that never occurs."""
        return self.confusion.iou[:-1]

    @property
    def miou(self) -> float:
        """Mean boundary IoU over the classes that occur, 0..1; NaN where nothing was counted."""
        return float(self.iou.nanmean())


def near_other(labels: Tensor, distance: int) -> Tensor:
    """[H, W] -> bool [H, W]: is there another class, or no image, up to ``distance`` away?

    ``VOID`` is no other class; a pixel that is void itself is always near one.
    """
    values, void = labels.float(), labels == VOID
    border = [distance] * 4
    high = F.pad(values.masked_fill(void, -BEYOND), border, value=BEYOND)
    low = F.pad(-values.masked_fill(void, BEYOND), border, value=-BEYOND)
    highest, lowest = dilated(torch.stack([high, low]), distance)
    return (highest != values) | (-lowest != values)


def dilated(x: Tensor, distance: int) -> Tensor:
    """[C, H, W] -> [C, H - 2 distance, W - 2 distance]: the maximum of each square around.

    Three taps a pass whose spacing grows with what they already cover: as many passes as
    ``distance`` has digits to base three.
    """
    reached = 0
    while reached < distance:
        step = min(2 * reached + 1, distance - reached)
        x = F.max_pool2d(x, 3, stride=1, dilation=step)
        reached += step
    return x

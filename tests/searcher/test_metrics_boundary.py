"""Scores against an independent count in numpy: Cityscapes' rules, means, and boundary IoU."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from searcher.metrics import VOID, BoundaryConfusion, Confusion, dilated, near_other

Map = NDArray[np.uint8]
Pairs = list[tuple[Map, Map]]


@st.composite
def answers(draw: st.DrawFn) -> tuple[int, Pairs]:
    """A number of classes, and images' predictions (some of no class) and labels (some of none)."""
    classes = draw(st.integers(1, 5) | st.just(255))
    some = st.integers(0, min(classes, 5) - 1)
    pairs = []
    for _ in range(draw(st.integers(1, 2))):
        shape = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
        found = draw(arrays(np.uint8, shape, elements=some | st.integers(classes, 255)))
        pairs.append((found, draw(arrays(np.uint8, shape, elements=some | st.just(255)))))
    return classes, pairs


def cityscapes_iou(classes: int, pairs: Pairs) -> list[float]:
    """As cityscapesScripts' evalPixelLevelSemanticLabeling: getIouScoreForLabel of every label.

    The matrix has a row and a column for what is ignored.  False positives are those on pixels
    whose label is not ignored; a class without any is NaN.
    """
    matrix = np.zeros((256, 256), np.int64)
    for found, labels in pairs:
        np.add.at(matrix, (labels, found), 1)
    ious = []
    for k in range(classes):
        tp = matrix[k, k]
        fn = matrix[k, :].sum() - tp
        others = [j for j in range(255) if j != k]
        fp = matrix[others, k].sum()
        ious.append(float(tp / (tp + fp + fn)) if tp + fp + fn else math.nan)
    return ious


def average(scores: list[float]) -> float:
    """As getScoreAverage: over what is not NaN."""
    known = [score for score in scores if not math.isnan(score)]
    return sum(known) / len(known) if known else math.nan


def counted(classes: int, pairs: Pairs) -> Confusion:
    confusion = Confusion(classes)
    for found, labels in pairs:
        confusion.add(torch.from_numpy(found), torch.from_numpy(labels))
    return confusion


@given(answer=answers())
@settings(deadline=None)
def test_iou_is_that_of_cityscapes(answer: tuple[int, Pairs]) -> None:
    confusion, expected = counted(*answer), cityscapes_iou(*answer)
    assert confusion.iou.tolist() == pytest.approx(expected, abs=1e-6, nan_ok=True)
    assert confusion.miou == pytest.approx(average(expected), abs=1e-6, nan_ok=True)


@given(answer=answers())
@settings(deadline=None)
def test_accuracy_and_frequency_are_those_of_an_independent_count(
    answer: tuple[int, Pairs],
) -> None:
    classes, pairs = answer
    confusion, iou = counted(*answer), cityscapes_iou(*answer)
    found = np.concatenate([f.ravel() for f, _ in pairs])
    labels = np.concatenate([t.ravel() for _, t in pairs])
    right, valid = found == labels, labels != 255
    recall = [float(right[labels == k].mean()) for k in range(classes) if (labels == k).any()]
    assert confusion.mean_accuracy == pytest.approx(average(recall), abs=1e-6, nan_ok=True)
    pixels = [int((labels == k).sum()) for k in range(classes)]
    weighted = sum(n * score for n, score in zip(pixels, iou, strict=True) if n)
    expected = weighted / valid.sum() if valid.any() else math.nan
    assert confusion.frequency_weighted_iou == pytest.approx(expected, abs=1e-6, nan_ok=True)


def mask_to_boundary(mask: NDArray[np.bool_], distance: int) -> NDArray[np.bool_]:
    """As in the authors' boundary_iou_api: a border of nothing, then 3x3 erosions."""
    eroded = np.pad(mask, 1)
    for _ in range(distance):
        around = np.pad(eroded, 1)
        h, w = eroded.shape
        eroded = np.logical_and.reduce(
            [around[y : y + h, x : x + w] for y in range(3) for x in range(3)]
        )
    return mask & ~eroded[1:-1, 1:-1]


def boundary_iou(classes: int, pairs: Pairs, reach: float) -> list[float]:
    """Each class as two sets of pixels near its outline; an unlabelled pixel belongs to any class.

    Without unlabelled pixels this is the authors' definition.
    """
    both, either = np.zeros(classes), np.zeros(classes)
    for found, labels in pairs:
        distance = max(1, round(reach * math.hypot(*labels.shape)))
        void = labels == 255
        for k in range(classes):
            truth = mask_to_boundary((labels == k) | void, distance) & ~void
            guess = mask_to_boundary((found == k) | void, distance) & ~void
            both[k] += (truth & guess).sum()
            either[k] += (truth | guess).sum()
    return [b / e if e else math.nan for b, e in zip(both, either, strict=True)]


def boundary(classes: int, pairs: Pairs, reach: float) -> BoundaryConfusion:
    confusion = BoundaryConfusion(classes, reach)
    for found, labels in pairs:
        confusion.add(torch.from_numpy(found), torch.from_numpy(labels))
    return confusion


@given(answer=answers(), reach=st.sampled_from([0.02, 0.15, 0.3]))
@settings(deadline=None)
def test_boundary_iou_is_that_of_sets(answer: tuple[int, Pairs], reach: float) -> None:
    confusion, expected = boundary(*answer, reach), boundary_iou(*answer, reach)
    assert confusion.iou.tolist() == pytest.approx(expected, abs=1e-6, nan_ok=True)
    assert confusion.miou == pytest.approx(average(expected), abs=1e-6, nan_ok=True)


def square(left: int) -> Map:
    labels = np.zeros((100, 100), np.uint8)
    labels[30:70, left : left + 40] = 1
    return labels


def test_boundary_iou_of_a_square_by_hand() -> None:
    """Rings 3 pixels wide (2 % of a diagonal of 141), one a pixel to the right of the other."""
    confusion = boundary(2, [(square(31), square(30))], 0.02)
    ring = 40 * 40 - 34 * 34
    shared = 2 * 3 * 39 + 2 * 2 * 34
    assert confusion.iou[1].item() == pytest.approx(shared / (2 * ring - shared))
    assert counted(2, [(square(31), square(30))]).iou[1].item() == pytest.approx(39 / 41)


def test_boundary_iou_sees_an_outline_that_iou_hardly_sees() -> None:
    exact, near = square(30), square(32)
    assert boundary(2, [(exact, exact)], 0.02).miou == 1
    loose = boundary(2, [(near, exact)], 0.02).miou
    assert loose < 0.7 < 0.9 < counted(2, [(near, exact)]).miou


def test_no_outline_runs_along_what_is_unlabelled() -> None:
    labels = square(30)
    labels[:, 50:] = 255
    found = square(30)
    found[:, 50:] = 0
    assert boundary(2, [(found, labels)], 0.02).miou == 1


@pytest.mark.parametrize("distance", [1, 2, 3, 4, 7, 13, 14, 46])
def test_dilation_is_the_maximum_of_a_square(distance: int) -> None:
    rng = np.random.default_rng(distance)
    side = 2 * distance + 1
    x = rng.random((2, side + 3, side + 5), np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(x, (side, side), (1, 2))
    assert np.array_equal(dilated(torch.from_numpy(x), distance).numpy(), windows.max((-1, -2)))


def test_the_border_is_an_outline_and_void_is_not() -> None:
    labels = torch.zeros(7, 7, dtype=torch.int64)
    assert near_other(labels, 1).sum() == 49 - 25
    labels[3, 3] = VOID
    assert near_other(labels, 1)[1:-1, 1:-1].sum() == 1  # the void pixel itself, which never counts
    labels[3, 3] = 1
    assert near_other(labels, 1)[1:-1, 1:-1].sum() == 9

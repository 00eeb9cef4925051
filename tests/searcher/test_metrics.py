"""Scores: an independent count, in numpy, finds the same."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from searcher.metrics import Confusion


@st.composite
def answers(draw: st.DrawFn) -> tuple[int, NDArray[np.uint8], NDArray[np.uint8]]:
    """A number of classes, predictions (some of no class) and labels (some to ignore)."""
    classes = draw(st.integers(1, 6) | st.just(254))
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4)))
    found = st.integers(0, classes - 1) | st.integers(0, 255)
    true = st.integers(0, classes - 1) | st.just(255)
    return (
        classes,
        draw(arrays(np.uint8, shape, elements=found)),
        draw(arrays(np.uint8, shape, elements=true)),
    )


def iou_by_sets(
    classes: int, predicted: NDArray[np.uint8], labels: NDArray[np.uint8]
) -> list[float]:
    """Each class as two sets of pixels."""
    counted = labels != 255
    scores = []
    for k in range(classes):
        a, b = (predicted == k) & counted, labels == k
        union = (a | b).sum()
        scores.append((a & b).sum() / union if union else math.nan)
    return scores


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
@given(answer=answers())
def test_scores_are_those_of_an_independent_count(
    dtype: torch.dtype, answer: tuple[int, NDArray[np.uint8], NDArray[np.uint8]]
) -> None:
    classes, predicted, labels = answer
    confusion = Confusion(classes)
    for p, t in zip(predicted, labels, strict=True):
        confusion.add(torch.from_numpy(p).to(dtype), torch.from_numpy(t).to(dtype))
    expected = iou_by_sets(classes, predicted, labels)
    assert confusion.iou.tolist() == pytest.approx(expected, nan_ok=True)
    known = [score for score in expected if not math.isnan(score)]
    mean = sum(known) / len(known) if known else math.nan
    assert confusion.miou == pytest.approx(mean, nan_ok=True)
    counted = labels != 255
    right = (predicted == labels)[counted].mean() if counted.any() else math.nan
    assert confusion.pixel_accuracy == pytest.approx(right, nan_ok=True)


def test_rows_are_true_classes_and_columns_predicted_ones() -> None:
    confusion = Confusion(3)
    confusion.add(torch.tensor([0, 0, 1, 2, 2, 2]), torch.tensor([0, 1, 1, 0, 0, 255]))
    assert confusion.counts.tolist() == [[1, 0, 2], [1, 1, 0], [0, 0, 0]]


def test_an_absent_class_is_no_number_and_left_out_of_the_mean() -> None:
    confusion = Confusion(3)
    confusion.add(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1]))
    assert confusion.iou.tolist() == pytest.approx([0.5, 0.5, math.nan], nan_ok=True)
    assert confusion.miou == pytest.approx(0.5)


def test_a_class_that_is_only_predicted_scores_zero() -> None:
    confusion = Confusion(3)
    confusion.add(torch.tensor([0, 2]), torch.tensor([0, 0]))
    assert confusion.iou.tolist() == pytest.approx([0.5, math.nan, 0.0], nan_ok=True)


@pytest.mark.parametrize("outside", [-1, 3, 255, 2**40])
def test_a_prediction_outside_the_classes_is_a_miss(outside: int) -> None:
    confusion = Confusion(3)
    confusion.add(torch.tensor([outside, 1]), torch.tensor([0, 1]))
    assert confusion.iou.tolist() == pytest.approx([0.0, 1.0, math.nan], nan_ok=True)
    assert confusion.pixel_accuracy == pytest.approx(0.5)


def test_nothing_counted_is_no_number() -> None:
    confusion = Confusion(2)
    confusion.add(torch.tensor([0, 1]), torch.tensor([255, 255]))
    assert math.isnan(confusion.miou)
    assert math.isnan(confusion.pixel_accuracy)


@given(answers(), st.integers(0, 5))
def test_a_reward_is_that_of_the_classes_but_the_background(
    answer: tuple[int, NDArray[np.uint8], NDArray[np.uint8]], background: int
) -> None:
    classes, predicted, labels = answer
    confusion = Confusion(classes)
    confusion.add(torch.from_numpy(predicted), torch.from_numpy(labels))
    for left_out in (None, background):
        kept = [k for k in range(classes) if k != left_out]
        ious = np.array(iou_by_sets(classes, predicted, labels))[kept]
        pixels = np.array([(labels == k).sum() for k in kept])
        hits = np.array([((predicted == k) & (labels == k)).sum() for k in kept])
        found = confusion.reward(left_out)
        if not pixels.sum():
            assert math.isnan(found)
            continue
        shown = pixels > 0
        accuracy, weighted = (hits[shown] / pixels[shown]).mean(), np.nansum(pixels * ious)
        expected = (np.nanmean(ious) * accuracy * weighted / pixels.sum()) ** (1 / 3)
        assert found == pytest.approx(expected, abs=1e-9)

"""Class weights: the published formulas, and nothing for a class that never occurs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from searcher.data import Sample, Split
from searcher.data.frequencies import class_weights, pixel_counts, repeats

COUNTS = np.array([[60, 30, 10, 0], [90, 0, 10, 0]])


def test_pixels_are_counted_by_image_and_class() -> None:
    labels = {"a": [[0, 1, 1], [255, 2, 0]], "b": [[3, 3, 3], [3, 3, 255]]}
    pixels = np.zeros((2, 3, 3), np.uint8)
    split = Split(["b", "a"], lambda n: Sample(pixels, np.array(labels[n], np.uint8)), "")
    assert pixel_counts(split, 4).tolist() == [[0, 0, 0, 5], [2, 2, 1, 0]]


def test_inverse_log_is_that_of_enet() -> None:
    weights = class_weights("inverse_log", COUNTS)
    assert weights is not None
    expected = [1 / math.log(1.02 + share) for share in (0.75, 0.15, 0.1)]
    assert weights.tolist() == pytest.approx([*expected, 0])


def test_median_frequency_counts_the_images_that_show_the_class() -> None:
    weights = class_weights("median_frequency", COUNTS)
    assert weights is not None
    frequencies = [150 / 200, 30 / 100, 20 / 200]
    assert weights.tolist() == pytest.approx([*(0.3 / f for f in frequencies), 0])


def test_no_rule_is_no_weights() -> None:
    assert class_weights("none", COUNTS) is None


def test_an_image_is_drawn_as_often_as_its_rarest_class_asks() -> None:
    counts = np.ones((100, 3), np.int64)
    counts[4:, 1] = 0
    counts[1:, 2] = 0
    found = repeats(counts, 0.16)
    assert found[:2].tolist() == pytest.approx([4.0, 2.0])
    assert (found[4:] == 1).all()

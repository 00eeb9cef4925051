"""Colours and shares: class i in colour i, 255 in none, and shares that add up."""

from __future__ import annotations

import numpy as np
import pytest

from serve.palette import colour, overlay, shares

PALETTE = ((250, 0, 0), (0, 200, 0), (0, 0, 150))
LABELS = np.array([[0, 1], [2, 255]], np.uint8)
PIXELS = np.full((2, 2, 3), 100, np.uint8)


def test_each_class_has_its_colour_and_no_class_has_none() -> None:
    assert colour(LABELS, PALETTE).tolist() == [
        [[250, 0, 0], [0, 200, 0]],
        [[0, 0, 150], [0, 0, 0]],
    ]


@pytest.mark.parametrize(
    ("opacity", "first"), [(0, [100] * 3), (0.5, [175, 50, 50]), (1, [250, 0, 0])]
)
def test_opacity_goes_from_the_picture_to_the_colours(opacity: float, first: list[int]) -> None:
    drawn = overlay(PIXELS, LABELS, PALETTE, opacity)
    assert drawn[0, 0].tolist() == first
    assert drawn[1, 1].tolist() == [100] * 3


@pytest.mark.parametrize("opacity", [-0.1, 1.1, float("nan")])
def test_an_opacity_out_of_range_is_refused(opacity: float) -> None:
    with pytest.raises(ValueError, match="is not between 0 and 1"):
        overlay(PIXELS, LABELS, PALETTE, opacity)


def test_nothing_is_drawn_into_the_input() -> None:
    overlay(PIXELS, LABELS, PALETTE, 0.5)
    assert (PIXELS == 100).all()


def test_shares_are_of_the_whole_picture() -> None:
    assert shares(LABELS, 3) == [0.25, 0.25, 0.25]
    assert shares(np.full((3, 5), 1, np.uint8), 3) == [0, 1, 0]
    assert shares(np.full((3, 5), 255, np.uint8), 3) == [0, 0, 0]

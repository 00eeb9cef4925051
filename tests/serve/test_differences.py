"""The differences between two networks: classes are compared by their names."""

from __future__ import annotations

import numpy as np

from serve.differences import MARK, differing, marked


def test_classes_are_the_same_where_their_names_are() -> None:
    a = np.array([[0, 1, 2, 255]], np.uint8)
    same = np.array([[1, 0, 2, 255]], np.uint8)
    assert not differing(a, same, ("road", "sky", "car"), ("sky", "road", "car")).any()
    assert differing(a, a, ("road", "sky", "car"), ("sky", "road", "car")).tolist() == [
        [True, True, False, False]
    ]
    foreign = differing(a, a, ("road", "sky", "car"), ("road", "sky", "boat"))
    assert foreign.tolist() == [[False, False, True, False]]


def test_only_what_is_different_is_marked() -> None:
    pixels = np.array([[[10, 20, 30], [200, 100, 0]]], np.uint8)
    drawn = marked(pixels, np.array([[False, True]]))
    assert len(set(drawn[0, 0].tolist())) == 1
    assert tuple(drawn[0, 1]) == MARK

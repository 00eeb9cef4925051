"""Pictures of candidates: the front is what nobody beats."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

import images
from searcher.fronts import draw_fronts, draw_trials, front

POINTS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12)


@given(points=POINTS)
def test_a_front_is_what_nobody_beats(points: list[tuple[float, float]]) -> None:
    found = front(points)
    for cost, score in points:
        beaten = any(c <= cost and s >= score and (c, s) != (cost, score) for c, s in points)
        assert ((cost, score) in found) != beaten
    assert found == sorted(set(found))


def test_the_pictures_are_the_same_for_the_same_trials(tmp_path: Path) -> None:
    lines = [{"step": i, "miou": i % 3 / 3, "gmacs": 1.0 + i, "mparams": 2.0 - i} for i in range(4)]
    for draw in (draw_trials, draw_fronts):
        paths = [tmp_path / f"{draw.__name__}{i}.png" for i in range(2)]
        for path in paths:
            draw(lines, path)
        assert paths[0].read_bytes() == paths[1].read_bytes()
        assert images.read(paths[0]).shape[1] > 300

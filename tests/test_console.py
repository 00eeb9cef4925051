"""What a long job tells whoever reads its log."""

from __future__ import annotations

import pytest

from console import watching
from recipe import Recipe

BANKED = {"system": "realtime", "out": "run", "data": {"name": "streets"}}


def test_what_all_candidates_share_is_told_in_tenths(capsys: pytest.CaptureFixture[str]) -> None:
    """Of the zoo's searches the first candidate comes after half an hour."""
    with watching("search", 2, 3, first=20) as watch:
        for _ in range(20):
            watch.tick()
        watch.report(1, {"miou": 0.5})
        watch.tick()
        watch.report(2, {"miou": 0.25})
    lines = [line.split(" (")[0] for line in capsys.readouterr().err.splitlines()]
    shared = [f"search 0/2, what all share has learned {tenth}0%" for tenth in range(1, 11)]
    assert lines == [*shared, "search 1/2 miou 0.500", "search 2/2 miou 0.250"]


def test_a_job_without_such_a_part_tells_its_epochs_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with watching("train", 1, 2) as watch:
        watch.tick()
        watch.tick()
        watch.report(1, {"loss": 1.0})
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("train 1/1 loss 1.000")


@pytest.mark.parametrize(
    ("search", "epochs"),
    [
        ({"epochs": 7}, 7),
        ({"epochs": 7, "bank": "runs/other/search"}, 0),
        ({"epochs": 7, "strategy": "evolution"}, 0),
    ],
)
def test_only_a_bank_of_its_own_learns_first(search: dict[str, object], epochs: int) -> None:
    cost = {"metric": "latency", "budget": 8}
    recipe = Recipe.model_validate({**BANKED, "search": {**search, "cost": cost}})
    assert recipe.shared == epochs

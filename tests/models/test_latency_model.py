"""The latency model: what work costs, learned from networks, and read back whole or not at all."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.latency_model import COSTS, LatencyModel, fitted
from models.workload import WORK, workload
from searcher.spaces.realtime import Realtime

SPACE = Realtime({"width": 4})
TRUE = dict(zip(COSTS, (0.02, 0.03, 0.04, 1.0, 0.1, 0.4, 2.0, 0.0, 3.0), strict=True))
MODEL = LatencyModel("a processor", "onnxruntime", "1.0", "int8", 2, (180, 240), TRUE)


def drawn(count: int, seed: int) -> list[dict[str, float]]:
    rng = random.Random(seed)
    return [dict(workload(SPACE.sample(rng), (180, 240), 11)) for _ in range(count)]


def test_a_model_is_learned_that_predicts_other_networks() -> None:
    noise = np.random.default_rng(0)
    work, others = drawn(40, 0), drawn(30, 1)
    ms = [MODEL.price(w) * noise.normal(1, 0.02) for w in work]
    found = replace(MODEL, costs=fitted(work, ms))
    errors = [abs(found.price(w) / MODEL.price(w) - 1) for w in others]
    assert max(errors) < 0.04
    assert min(found.costs.values()) >= 0


@given(st.lists(st.floats(0.1, 50), min_size=12, max_size=12))
def test_no_cost_is_ever_below_nothing(ms: list[float]) -> None:
    assert min(fitted(drawn(12, 2), ms).values()) >= 0


def test_more_work_never_costs_less() -> None:
    work = drawn(1, 3)[0]
    for name in WORK:
        assert MODEL.price({**work, name: work[name] + 1}) >= MODEL.price(work)


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    MODEL.save(tmp_path / "latency.json")
    assert LatencyModel.load(tmp_path / "latency.json") == MODEL


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 1}, "schema must be 2"),
        ({"threads": 0}, "threads must be a whole number from 1"),
        ({"size": [3]}, r"size must be \[height, width\]"),
        ({"device": 4}, "device must be a text"),
        ({"costs": {**TRUE, "rest": -1}}, "costs.rest must be a number from 0"),
        ({"costs": {}}, "key 'classified' must be there"),
        ({"extra": 1}, "key 'extra' must be one of"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, object], message: str, tmp_path: Path) -> None:
    path = tmp_path / "latency.json"
    path.write_text(json.dumps({**json.loads(MODEL.to_json()), **change}))
    with pytest.raises(ValueError, match=rf"{path} is not a latency model: {message}"):
        LatencyModel.load(path)


def test_a_missing_file_says_what_measures_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not exist: 'segnas latency RECIPE --to"):
        LatencyModel.load(tmp_path / "none.json")

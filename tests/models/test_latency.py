"""The latency table: a sum with a rest, canonical JSON, and every malformed key is named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models.genotype import Edge, Genotype
from models.latency import LatencyTable, keys_of
from models.places import OpKey

SIZE = (64, 96)
CELL = (Edge(0, 2, "conv_3x3"), Edge(1, 2, "skip_connect"))
STACK = Genotype(
    "cell_stack", {"normal": CELL, "reduce": CELL}, {"width": 4, "layers": 3, "head": 8}
)
OPS = ("none", "conv_3x3", "skip_connect")
KEYS = keys_of(STACK, dict.fromkeys(STACK.graphs, OPS), SIZE)


def table(**changes: Any) -> LatencyTable:
    ms = {key: float(2**i) for i, key in enumerate(KEYS)}
    made = LatencyTable("a processor", "onnxruntime", "1.2", "fp32", 1, SIZE, ms, 0.5)
    return replace(made, **changes)


def test_the_keys_are_every_op_wherever_it_may_stand_once() -> None:
    """Stride 4 with 4 channels, then two reductions to 8 and 16; ``none`` costs nothing."""
    places = {(4, 1, 16, 24), (8, 2, 16, 24), (16, 2, 8, 12)}
    assert set(KEYS) == {OpKey(op, *place) for op in OPS[1:] for place in places}
    assert sorted(set(KEYS)) == KEYS


def test_a_prediction_is_the_rest_and_every_op_where_it_stands() -> None:
    made = table()
    assert made.predict(STACK, SIZE) == pytest.approx(0.5 + sum(made.ms.values()))
    zero = {**STACK.graphs, "normal": (CELL[0], Edge(1, 2, "none"))}
    skip = made.ms[OpKey("skip_connect", 4, 1, 16, 24)]
    without = made.predict(replace(STACK, graphs=zero), SIZE)
    assert without == pytest.approx(made.predict(STACK, SIZE) - skip)


def test_another_size_and_an_op_that_was_not_measured_are_refused() -> None:
    with pytest.raises(ValueError, match="of images of 64x96, not of 32x32"):
        table().predict(STACK, (32, 32))
    with pytest.raises(ValueError, match=r"no conv_3x3 of 8 channels and stride 1 on 16x24.*seg"):
        table().predict(STACK.resized(width=8), SIZE)


def test_equal_tables_have_equal_json_whatever_their_order(tmp_path: Path) -> None:
    made = table()
    other = replace(made, ms=dict(reversed(list(made.ms.items()))))
    assert made.to_json() == other.to_json()
    made.save(tmp_path / "latency.json")
    assert LatencyTable.load(tmp_path / "latency.json") == made


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": 2}, "schema must be 1"),
        ({"schema": True}, "schema must be 1"),
        ({"device": 7}, "device must be a text"),
        ({"threads": 0}, "threads must be a whole number from 1"),
        ({"size": [64]}, "size must be"),
        ({"rest_ms": -1}, "rest_ms must be"),
        ({"rest_ms": float("nan")}, "rest_ms must be"),
        ({"ops": {}}, "ops must be a list"),
        ({"ops": [["conv_3x3", 4, 1, 16, 24]]}, r"ops\[0\] must be"),
        ({"ops": [["conv_3x3", 4, 1, 16, 24, "1"]]}, r"ops\[0\] must be"),
        ({"ops": [["a", 4, 1, 1, 1, 1.0], ["a", 4, 1, 1, 1, 2.0]]}, r"ops\[1\] must be another"),
        ({"extra": 1}, "key 'extra' must be one of"),
    ],
)
def test_a_malformed_key_is_named(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "latency.json"
    path.write_text(json.dumps({**json.loads(table().to_json()), **changes}))
    with pytest.raises(ValueError, match=f"latency.json is not a latency table: {message}"):
        LatencyTable.load(path)


@pytest.mark.parametrize("name", sorted(json.loads(table().to_json())))
def test_a_missing_key_is_named(name: str) -> None:
    document = json.loads(table().to_json())
    del document[name]
    with pytest.raises(ValueError, match=f"key '{name}' must be there"):
        LatencyTable.from_json(json.dumps(document))


@pytest.mark.parametrize("text", ["", "[]", "{", "7"])
def test_what_is_no_table_is_one_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"not JSON|latency table must be an object"):
        LatencyTable.from_json(text)


def test_a_table_that_is_not_there_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="segnas latency RECIPE --to"):
        LatencyTable.load(tmp_path / "none.json")

"""Measuring a table: fair turns, the fit, and what is surely dearer is dearer on every runtime."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace

import pytest
import torch

from export.measure import Conditions, fitted, measured, network_ms, timed
from export.small_graphs import COPIES, Branches, frame
from models.cell import Cell
from models.genotype import Edge, Genotype
from models.latency import keys_of
from models.network import build
from models.places import OpKey

SIZE = (96, 128)
OPS = ("none", "skip_connect", "conv_3x3")
HOW = Conditions("onnxruntime", "fp32", 1, SIZE, classes=3, rounds=3)


def stack(op: str) -> Genotype:
    cell = (Edge(0, 2, op), Edge(1, 2, op))
    return Genotype(
        "cell_stack", {"normal": cell, "reduce": cell}, {"width": 32, "layers": 4, "head": 8}
    )


def test_every_call_has_as_many_turns_and_the_first_of_a_turn_does_not_count() -> None:
    turns = Counter[str]()

    def turn(name: str) -> None:
        turns[name] += 1
        if turns[name] % 2:
            spin(0.02)

    ms = timed({"a": lambda: turn("a"), "b": lambda: turn("b")}, HOW)
    assert turns == {"a": 6, "b": 6}
    assert max(ms.values()) < 10


def test_what_is_timed_is_processor_time() -> None:
    ms = timed({"busy": lambda: spin(0.01), "idle": lambda: time.sleep(0.01)}, HOW)
    assert ms["idle"] < 5 < ms["busy"]


def test_the_share_that_is_done_is_told_while_networks_are_made_and_timed() -> None:
    told: list[float] = []
    how = replace(HOW, told=told.append)
    assert len(network_ms([stack("conv_3x3"), stack("skip_connect")], how)) == 2
    assert told == pytest.approx([0, 0.25, 0.5, 2 / 3, 5 / 6])


def spin(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_the_fit_finds_the_rest_and_how_much_dearer_an_op_is_among_others() -> None:
    read = [{"a": 2.0}, {"b": 4.0}, {"c": 3.0}, {"a": 1.0, "b": 1.0, "c": 1.0}] * 2
    true = {"a": 0.5, "b": -0.2, "c": 0.0}
    beside = [3.0 + sum(true[op] * x for op, x in volumes.items()) for volumes in read]
    rest, more = fitted(beside, read, trust=1e-3)
    assert rest == pytest.approx(3.0, abs=1e-3)
    assert more == pytest.approx(true, abs=1e-3)
    assert fitted(beside, read)[1] == pytest.approx(true, abs=0.1), "with some trust too"


def test_an_op_that_networks_hardly_have_is_as_dear_as_in_a_small_graph() -> None:
    _, more = fitted([5.0, 4.1], [{"a": 1e-6, "b": 2.0}, {"a": 2e-6, "b": 1.0}])
    assert more["a"] == pytest.approx(0, abs=1e-3)


def test_a_small_graph_reads_what_the_op_reads() -> None:
    for key in (OpKey("conv_3x3", 4, 2, 9, 13), OpKey("max_pool_3x3", 4, 1, 9, 13)):
        graph = Branches(key).eval()
        assert graph(torch.zeros(1, 4, 9, 13)).shape[2:] == (
            -(-9 // key.stride),
            -(-13 // key.stride),
        )
        assert len({id(op) for op in graph.ops}) == COPIES
    strided = OpKey("conv_3x3", 4, 2, 9, 13)
    assert Branches(frame(strided)).eval()(torch.zeros(1, 4, 9, 13)).shape == (1, 4, 5, 7)
    assert sum(p.numel() for p in Branches(frame(strided)).ops.parameters()) == 0


@pytest.mark.parametrize("runtime", ["onnxruntime", "torch"])
def test_a_measured_table_says_what_is_dear(runtime: str) -> None:
    """A full convolution of 32 channels takes many times what an identity does.

    Of stride 2 it takes hardly more than the two convolutions that stand for an identity there.
    """
    how = Conditions(runtime, "fp32", 1, SIZE, classes=3, rounds=8)
    keys = keys_of(stack("conv_3x3"), dict.fromkeys(("normal", "reduce"), OPS), SIZE)
    state = torch.get_rng_state()
    both = [stack("skip_connect"), stack("conv_3x3")]
    table, beside = measured(keys, both, how, both)
    assert torch.equal(torch.get_rng_state(), state)
    assert set(table.ms) == set(keys)
    assert (table.runtime, table.precision, table.threads, table.size) == (runtime, "fp32", 1, SIZE)
    assert table.device
    for key in keys:
        if key.op == "conv_3x3" and key.stride == 1:
            skip = OpKey("skip_connect", key.channels, 1, key.height, key.width)
            assert table.ms[key] > table.ms[skip] >= 0
    light, heavy = (table.predict(stack(op), SIZE) for op in ("skip_connect", "conv_3x3"))
    assert heavy > light > 0
    assert beside[1] > beside[0] > 0
    cells = [m for m in build(stack("conv_3x3"), 3).modules() if isinstance(m, Cell)]
    assert len(cells) == 4


def test_a_runtime_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="unknown runtime 'abacus'"):
        measured([], [], Conditions("abacus", "fp32", 1, SIZE, classes=3))

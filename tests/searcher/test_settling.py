"""Entropy and collapse: known values, the published cells, and what is not judged."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
import torch

from models.genotype import Edge, Genotype
from searcher.relaxations import PathSoftmax
from searcher.settling import entropy, settled, warning
from searcher.spaces.auto_deeplab import AutoDeepLab
from searcher.supernet import Supernet

V1 = {
    "normal": "sep1 sep0 skip0 sep1 skip0 sep1 sep0 skip2",
    "reduce": "max0 max1 skip2 max0 max0 skip2 skip2 avg0",
}
V2 = {
    "normal": "sep0 sep1 sep0 sep1 sep1 skip0 skip0 dil2",
    "reduce": "max0 max1 skip2 max1 max0 skip2 skip2 max1",
}
"""The published cells of DARTS, two edges a node: an op and the node that it reads."""
OPS = {
    "sep": "sep_conv_3x3",
    "dil": "dil_conv_3x3",
    "skip": "skip_connect",
    "max": "max_pool_3x3",
    "avg": "avg_pool_3x3",
}


def cells(graphs: Mapping[str, str]) -> Genotype:
    return Genotype(
        "cell_stack",
        {
            name: tuple(
                Edge(int(word[-1]), 2 + i // 2, OPS[word[:-1]])
                for i, word in enumerate(text.split())
            )
            for name, text in graphs.items()
        },
    )


def mixtures(genotype: Genotype, weight: float = 0.5) -> dict[str, dict[str, dict[str, float]]]:
    """Each kept op with ``weight``, the rest on another."""
    return {
        name: {f"{e.src}-{e.dst}": {e.op: weight, "other": 1 - weight} for e in edges}
        for name, edges in genotype.graphs.items()
    }


def test_entropy_has_known_values() -> None:
    even = {"0-2": dict.fromkeys("abcd", 0.25)}
    chosen = {"0-2": {"a": 1.0, "b": 0.0, "c": 0.0, "d": 0.0}}
    half = {"0-2": {"a": 0.5, "b": 0.5, "c": 0.0, "d": 0.0}}
    both = {**even, "1-2": chosen["0-2"]}
    found = entropy({"even": even, "chosen": chosen, "half": half, "both": both})
    assert found == {"even": 1, "chosen": 0, "half": 0.5, "both": 0.5}


def test_of_a_path_the_ways_that_leave_a_node_compete() -> None:
    path = {"0-4": {"connect": 0.5}, "0-5": {"connect": 0.5}}
    decided = {"4-8": {"connect": 1.0}, "4-9": {"connect": 0.0}}
    assert entropy({"path": path}) == {"path": 1}
    assert entropy({"path": {**path, **decided}}) == {"path": 0.5}
    lone = {"5-9": {"connect": 1.0}}
    assert entropy({"path": {**path, **lone}}) == {"path": 1}


def test_a_supernet_names_its_weights() -> None:
    torch.manual_seed(0)
    space = AutoDeepLab(3, 2, {"width": 2, "stem": 4, "head": 4})
    supernet = Supernet(space, 3, PathSoftmax(space.path))
    with torch.no_grad():
        supernet.logits["cell"][1, 4] = 2.0
    named = supernet.named(supernet.weights())
    assert list(named["cell"]) == ["0-2", "1-2", "0-3", "1-3", "2-3"]
    row = supernet.weights()["cell"][1].tolist()
    assert list(named["cell"]["1-2"].values()) == pytest.approx(row, abs=5e-7)
    assert named["cell"]["1-2"]["sep_conv_3x3"] == pytest.approx(math.e**2 / (math.e**2 + 7), 1e-2)
    assert list(named["path"])[:2] == ["0-4", "0-5"]
    assert sum(named["path"][name]["connect"] for name in ("0-4", "0-5")) == pytest.approx(1, 1e-5)


@pytest.mark.parametrize("published", [V1, V2])
def test_the_published_cells_have_not_collapsed(published: Mapping[str, str]) -> None:
    genotype = cells(published)
    line = settled(genotype, mixtures(genotype, 0.9))
    assert line["parameter_free"]["reduce"] == 1
    assert line["skips"]["normal"] in (0.25, 0.375)
    assert "collapsed" not in line


def test_more_skips_than_half_are_a_collapse_in_any_cell() -> None:
    half = cells({"normal": "skip0 skip1 skip0 skip1 sep0 sep1 sep0 sep1"})
    assert "collapsed" not in settled(half, mixtures(half, 0.9))
    more = cells({"normal": V2["normal"], "reduce": "skip0 skip1 skip0 skip1 skip0 max1 max0 max1"})
    line = settled(more, mixtures(more, 0.9))
    assert line["collapsed"] == ["reduce"]
    assert line["skips"] == {"normal": 0.25, "reduce": 0.625}


def test_a_cell_that_keeps_its_resolution_needs_an_op_with_weights() -> None:
    pools = "max0 max1 avg0 skip1 max0 avg1 skip2 max0"
    genotype = cells({"normal": pools, "reduce": pools})
    assert settled(genotype, mixtures(genotype, 0.9))["collapsed"] == ["normal"]
    one = cells({"normal": pools.replace("skip2", "sep2")})
    assert "collapsed" not in settled(one, mixtures(one, 0.9))


def test_what_has_not_begun_to_choose_is_not_judged() -> None:
    genotype = cells({"normal": "skip0 skip1 skip0 skip1 skip0 skip1 skip0 skip1"})
    assert "collapsed" not in settled(genotype, mixtures(genotype, 0.501))
    assert settled(genotype, mixtures(genotype, 0.6))["collapsed"] == ["normal"]


def test_without_a_supernet_there_is_nothing_to_say() -> None:
    assert settled(cells(V1), {}) == {}


def test_a_path_is_no_cell() -> None:
    path = Genotype("trellis", {"path": (Edge(0, 4, "connect"),)})
    line = settled(path, {"path": {"0-4": {"connect": 0.9}, "0-5": {"connect": 0.1}}})
    assert line["skips"] == line["parameter_free"] == {}


def test_the_warning_names_the_cell_and_the_remedy() -> None:
    genotype = cells({"normal": "skip0 skip1 skip0 skip1 skip0 skip1 sep0 skip1"})
    line = {"step": 7, **settled(genotype, mixtures(genotype, 0.9))}
    sentence = warning(line)
    assert "step 7" in sentence
    assert "normal (88% of its edges skip_connect" in sentence
    assert "search.warmup" in sentence
    assert "search.epochs" in sentence

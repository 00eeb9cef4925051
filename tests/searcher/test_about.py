"""The systems' table: a row for each, its numbers counted, and what the papers say kept apart."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import pytest

from searcher.about import ABOUT, rows, tables, weighed
from searcher.spaces.auto_deeplab import AutoDeepLab, trellis_edges
from searcher.spaces.darts import Darts
from searcher.systems import SYSTEMS

Run = Callable[..., tuple[int, str, str]]


def test_every_system_has_a_row() -> None:
    assert set(SYSTEMS) <= set(ABOUT)
    assert [row["system"] for row in rows(SYSTEMS)] == list(SYSTEMS)


def test_the_parameters_are_those_of_the_papers_sizes() -> None:
    """2 x 14 x 8, and 20 x 8 with the 105 transitions of a trellis of 12 layers."""
    assert weighed(Darts(8, 4, {})) == 224
    assert weighed(AutoDeepLab(12, 5, {})) == 160 + 105
    found = {row["system"]: row for row in rows(SYSTEMS)}
    assert found["darts"]["parameters"] == 224
    assert found["auto_deeplab"]["parameters"] == 265


def cell(nodes: int) -> int:
    """Two of the earlier nodes and seven ops on each, for every node."""
    return math.prod(math.comb(earlier, 2) * 7**2 for earlier in range(2, nodes + 2))


def paths(layers: int) -> int:
    """Ways through the trellis, one transition after the other."""
    ways = {0: 1}
    for edge in trellis_edges(layers):
        ways[edge.dst] = ways.get(edge.dst, 0) + ways[edge.src]
    return sum(count for node, count in ways.items() if node // 4 == layers)


def test_the_counts_are_right() -> None:
    found = {row["system"]: row["architectures"] for row in rows(SYSTEMS)}
    assert found["darts"] == cell(4) ** 2
    assert found["auto_deeplab"] == cell(5) * paths(12)
    printed = math.prod((earlier * 8) ** 2 for earlier in range(2, 7)) * paths(11)
    assert ABOUT["auto_deeplab"].paper_counts == printed


def test_an_unknown_system_has_its_name() -> None:
    assert rows({"new": object()}) == [{"system": "new"}]
    assert [lines[0][0] for _, lines in tables(rows({"new": object()}))] == ["new", "new"]


@pytest.mark.parametrize("name", list(ABOUT))
def test_every_row_says_where_its_numbers_are_from(name: str) -> None:
    row = rows({name: object()})[0]
    assert row["source"]
    assert row["where"]
    assert row["measured_here"] is False


def test_the_command_prints_the_same_as_its_json(segnas_once: Run) -> None:
    code, out, err = segnas_once("systems", "--json", "-")
    assert code == 0, err
    assert json.loads(out) == rows(SYSTEMS)
    code, out, err = segnas_once("systems")
    assert code == 0, err
    for word in ("224", "265", "1.1e18", "5.7e16", "was not measured here", *SYSTEMS):
        assert word in out

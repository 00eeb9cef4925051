"""Auto-DeepLab's space: the trellis as published, and Viterbi against every path."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from models.families.trellis import layer, level
from models.genotype import Edge
from searcher.relaxations import PathSoftmax, softmax
from searcher.spaces.auto_deeplab import OPS as GRID_OPS
from searcher.spaces.auto_deeplab import (
    AutoDeepLab,
    count_paths,
    count_printed_cells,
    trellis_edges,
)

SEED = st.integers(0, 2**32)
LOGIT = st.floats(-200, 200, width=32)
EDGES = trellis_edges(12)
SIZES = {"width": 2, "stem": 2, "head": 2}


def rows(edges: int, ops: int, seed: int, spread: float = 1.0) -> Tensor:
    """Random logits [edges, ops]."""
    generator = torch.Generator().manual_seed(seed)
    return spread * torch.randn(edges, ops, generator=generator)


def test_a_cell_of_five_nodes_has_20_edges_and_8_ops() -> None:
    space = AutoDeepLab(12, 5, {"width": 8})
    assert (len(space.complete().graphs["cell"]), len(space.ops["cell"])) == (20, 8)
    arriving = Counter(edge.dst for edge in space.edges)
    sizes = [n**2 * len(GRID_OPS) ** 2 for n in arriving.values()]
    assert math.prod(sizes) == count_printed_cells(5) == 556_627_761_561_600


def test_the_trellis_has_the_published_counts() -> None:
    edges = trellis_edges(12)
    by_layer = Counter(layer(edge.dst) for edge in edges)
    assert [by_layer[i] for i in range(1, 13)] == [2, 5, 8] + [10] * 9
    assert len(edges) == 105
    assert len({edge.dst for edge in edges}) == 45
    assert [(e.src, e.dst) for e in edges] == sorted((e.src, e.dst) for e in edges)


def test_every_transition_has_a_place_in_beta() -> None:
    """Layer, source and rate (up, same, down): 12 x 4 x 3, of which 105 are used."""
    places = {(layer(e.src), level(e.src), level(e.dst) - level(e.src) + 1) for e in EDGES}
    assert len(places) == len(EDGES) == 105
    assert places <= {(i, k, r) for i in range(12) for k in range(4) for r in range(3)}


@pytest.mark.parametrize(("layers", "count"), [(1, 2), (11, 28_657), (12, 75_025)])
def test_the_trellis_has_as_many_paths_as_published(layers: int, count: int) -> None:
    assert sum(1 for _ in every_path(layers)) == count
    assert count_paths(layers) == count


@pytest.mark.parametrize(
    ("space", "count"), [(AutoDeepLab(1, 1, {}), 49 * 2), (AutoDeepLab(2, 1, {}), 49 * 5)]
)
def test_a_small_space_is_drawn_completely(space: AutoDeepLab, count: int) -> None:
    rng = random.Random(0)
    drawn = {space.sample(rng).fingerprint for _ in range(40 * count)}
    assert len(drawn) == space.count() == count


def every_path(layers: int) -> Iterator[tuple[int, ...]]:
    """The levels of every path from the stem, the finest first."""
    paths: list[tuple[int, ...]] = [(0,)]
    for _ in range(layers):
        paths = [(*p, b) for p in paths for b in range(max(p[-1] - 1, 0), min(p[-1] + 1, 3) + 1)]
    return iter(paths)


def path_edges(levels: Sequence[int]) -> list[tuple[int, int]]:
    nodes = [4 * i + step for i, step in enumerate(levels)]
    return list(pairwise(nodes))


def brute_force(layers: int, weights: Tensor) -> tuple[float, dict[tuple[int, ...], float]]:
    """The probability of the best path, and of every path."""
    number = {(e.src, e.dst): i for i, e in enumerate(trellis_edges(layers))}
    p = weights.double().flatten().tolist()
    scores = {
        levels: math.prod(p[number[end]] for end in path_edges(levels))
        for levels in every_path(layers)
    }
    return max(scores.values()), scores


def levels_of(path: Sequence[Edge]) -> tuple[int, ...]:
    return (0, *(level(edge.dst) for edge in path))


@settings(max_examples=25, deadline=None)
@given(layers=st.integers(1, 6), seed=SEED, spread=st.sampled_from([0.001, 1.0, 8.0]))
def test_viterbi_finds_the_best_of_all_paths(layers: int, seed: int, spread: float) -> None:
    space = AutoDeepLab(layers, 1, {})
    weights = PathSoftmax(space.path).outgoing(rows(len(space.path), 1, seed, spread))
    best, scores = brute_force(layers, weights)
    found = levels_of(space.viterbi(weights))
    assert scores[found] == pytest.approx(best, rel=1e-12)
    near = [levels for levels, score in scores.items() if score > best * (1 - 1e-9)]
    if len(near) == 1:
        assert found == near[0]


@settings(max_examples=40, deadline=None)
@given(seed=SEED)
def test_viterbi_of_ties_and_saturated_rows(seed: int) -> None:
    """Weights of 0, 1 and a half: many paths are equal, and many are impossible."""
    space, rng = AutoDeepLab(5, 1, {}), random.Random(seed)
    weights = torch.tensor([[rng.choice([0.0, 0.5, 0.5, 1.0])] for _ in space.path])
    best, scores = brute_force(5, weights)
    assert scores[levels_of(space.viterbi(weights))] == best


def test_of_equal_paths_the_finest_wins() -> None:
    space = AutoDeepLab(5, 1, {})
    for weight in (0.0, 0.5, 1.0):
        path = space.viterbi(torch.full((len(space.path), 1), weight))
        assert levels_of(path) == (0,) * 6


@pytest.fixture(scope="module")
def all_paths() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The levels of the 75,025 paths through 12 layers, and the numbers of their transitions."""
    number = np.full((49, 53), -1)
    for i, edge in enumerate(EDGES):
        number[edge.src, edge.dst] = i
    levels = np.array(list(every_path(12)))
    nodes = levels + 4 * np.arange(13)
    assert len(nodes) == 75_025
    taken = number[nodes[:, :-1], nodes[:, 1:]]
    assert taken.min() >= 0
    return levels, taken


def weighted(kind: str, seed: int) -> Tensor:
    """Transition probabilities [105, 1] of 12 layers."""
    if kind == "tied":
        return torch.tensor(
            [[random.Random(seed + i).choice([0.25, 0.5, 0.5])] for i in range(105)]
        )
    spread = {"narrow": 1e-3, "wide": 2.0, "saturated": 500.0}[kind]
    return PathSoftmax(EDGES).outgoing(rows(105, 1, seed, spread))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("kind", ["narrow", "wide", "saturated", "tied"])
def test_viterbi_equals_brute_force_on_all_75025_paths(
    all_paths: tuple[NDArray[np.int64], NDArray[np.int64]], kind: str, seed: int
) -> None:
    """Of tied paths the one that ends, and before that arrives, at the finest level wins."""
    levels, taken = all_paths
    weights = weighted(kind, seed)
    with np.errstate(divide="ignore"):
        scores = np.log(weights.double().flatten().numpy())[taken].sum(1)
    if kind == "saturated":
        assert (weights == 0).any()
        assert (weights == 1).any()
    best = levels[scores >= scores.max() - 1e-9]
    if kind == "tied":
        assert len(best) > 1
    expected = min((tuple(path.tolist()) for path in best), key=lambda path: path[::-1])
    assert levels_of(AutoDeepLab(12, 1, {}).viterbi(weights)) == expected


@given(
    layers=st.integers(1, 12),
    data=st.data(),
)
def test_path_softmax_sums_to_1_over_the_edges_that_leave_a_node(
    layers: int, data: st.DataObject
) -> None:
    edges = trellis_edges(layers)
    values = data.draw(st.lists(LOGIT, min_size=len(edges), max_size=len(edges)))
    outgoing = PathSoftmax(edges).outgoing(torch.tensor(values).unsqueeze(1))
    assert outgoing.shape == (len(edges), 1)
    sums = Counter[int]()
    for edge, weight in zip(edges, outgoing.flatten().tolist(), strict=True):
        assert 0 <= weight <= 1
        sums[edge.src] += weight
    assert sums == pytest.approx(dict.fromkeys(sums, 1.0), abs=1e-6)


def test_a_node_far_below_the_others_still_has_its_choice() -> None:
    edges = trellis_edges(2)
    beta = torch.tensor([[1000.0], [0.0], [-1000.0], [-1000.0], [3.0], [2.0], [1.0]])
    outgoing = PathSoftmax(edges).outgoing(beta.requires_grad_())
    expected = torch.cat([beta[:2].softmax(0), beta[2:4].softmax(0), beta[4:].softmax(0)])
    torch.testing.assert_close(outgoing, expected)
    outgoing[2].sum().backward()
    assert beta.grad is not None
    assert beta.grad.flatten().tolist() == pytest.approx([0, 0, 0.25, -0.25, 0, 0, 0])


def test_the_ends_of_the_trellis_have_two_ways_out_and_the_middle_three() -> None:
    leaving = Counter(edge.src for edge in trellis_edges(12))
    for node, count in leaving.items():
        assert count == (2 if level(node) in (0, 3) else 3)


def test_path_softmax_relaxes_the_cell_by_the_ops_of_each_edge() -> None:
    edges = trellis_edges(2)
    logits = {"cell": rows(5, 8, 1), "path": rows(len(edges), 1, 2)}
    weights = PathSoftmax(edges)(logits)
    torch.testing.assert_close(weights["cell"], logits["cell"].softmax(1))
    torch.testing.assert_close(weights["path"], PathSoftmax(edges).outgoing(logits["path"]))


def test_what_is_searched_is_a_trellis_and_what_is_found_the_released_network() -> None:
    space = AutoDeepLab(2, 1, SIZES)
    weights = softmax(
        {
            name: torch.zeros(len(e), len(space.ops[name]))
            for name, e in (space.complete().graphs.items())
        }
    )
    assert space.complete().family == "trellis"
    assert space.discretize(weights).family == space.sample(random.Random(0)).family == "hnasnet"

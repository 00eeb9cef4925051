"""The spaces: their counts are the papers', and decoding is checked by brute force."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise, product

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from models.families.trellis import layer, level
from models.genotype import Edge
from models.network import build
from searcher.relaxations import PathSoftmax, softmax
from searcher.spaces import all_edges, strongest, ways
from searcher.spaces.auto_deeplab import OPS as GRID_OPS
from searcher.spaces.auto_deeplab import (
    AutoDeepLab,
    count_paths,
    count_printed_cells,
    trellis_edges,
)
from searcher.spaces.cas import CONTEXT, CONTEXT_OPS, Cas
from searcher.spaces.darts import OPS, Darts
from searcher.spaces.gas import Gas

SEED = st.integers(0, 2**32)
LOGIT = st.floats(-200, 200, width=32)
EDGES = trellis_edges(12)


def rows(edges: int, ops: int, seed: int, spread: float = 1.0) -> Tensor:
    """Random logits [edges, ops]."""
    generator = torch.Generator().manual_seed(seed)
    return spread * torch.randn(edges, ops, generator=generator)


def test_a_cell_of_four_nodes_has_14_edges_and_8_ops() -> None:
    space = Darts(8, 4, {"width": 16})
    assert len(OPS) == 8
    for name, edges in space.complete().graphs.items():
        assert (len(edges), len(space.ops[name])) == (14, 8)


def test_a_cell_of_five_nodes_has_20_edges_and_8_ops() -> None:
    space = AutoDeepLab(12, 5, {"width": 8})
    assert (len(space.complete().graphs["cell"]), len(space.ops["cell"])) == (20, 8)
    arriving = Counter(edge.dst for edge in space.edges)
    sizes = [n**2 * len(GRID_OPS) ** 2 for n in arriving.values()]
    assert math.prod(sizes) == count_printed_cells(5) == 556_627_761_561_600


def test_every_cell_of_gas_has_5_edges_8_ops_and_a_choice_of_its_own() -> None:
    space = Gas(6, 2, {})
    complete = space.complete().graphs
    assert list(complete) == list(space.ops) == [f"cell{i}" for i in range(6)]
    assert {(len(edges), len(space.ops[n])) for n, edges in complete.items()} == {(5, 8)}
    drawn = space.sample(random.Random(0))
    assert len(set(drawn.graphs.values())) == 6


def test_gas_counts_the_architectures_that_it_can_decode() -> None:
    """Every choice of two edges and their ops in one cell, tried one by one."""
    space = Gas(1, 2, {})
    assert space.count() == 7_203
    assert Gas(8, 2, {}).count() == 7_203**8
    found = set()
    real = [op for op in space.ops["cell0"] if op != "none"]
    for i, j in combinations(range(2, 5), 2):
        for ops in product(range(1, 8), repeat=4):
            weights = torch.zeros(5, 8)
            for row, op in zip((0, 1, i, j), ops, strict=True):
                weights[row, op] = 1
            edges = space.discretize({"cell0": weights}).graphs["cell0"]
            found.add(edges)
            assert {edge.op for edge in edges} <= set(real)
    assert len(found) == space.count()


def test_cas_has_the_cells_of_darts_and_branches_that_read_the_map_and_each_other() -> None:
    space = Cas(8, 4, {})
    complete = space.complete().graphs
    shapes = {n: (len(edges), len(space.ops[n])) for n, edges in complete.items()}
    assert shapes == {"normal": (14, 8), "reduce": (14, 8), CONTEXT: (10, 10)}
    sources = [[e.src for e in complete[CONTEXT] if e.dst == dst] for dst in range(2, 6)]
    assert sources == [[1], [1, 2], [1, 2, 3], [1, 2, 3, 4]]


def test_cas_counts_the_architectures_that_it_can_decode() -> None:
    """The multi-scale cell by DPC's rule, and every choice of one of two branches tried."""
    space = Cas(8, 5, {})
    pairs = math.prod(math.comb(n, 2) * 49 for n in range(2, 7))
    assert space.count() == pairs**2 * math.factorial(5) * 9**5
    assert Cas(8, 2, {}).count() == 7_203**2 * 162
    small, found = Cas(3, 2, {}), set()
    uniform = {n: torch.ones(len(edges), len(small.ops[n])) for n, edges in small.edges.items()}
    for row, (first, second) in product((1, 2), product(range(1, 10), repeat=2)):
        weights = torch.zeros(3, 10)
        weights[0, first] = weights[row, second] = 1
        found.add(small.discretize({**uniform, CONTEXT: weights}).graphs[CONTEXT])
    assert len(found) == 162


@given(seed=SEED, nodes=st.integers(1, 5), spread=st.sampled_from([0.001, 1.0, 50.0]))
def test_a_decoded_multi_scale_cell_has_one_op_a_branch_and_never_none(
    seed: int, nodes: int, spread: float
) -> None:
    space = Cas(3, nodes, {})
    logits = {
        name: rows(len(edges), len(space.ops[name]), seed, spread)
        for name, edges in space.complete().graphs.items()
    }
    for name, alpha in logits.items():
        alpha[:: 1 + seed % 2, space.ops[name].index("none")] = 1000.0
    for genotype in (space.sample(random.Random(seed)), space.discretize(softmax(logits))):
        for name, edges in genotype.graphs.items():
            kept = dict.fromkeys(range(2, nodes + 2), space.keep[name])
            assert Counter(edge.dst for edge in edges) == kept
            assert all(edge.op in set(space.ops[name]) - {"none"} for edge in edges)
        assert all(edge.src > 0 for edge in genotype.graphs[CONTEXT])


def test_the_multi_scale_cell_keeps_the_strongest_edge_and_op_of_a_branch() -> None:
    space = Cas(3, 2, {})
    weights = {n: torch.full((len(e), len(space.ops[n])), 0.1) for n, e in space.edges.items()}
    weights[CONTEXT][0, CONTEXT_OPS.index("pool_grid_4")] = 0.2
    weights[CONTEXT][1, CONTEXT_OPS.index("none")] = 0.9
    weights[CONTEXT][2, CONTEXT_OPS.index("atrous_conv_3x3_r12")] = 0.3
    found = space.discretize(weights).graphs[CONTEXT]
    assert found == (Edge(1, 2, "pool_grid_4"), Edge(2, 3, "atrous_conv_3x3_r12"))


def test_edges_are_ordered_by_node_then_source() -> None:
    ends = [(edge.dst, edge.src) for edge in all_edges(5)]
    assert ends == sorted(ends)
    assert all(src < dst for dst, src in ends)


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


def test_a_space_counts_what_it_can_draw() -> None:
    """The papers' sizes: every drawing of the small ones occurs, and none more."""
    assert Darts(8, 4, {}).count() == 1_037_664_180**2
    assert ways(all_edges(4), OPS) == 1_037_664_180
    cells = math.prod(math.comb(n, 2) * 49 for n in range(2, 7))
    assert AutoDeepLab(12, 5, {}).count() == cells * 75_025


@pytest.mark.parametrize(
    ("space", "count"), [(AutoDeepLab(1, 1, {}), 49 * 2), (AutoDeepLab(2, 1, {}), 49 * 5)]
)
def test_a_small_space_is_drawn_completely(space: AutoDeepLab, count: int) -> None:
    rng = random.Random(0)
    drawn = {space.sample(rng).fingerprint for _ in range(40 * count)}
    assert len(drawn) == space.count() == count


@given(seed=SEED, nodes=st.integers(1, 5))
def test_a_decoded_cell_has_two_predecessors_a_node_and_never_none(seed: int, nodes: int) -> None:
    for space in (Darts(3, nodes, {}), AutoDeepLab(3, nodes, {}), Gas(3, nodes, {})):
        sampled = space.sample(random.Random(seed))
        logits = {
            name: rows(len(edges), len(space.ops[name]), seed)
            for name, edges in space.complete().graphs.items()
        }
        logits[next(iter(logits))][:, 0] = 1000.0
        for genotype in (sampled, space.discretize(softmax(logits))):
            for name in set(genotype.graphs) - {"path"}:
                edges = genotype.graphs[name]
                assert all(edge.op != "none" for edge in edges)
                assert Counter(e.dst for e in edges) == dict.fromkeys(range(2, nodes + 2), 2)
                assert len({(e.src, e.dst) for e in edges}) == 2 * nodes


def by_the_rule(edges: Sequence[Edge], alpha: NDArray[np.float64]) -> set[tuple[int, int, str]]:
    """DARTS, section 2.4, read literally: every pair of arriving edges is tried."""
    share = np.exp(alpha) / np.exp(alpha).sum(1, keepdims=True)
    real = [op for op in range(len(OPS)) if OPS[op] != "none"]
    strength = {(e.src, e.dst): max(share[i, op] for op in real) for i, e in enumerate(edges)}
    kept = set()
    for dst in {edge.dst for edge in edges}:
        pairs = combinations([(e.src, e.dst) for e in edges if e.dst == dst], 2)
        for end in max(pairs, key=lambda pair: sum(strength[end] for end in pair)):
            i = [(e.src, e.dst) for e in edges].index(end)
            kept.add((*end, OPS[max(real, key=lambda op: share[i, op])]))
    return kept


@given(seed=SEED, spread=st.sampled_from([0.001, 1.0, 5.0]))
def test_discretize_reads_the_rule_of_darts(seed: int, spread: float) -> None:
    space = Darts(8, 4, {})
    logits = {name: rows(14, 8, seed + i, spread) for i, name in enumerate(space.ops)}
    genotype = space.discretize(softmax(logits))
    for name, alpha in logits.items():
        kept = {(e.src, e.dst, e.op) for e in genotype.graphs[name]}
        assert kept == by_the_rule(space.edges, alpha.double().numpy())


def test_edges_are_ranked_by_softmax_and_not_by_logits() -> None:
    """The largest logit stands in a row where ``none`` is larger still."""
    alpha = torch.zeros(5, 8)
    alpha[2:, :] = -9.0
    alpha[2, [0, 4]] = torch.tensor([9.0, 8.0])
    alpha[3, 4], alpha[4, 5] = 1.0, 2.0
    genotype = Darts(8, 2, {}).discretize(softmax({"normal": alpha, "reduce": alpha}))
    last = [(e.src, e.op) for e in genotype.graphs["normal"] if e.dst == 3]
    assert last == [(1, "sep_conv_3x3"), (2, "sep_conv_5x5")]


def test_of_equal_weights_the_earlier_edge_and_op_win() -> None:
    for alpha in (torch.zeros(9, 8), torch.tensor([500.0] + [0.0] * 7).repeat(9, 1)):
        edges = strongest(all_edges(3), softmax({"a": alpha})["a"], OPS)
        assert edges == tuple(Edge(s, d, OPS[1]) for d in (2, 3, 4) for s in (0, 1))


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


@settings(max_examples=20, deadline=None)
@given(seed=SEED)
@example(seed=0)
def test_a_sample_is_the_same_for_the_same_seed_and_can_be_built(seed: int) -> None:
    spaces = Darts(3, 2, SIZES), AutoDeepLab(4, 2, SIZES), Gas(3, 2, SIZES), Cas(3, 2, SIZES)
    for space in spaces:
        genotype = space.sample(random.Random(seed))
        assert genotype == space.sample(random.Random(seed))
        build(genotype, 2)


def test_a_space_takes_the_sizes_that_its_family_reads() -> None:
    """One recipe serves both systems: a size of the other is not in the genotype."""
    sizes = {"width": 2, "stem": 3, "head": 4}
    assert Darts(5, 1, sizes).complete().sizes == {"width": 2, "head": 4, "layers": 5}
    assert AutoDeepLab(5, 1, sizes).complete().sizes == sizes
    assert AutoDeepLab(5, 1, sizes).sample(random.Random(0)).sizes == sizes
    assert Cas(5, 1, sizes).complete().sizes == {"width": 2, "head": 4, "layers": 5}
    build(Darts(3, 1, sizes).sample(random.Random(0)), 2)


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


def test_samples_differ() -> None:
    for space in (Darts(3, 2, {}), AutoDeepLab(4, 2, {}), Gas(3, 2, {}), Cas(3, 2, {})):
        rng = random.Random(1)
        drawn = {space.sample(rng).fingerprint for _ in range(20)}
        assert len(drawn) == 20


SIZES = {"width": 2, "stem": 2, "head": 2}

"""The spaces of cells: they count what they can decode, and decode by the rule of DARTS."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence
from itertools import combinations, product

import numpy as np
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from models.genotype import Edge
from models.network import build
from searcher.relaxations import softmax
from searcher.spaces import all_edges, strongest, ways
from searcher.spaces.auto_deeplab import (
    AutoDeepLab,
)
from searcher.spaces.cas import CONTEXT, CONTEXT_OPS, Cas
from searcher.spaces.darts import OPS, Darts
from searcher.spaces.gas import Gas

SEED = st.integers(0, 2**32)


def rows(edges: int, ops: int, seed: int, spread: float = 1.0) -> Tensor:
    """Random logits [edges, ops]."""
    generator = torch.Generator().manual_seed(seed)
    return spread * torch.randn(edges, ops, generator=generator)


def test_a_cell_of_four_nodes_has_14_edges_and_8_ops() -> None:
    space = Darts(8, 4, {"width": 16})
    assert len(OPS) == 8
    for name, edges in space.complete().graphs.items():
        assert (len(edges), len(space.ops[name])) == (14, 8)


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


def test_a_space_counts_what_it_can_draw() -> None:
    """The papers' sizes: every drawing of the small ones occurs, and none more."""
    assert Darts(8, 4, {}).count() == 1_037_664_180**2
    assert ways(all_edges(4), OPS) == 1_037_664_180
    cells = math.prod(math.comb(n, 2) * 49 for n in range(2, 7))
    assert AutoDeepLab(12, 5, {}).count() == cells * 75_025


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


def test_samples_differ() -> None:
    for space in (Darts(3, 2, {}), AutoDeepLab(4, 2, {}), Gas(3, 2, {}), Cas(3, 2, {})):
        rng = random.Random(1)
        drawn = {space.sample(rng).fingerprint for _ in range(20)}
        assert len(drawn) == 20


SIZES = {"width": 2, "stem": 2, "head": 2}

"""Search spaces: one small file a paper."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from models.cell import MIXED
from models.families import FAMILIES
from models.genotype import Edge, Genotype, Size


class Sampled(Protocol):
    """What may be chosen by trying.  It knows nothing of how it is searched."""

    def sample(self, rng: random.Random) -> Genotype:
        """A randomly drawn architecture."""

    def mutate(self, genotype: Genotype, rng: random.Random) -> Genotype:
        """One of the space's, with one choice changed."""

    def count(self) -> int:
        """How many different genotypes ``sample`` can draw."""


class Crossed(Sampled, Protocol):
    """A space of which two networks have children."""

    def cross(self, one: Genotype, other: Genotype, rng: random.Random) -> Genotype:
        """Some choices of one, the others of another."""


class SearchSpace(Sampled, Protocol):
    """What may be chosen by gradients too: all of it together is a supernet."""

    @property
    def ops(self) -> Mapping[str, tuple[str, ...]]:
        """The candidates on the edges of each graph."""

    def complete(self) -> Genotype:
        """Every edge there is: the skeleton of the supernet."""

    def discretize(self, weights: Mapping[str, Tensor]) -> Genotype:
        """The architecture that the mixture ``weights`` ([edges, ops] a graph) prefer."""


Graphs = Mapping[str, tuple[Edge, ...]]
Candidates = Mapping[str, tuple[str, ...]]
PAIRS: Mapping[str, int] = {}
"""Two edges enter every node of every graph."""


def read_by(family: str, sizes: Mapping[str, Size]) -> dict[str, Size]:
    """The sizes that a family reads: one recipe serves several systems."""
    return {name: size for name, size in sizes.items() if name in FAMILIES[family].SIZES}


def all_edges(nodes: int) -> tuple[Edge, ...]:
    """Every edge of a cell with two inputs and ``nodes`` inner nodes, by target, then source."""
    return tuple(Edge(src, dst, MIXED) for dst in range(2, nodes + 2) for src in range(dst))


def strongest(
    edges: tuple[Edge, ...], weights: Tensor, ops: tuple[str, ...], keep: int = 2
) -> tuple[Edge, ...]:
    """For each node the ``keep`` edges of highest weight, each with its best op.

    ``weights`` [edges, ops] are softmaxed; ``none`` counts neither for the rank of an edge nor as
    its op (DARTS, section 2.4).  Of equal weights the earlier edge and op win.
    """
    real = [i for i, op in enumerate(ops) if op != "none"]
    value, index = weights.detach()[:, real].max(dim=1)
    chosen: list[Edge] = []
    for dst in sorted({edge.dst for edge in edges}):
        rows = [i for i, edge in enumerate(edges) if edge.dst == dst]
        for i in sorted(rows, key=lambda row: -float(value[row]))[:keep]:
            chosen.append(Edge(edges[i].src, dst, ops[real[int(index[i])]]))
    return tuple(sorted(chosen, key=lambda e: (e.dst, e.src)))


def ways(edges: tuple[Edge, ...], ops: tuple[str, ...], keep: int = 2) -> int:
    """How many cells :func:`strongest` can give.

    Cells that compute the same with their nodes numbered otherwise count apart.
    """
    real = sum(op != "none" for op in ops)
    entering = Counter(edge.dst for edge in edges).values()
    return math.prod(math.comb(n, keep) * real**keep for n in entering)


def draw(
    edges: tuple[Edge, ...], ops: tuple[str, ...], rng: random.Random, keep: int = 2
) -> tuple[Edge, ...]:
    """A random cell: :func:`strongest` of random weights."""
    generator = torch.Generator().manual_seed(rng.getrandbits(32))
    return strongest(edges, torch.rand(len(edges), len(ops), generator=generator), ops, keep)


def draw_each(
    skeleton: Graphs, ops: Candidates, rng: random.Random, keep: Mapping[str, int] = PAIRS
) -> Graphs:
    """A random cell for each graph; ``keep`` says where other than two edges enter a node."""
    return {n: draw(skeleton[n], names, rng, keep.get(n, 2)) for n, names in ops.items()}


def strongest_each(
    skeleton: Graphs,
    ops: Candidates,
    weights: Mapping[str, Tensor],
    keep: Mapping[str, int] = PAIRS,
) -> Graphs:
    """The :func:`strongest` cell of each graph."""
    return {
        n: strongest(skeleton[n], weights[n], names, keep.get(n, 2)) for n, names in ops.items()
    }


def ways_each(skeleton: Graphs, ops: Candidates, keep: Mapping[str, int] = PAIRS) -> int:
    """How many architectures :func:`strongest_each` can give."""
    return math.prod(ways(skeleton[n], names, keep.get(n, 2)) for n, names in ops.items())


def neighbours(
    edges: tuple[Edge, ...], skeleton: tuple[Edge, ...], ops: tuple[str, ...]
) -> list[tuple[Edge, ...]]:
    """The cells that differ from one of :func:`strongest` in an op, or in where an edge begins.

    No two edges lead from the same node to the same, and no op is ``none``.
    """
    taken = {(edge.src, edge.dst) for edge in edges}
    found: list[tuple[Edge, ...]] = []
    for i, edge in enumerate(edges):
        free = [e.src for e in skeleton if e.dst == edge.dst and (e.src, e.dst) not in taken]
        others = [Edge(edge.src, edge.dst, op) for op in ops if op not in ("none", edge.op)]
        for other in (*others, *(Edge(src, edge.dst, edge.op) for src in free)):
            changed = (*edges[:i], other, *edges[i + 1 :])
            found.append(tuple(sorted(changed, key=lambda e: (e.dst, e.src))))
    return found


def mutate_one(
    graphs: Graphs, skeleton: Graphs, ops: Candidates, rng: random.Random
) -> dict[str, tuple[Edge, ...]]:
    """One of the graphs replaced by one of its :func:`neighbours`."""
    name = rng.choice(sorted(ops))
    return {**graphs, name: rng.choice(neighbours(graphs[name], skeleton[name], ops[name]))}

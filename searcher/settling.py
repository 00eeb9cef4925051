"""How far a search has settled: the entropy of its mixtures, and cells that collapsed."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from statistics import fmean
from typing import Any

from models.genotype import Edge, Genotype
from models.ops import CONNECT, POOLS

Mixtures = Mapping[str, Mapping[str, Mapping[str, float]]]
"""The weight of every candidate by its names: graph, edge such as ``0-2``, candidate."""

DIGITS = 6
"""Of what is recorded: more than a picture can show, and a state that was put back has them all."""

SKIP = "skip_connect"
PARAMETER_FREE = (SKIP, *POOLS)

MOST_SKIPS = 0.5
"""Above this share of skip connections a cell has collapsed.

DARTS' published cells stay below: three of eight edges in its first-order normal cell, two of eight
in its second-order one (P-DARTS allows these two and no more, which the former would not pass), and
three of eight in both reduction cells.  Edges that draw one of the seven ops at random pass it once
in four hundred cells of eight edges, once in a hundred of four.
"""
UNDECIDED = 0.9999
"""A graph of more entropy has not begun to choose: its cell says nothing, and is not judged.

The logits start with a deviation of 0.001, an entropy of 0.9999998; this one is of 0.02.
"""


def settled(genotype: Genotype, mixtures: Mixtures) -> dict[str, Any]:
    """What a trial's line says of its mixtures, each 0..1 by graph; nothing where it has none.

    ``skips`` and ``parameter_free`` are shares of the kept edges; ``collapsed`` names graphs.
    """
    if not mixtures:
        return {}
    cells = cells_of(genotype)
    line: dict[str, Any] = {
        "entropy": entropy(mixtures),
        "skips": {name: share(edges, [SKIP]) for name, edges in cells.items()},
        "parameter_free": {name: share(edges, PARAMETER_FREE) for name, edges in cells.items()},
    }
    fallen = collapsed(line)
    return {**line, "collapsed": fallen} if fallen else line


def entropy(mixtures: Mixtures) -> dict[str, float]:
    """Of each graph: 1 where all that it may choose weighs the same, 0 where it has chosen."""
    return {name: mean_entropy(choices(edges)) for name, edges in mixtures.items()}


def mean_entropy(rows: Sequence[Sequence[float]]) -> float:
    """Of distributions, each divided by the highest that it can have, ln n."""
    return round(fmean(entropy_of(row) / math.log(len(row)) for row in rows), DIGITS)


def entropy_of(row: Sequence[float]) -> float:
    """In nats, of weights that are made to sum to 1."""
    shares = [weight / sum(row) for weight in row]
    return -math.fsum(share * math.log(share) for share in shares if share > 0)


def choices(edges: Mapping[str, Mapping[str, float]]) -> list[list[float]]:
    """The weights that compete: the candidates of an edge.

    Where edges have one candidate (a path) they compete themselves, by the node that they leave.
    """
    leaving: dict[str, list[float]] = defaultdict(list)
    for name, weights in edges.items():
        key = name if len(weights) > 1 else name.partition("-")[0]
        leaving[key].extend(weights.values())
    return [row for row in leaving.values() if len(row) > 1]


def cells_of(genotype: Genotype) -> dict[str, tuple[Edge, ...]]:
    """The graphs whose edges compute, by name: not a path."""
    graphs = sorted(genotype.graphs.items())
    return {name: edges for name, edges in graphs if any(e.op != CONNECT for e in edges)}


def share(edges: Sequence[Edge], ops: Collection[str]) -> float:
    """How many of the edges have one of ``ops``, 0..1."""
    return round(sum(edge.op in ops for edge in edges) / len(edges), DIGITS)


def collapsed(line: Mapping[str, Any]) -> list[str]:
    """The graphs of a line whose cell is mostly skip connections, or has no op with weights.

    The latter only where a cell keeps its resolution: DARTS' published reduction cells have nothing
    but pools and skip connections.
    """
    return [
        name
        for name, skips in line["skips"].items()
        if line["entropy"].get(name, 1) <= UNDECIDED
        and (skips > MOST_SKIPS or (line["parameter_free"][name] == 1 and not reduces(name)))
    ]


def reduces(graph: str) -> bool:
    """Whether a graph is by its name a reduction cell."""
    return graph.startswith("reduc")


def warning(line: Mapping[str, Any]) -> str:
    """One sentence on the collapsed cells of a line, with the remedy."""
    cells = ", ".join(
        f"{name} ({line['skips'][name]:.0%} of its edges {SKIP}, "
        f"{line['parameter_free'][name]:.0%} without weights)"
        for name in line["collapsed"]
    )
    return (
        f"step {line['step']}: a cell has collapsed to ops that learn nothing: {cells}; search for "
        f"fewer epochs (search.epochs), start to choose later (search.warmup), or lower "
        f"search.arch_lr, in another folder with --set out=DIR"
    )

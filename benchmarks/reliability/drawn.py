"""Random genotypes of every family, small."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from models.cell import CELL_OPS
from models.families.pyramid import NODES
from models.genotype import Edge, Genotype
from searcher.spaces.auto_deeplab import AutoDeepLab
from searcher.spaces.cas import Cas
from searcher.spaces.darts import Darts
from searcher.spaces.dpc import Dpc
from searcher.spaces.fast_nas import FastNas
from searcher.spaces.gas import Gas
from searcher.spaces.realtime import Realtime

STACK, GRID = {"width": 4, "head": 8}, {"width": 4, "stem": 4, "head": 8}


def pyramid(rng: random.Random) -> Genotype:
    """A stage of two ops in a row, and one of two beside each other; no space has this family."""
    a, b, c, d = rng.choices([op for op in CELL_OPS if op != "none"], k=4)
    first, second = NODES, 2 * NODES
    edges = (
        *(Edge(first, first + 1, a), Edge(first + 1, first + 2, b)),
        *(Edge(second, second + 1, c), Edge(second, second + 1, d)),
    )
    return Genotype("pyramid", {"stages": edges}, {"widths": (4, 6, 8), "head": 8})


DRAWN: tuple[Callable[[random.Random], Genotype], ...] = (
    Darts(3, 2, STACK).sample,
    Gas(3, 2, STACK).sample,
    Cas(3, 2, STACK).sample,
    AutoDeepLab(4, 2, GRID).sample,
    lambda rng: replace(AutoDeepLab(4, 2, GRID).sample(rng), family="trellis"),
    pyramid,
    Dpc({"encoder": 10, "head": 8, "output_stride": 16}).sample,
    FastNas({"encoder": 10, "head": 8, "repeats": 1}).sample,
    Realtime({"width": 4}).sample,
)


def drawn(count: int, rng: random.Random) -> list[Genotype]:
    """From the spaces of all systems by turns."""
    return [DRAWN[i % len(DRAWN)](rng) for i in range(count)]

"""Cells on a grid of layers and resolutions, joined by a path: Auto-DeepLab.

Graph ``path``: node ``layer * LEVELS + level`` of the grid, where level k has stride 4 * 2^k; node
0 is the stem.  A final network keeps one node a layer, a supernet keeps them all.  Graph ``cell``,
the same at every node of the grid: nodes 0 and 1 are H(l-2) and H(l-1), the others inner nodes.
Sizes: ``width`` channels of an inner node at stride 4 (doubled at every level), ``stem`` channels
at stride 2, ``head`` channels of the decoder.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from models.cell import MIXED, Cell, Graph, Place, Slot
from models.convolutions import spatial
from models.genotype import Edge, Genotype
from models.heads import Aspp, DeepLabDecoder
from models.layers import ActConvNorm, ConvNormAct, resize
from models.ops import CONNECT

LEVELS = 4
STEM = -1
"""The level of the stem's stride-2 map, which is H(-1)."""


def level(node: int) -> int:
    """The resolution of a grid node: its stride is 4 * 2^level."""
    return node % LEVELS


def layer(node: int) -> int:
    """The layer of a grid node; the stem is layer 0."""
    return node // LEVELS


class Resample(nn.Module):
    """Bring a map to a level's channels and size: a strided 3x3, or bilinear and a 1x1."""

    def __init__(self, c_in: int, c_out: int, down: int) -> None:
        super().__init__()
        kernel, stride = (3, 2**down) if down > 0 else (1, 1)
        self.project = ActConvNorm(c_in, c_out, kernel, stride)
        self.up = down < 0

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """[B, Cin, h, w] -> [B, Cout, *size]."""
        return self.project(resize(x, size) if self.up else x)


class Trellis(nn.Module):
    """[B, 3, H, W] -> logits [B, K, H/4, W/4]."""

    GRAPHS: ClassVar[tuple[str, ...]] = ("cell", "path")
    SIZES: ClassVar[tuple[str, ...]] = ("width", "stem", "head")

    def __init__(self, genotype: Genotype, num_classes: int, place: Place) -> None:
        super().__init__()
        self.path = check_path(genotype)
        graph = Graph.of(genotype, "cell")
        width, stem = genotype.size("width"), genotype.size("stem")
        self.stem = nn.ModuleList(
            [
                nn.Sequential(ConvNormAct(3, stem, 3, 2), ConvNormAct(stem, stem, 3)),
                ConvNormAct(stem, 2 * stem, 3, 2),
            ]
        )
        nodes = sorted({edge.dst for edge in self.path})
        self.before = {node: predecessor(node, [0, *nodes]) for node in nodes}
        c = [width * 2**k for k in range(LEVELS)]
        out = {STEM: stem, 0: 2 * stem} | {n: c[level(n)] * len(graph.inner) for n in nodes}
        self.cells = nn.ModuleDict({str(n): Cell(graph, c[level(n)], 1, place) for n in nodes})
        self.from_before = nn.ModuleDict(
            {str(n): resample(b, n, out[b], c[level(n)]) for n, b in self.before.items()}
        )
        self.from_last = nn.ModuleList(
            resample(e.src, e.dst, out[e.src], c[level(e.dst)]) for e in self.path
        )
        self.gates = nn.ModuleList(
            place(Slot("path", i, edge, channels=1)) for i, edge in enumerate(self.path)
        )
        self.head = make_head({n: out[n] for n in [0, *nodes]}, genotype, num_classes)

    @property
    def middle(self) -> nn.Module:
        """Where an auxiliary head reads: the first cell of the layer in the middle."""
        nodes = sorted(self.before)
        return self.cells[str(nodes[len(nodes) // 2])]

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, H, W] -> logits [B, K, H/4, W/4]."""
        half = self.stem[0](x)
        maps = {STEM: half, 0: self.stem[1](half)}
        for node in self.before:
            maps[node] = self.arrive(node, maps)
        return self.head(maps)

    def arrive(self, node: int, maps: Mapping[int, Tensor]) -> Tensor:
        """Equation 6: the sum over the ways into ``node``, each through the cell.

        The ways share the cell's weights and go through it as one batch.
        """
        h, w = spatial(maps[0])
        scale = 2 ** level(node)
        size = (-(-h // scale), -(-w // scale))
        before = self.from_before[str(node)](maps[self.before[node]], size)
        ways = [
            (gate, move(maps[edge.src], size))
            for edge, move, gate in zip(self.path, self.from_last, self.gates, strict=True)
            if edge.dst == node
        ]
        lasts = torch.cat([last for _, last in ways])
        both = self.cells[str(node)](before, lasts, len(ways)).unflatten(0, (len(ways), -1))
        gated = [gate(y) for (gate, _), y in zip(ways, both.unbind(), strict=True)]
        return sum(gated[1:], gated[0])


class EndsHead(nn.Module):
    """While searching: an ASPP and a classifier at every end of the trellis, their logits added.

    One 3x3 branch of rate 96 / stride, and as many channels as the end has (section 4.1).
    """

    def __init__(self, ends: Mapping[int, int], num_classes: int) -> None:
        super().__init__()
        self.ends = tuple(ends)
        self.heads = nn.ModuleDict(
            {
                str(n): nn.Sequential(Aspp(c, c, [24 >> level(n)]), nn.Conv2d(c, num_classes, 1))
                for n, c in ends.items()
            }
        )

    def forward(self, maps: Mapping[int, Tensor]) -> Tensor:
        """The maps of all nodes -> logits [B, K, H/4, W/4]."""
        size = spatial(maps[0])
        logits = [resize(self.heads[str(n)](maps[n].relu()), size) for n in self.ends]
        return sum(logits[1:], logits[0])


class PathHead(nn.Module):
    """After the search: ASPP at the path's end, and a decoder over the last finer map of stride 4.

    Rates 6, 12, 18 at stride 16, doubled for every halving of the stride (section 5).
    """

    def __init__(self, nodes: Mapping[int, int], channels: int, num_classes: int) -> None:
        super().__init__()
        self.end = max(nodes)
        self.fine = max(n for n in nodes if level(n) == 0 and n != self.end)
        rates = [rate >> level(self.end) for rate in (24, 48, 72)]
        self.aspp = Aspp(nodes[self.end], channels, rates)
        self.decoder = DeepLabDecoder(nodes[self.fine], channels, num_classes)

    def forward(self, maps: Mapping[int, Tensor]) -> Tensor:
        """The maps of all nodes -> logits [B, K, H/4, W/4]."""
        return self.decoder(self.aspp(maps[self.end].relu()), maps[self.fine].relu())


def make_head(nodes: Mapping[int, int], genotype: Genotype, num_classes: int) -> nn.Module:
    """A head for the one end of a path, or for all ends of a supernet.

    ``nodes`` maps the nodes of the grid to their channels.
    """
    ends = {n: c for n, c in nodes.items() if layer(n) == layer(max(nodes))}
    if len(ends) > 1:
        return EndsHead(ends, num_classes)
    return PathHead(nodes, genotype.size("head"), num_classes)


def resample(src: int, dst: int, c_in: int, c_out: int) -> Resample:
    """The way from one node's map to another's."""
    return Resample(c_in, c_out, level(dst) - (STEM if src == STEM else level(src)))


def predecessor(node: int, nodes: list[int]) -> int:
    """Where H(l-2) comes from: the node two layers back whose resolution is nearest.

    The paper does not say what stands in for a resolution that is not there yet; its first author
    advises the most similar map.  Of two equally near the finer is taken.
    """
    if layer(node) < 2:
        return STEM
    candidates = [n for n in nodes if layer(n) == layer(node) - 2]
    return min(candidates, key=lambda n: (abs(level(n) - level(node)), level(n)))


def check_path(genotype: Genotype) -> tuple[Edge, ...]:
    """The edges of the path, checked; ``ValueError`` names the edge that is wrong."""
    path = genotype.graphs.get("path", ())
    reached = {0}
    for i, edge in enumerate(path):
        one_layer = layer(edge.dst) == layer(edge.src) + 1
        near = abs(level(edge.dst) - level(edge.src)) <= 1
        if edge.src not in reached or not one_layer or not near:
            raise ValueError(
                f"graphs.path[{i}]: an edge leads from a node that was reached "
                f"to the next layer, at most one level up or down"
            )
        if edge.op not in (CONNECT, MIXED):
            raise ValueError(f"graphs.path[{i}]: the op must be {CONNECT}, not {edge.op!r}")
        reached.add(edge.dst)
    if not path or {layer(n) for n in reached} != set(range(layer(max(reached)) + 1)):
        raise ValueError("graphs.path must reach at least one layer")
    return path

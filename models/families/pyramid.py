"""A plain encoder of 3x3 convolutions that halves the size at every stage: our own.

Graph ``stages``: node ``stage * NODES`` is what a stage begins with, after the strided convolution
into it; the nodes after it are sums of the edges into them, and the last one is the stage's map.
Stage k has stride 2^(k+1).  Sizes: ``widths`` channels of each stage, ``head`` channels of the
decoder, which reads every map from stride 4 on.
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from models.cell import CELL_OPS, MIXED, Place, Slot
from models.convolutions import conv
from models.genotype import Edge, Genotype
from models.heads import PyramidHead
from models.layers import ActConvNorm

NODES = 16
"""How far the numbers of two stages are apart: a stage has at most as many nodes."""


def stage(node: int) -> int:
    """The stage of a node: its stride is 2^(stage + 1)."""
    return node // NODES


class Stage(nn.Module):
    """The edges of one stage, each node the sum of those into it."""

    def __init__(self, edges: list[tuple[int, Edge]], channels: int, place: Place) -> None:
        super().__init__()
        self.edges = tuple(sorted((edge for _, edge in edges), key=lambda edge: edge.dst))
        arriving = sorted(edges, key=lambda pair: pair[1].dst)
        self.ops = nn.ModuleList(place(Slot("stages", i, e, channels)) for i, e in arriving)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        nodes: dict[int, Tensor] = {}
        for edge, op in zip(self.edges, self.ops, strict=True):
            y = op(nodes.get(edge.src, x))
            nodes[edge.dst] = nodes[edge.dst] + y if edge.dst in nodes else y
        return nodes[self.edges[-1].dst] if self.edges else x


class Pyramid(nn.Module):
    """[B, 3, H, W] -> logits [B, K, H/4, W/4]."""

    GRAPHS: ClassVar[tuple[str, ...]] = ("stages",)
    SIZES: ClassVar[tuple[str, ...]] = ("widths", "head")

    def __init__(self, genotype: Genotype, num_classes: int, place: Place) -> None:
        super().__init__()
        widths = check_widths(genotype)
        edges = list(enumerate(check_stages(genotype, len(widths))))
        self.stem = nn.Sequential(conv(3, widths[0], 3, 2), nn.BatchNorm2d(widths[0]))
        self.down = nn.ModuleList(
            ActConvNorm(c_in, c_out, 3, 2) for c_in, c_out in pairwise(widths)
        )
        self.stages = nn.ModuleList(
            Stage([(i, edge) for i, edge in edges if stage(edge.src) == k], channels, place)
            for k, channels in enumerate(widths)
        )
        self.head = PyramidHead(widths[1:], genotype.size("head"), num_classes)

    @property
    def middle(self) -> nn.Module:
        """Where an auxiliary head reads: the stage before the last."""
        return self.stages[-2]

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, H, W] -> logits [B, K, H/4, W/4]."""
        maps = [self.stages[0](self.stem(x))]
        for down, later in zip(self.down, self.stages[1:], strict=True):
            maps.append(later(down(maps[-1])))
        return self.head([torch.relu(y) for y in maps[1:]])


def check_widths(genotype: Genotype) -> tuple[int, ...]:
    """The channels of every stage; ``ValueError`` where they are not two to six whole numbers."""
    widths = genotype.sizes.get("widths")
    if not isinstance(widths, tuple) or not 2 <= len(widths) <= 6:
        raise ValueError(f"sizes.widths must list the channels of 2 to 6 stages, not {widths!r}")
    if not all(2 <= width <= 4096 for width in widths):
        raise ValueError(f"sizes.widths must be from 2 to 4096, not {list(widths)}")
    return widths


def check_stages(genotype: Genotype, stages: int) -> tuple[Edge, ...]:
    """The edges of all stages, checked; ``ValueError`` names the edge that is wrong."""
    if "stages" not in genotype.graphs:
        raise ValueError(f"graphs.stages is missing: family {genotype.family} needs it")
    edges = genotype.graphs["stages"]
    for i, edge in enumerate(edges):
        where = f"graphs.stages[{i}]"
        if not 0 <= edge.src < edge.dst or stage(edge.src) != stage(edge.dst):
            raise ValueError(f"{where}: an edge leads to a later node of its stage")
        if stage(edge.dst) >= stages:
            raise ValueError(f"{where}: there are {stages} stages, as many as sizes.widths")
        if edge.op not in (*CELL_OPS, MIXED):
            raise ValueError(
                f"{where}: unknown op {edge.op!r}; the vocabulary is {', '.join(CELL_OPS)}"
            )
    reached = {edge.dst for edge in edges}
    gap = [e.dst for e in edges if any(n not in reached for n in inner_nodes(e.dst))]
    if gap:
        raise ValueError(f"graphs.stages: no edge leads to a node before node {gap[0]}")
    return edges


def inner_nodes(node: int) -> range:
    """The nodes of a stage from its second to ``node``."""
    return range(stage(node) * NODES + 1, node + 1)

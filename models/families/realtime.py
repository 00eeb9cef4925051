"""A network for a budget: residual stages of any ops and widths, context, and a decoder: our own.

Graph ``stages``: node ``stage * NODES`` is what a stage begins with, after the strided convolution
into it, and each further node is the one before it plus what an op makes of it; ``skip_connect`` is
no layer.  Stage k has stride 2^(k+1).  Graph ``context``: ops on the deepest map, from node 0 to
node 1, all added to it.  Graph ``decoder``: the way up, an edge from each stage to the finer one
that it is added to, with what refines the sum (``skip_connect``: nothing); labels are read where it
ends.  Sizes: ``widths`` channels of each stage; ``decoder`` channels of the deepest map's
projection and of each sum; ``grain`` the side, in pixels, of what gets one class.

A layer is named by where it stands and by its op, so that networks with the same one there have
the same name for it, whatever else they have.
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

from torch import Tensor, nn

from models.cell import CELL_OPS, Place, Slot
from models.convolutions import conv, spatial
from models.families.pyramid import NODES, check_widths, stage
from models.genotype import Edge, Genotype
from models.layers import ActConvNorm, resize

SKIP = "skip_connect"
GRAINS = (1, 2, 4)


class Residual(nn.Module):
    """The layers of one stage, each added to what it reads."""

    def __init__(self, edges: list[tuple[int, Edge]], channels: int, place: Place) -> None:
        super().__init__()
        self.layers = nn.ModuleDict(
            {
                f"{edge.dst % NODES}_{edge.op}": place(Slot("stages", i, edge, channels))
                for i, edge in edges
                if edge.op != SKIP
            }
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        for layer in self.layers.values():
            x = x + layer(x)
        return x


class Context(nn.Module):
    """What the deepest map is told of its surroundings."""

    def __init__(self, edges: tuple[Edge, ...], channels: int, place: Place) -> None:
        super().__init__()
        self.ops = nn.ModuleDict(
            {
                edge.op: place(Slot("context", i, edge, channels))
                for i, edge in enumerate(edges)
                if edge.op != SKIP
            }
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        return sum((op(x) for op in self.ops.values()), x)


class Sum(nn.Module):
    """A coarse map, brought to a finer one's channels and size, plus the finer one, and a layer."""

    def __init__(self, coarse: int, fine: int, slot: Slot, place: Place) -> None:
        super().__init__()
        self.lift = ActConvNorm(coarse, slot.channels)
        self.project = ActConvNorm(fine, slot.channels)
        ops = {} if slot.edge.op == SKIP else {slot.edge.op: place(slot)}
        self.refine = nn.ModuleDict(ops)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """[B, Cc, h, w] and [B, Cf, H, W] -> [B, C, H, W]."""
        x = self.project(fine)
        x = x + resize(self.lift(coarse), spatial(x))
        for op in self.refine.values():
            x = x + op(x)
        return x


class Realtime(nn.Module):
    """[B, 3, H, W] -> logits [B, K, H/s, W/s] at the stride s of the finest map it decodes."""

    GRAPHS: ClassVar[tuple[str, ...]] = ("stages", "context", "decoder")
    SIZES: ClassVar[tuple[str, ...]] = ("widths", "decoder", "grain")
    HEAD: ClassVar[tuple[str, ...]] = ("project", "context", "sums", "classify")

    def __init__(self, genotype: Genotype, num_classes: int, place: Place) -> None:
        super().__init__()
        widths = check_widths(genotype)
        edges = list(enumerate(check_layers(genotype, len(widths))))
        context, ways = check_context(genotype), check_decoder(genotype, len(widths))
        channels = check_channels(genotype, len(ways) + 1)
        self.grain = grain_of(genotype)
        self.stem = nn.Sequential(conv(3, widths[0], 3, 2), nn.BatchNorm2d(widths[0]))
        self.down = nn.ModuleList(
            ActConvNorm(c_in, c_out, 3, 2) for c_in, c_out in pairwise(widths)
        )
        self.stages = nn.ModuleList(
            Residual([(i, e) for i, e in edges if stage(e.src) == k], width, place)
            for k, width in enumerate(widths)
        )
        self.project = nn.ModuleDict({str(ways[0].src): ActConvNorm(widths[-1], channels[0])})
        self.context = Context(context, channels[0], place)
        self.sums = nn.ModuleDict(
            {
                str(edge.dst): Sum(coarse, widths[edge.dst], Slot("decoder", i, edge, fine), place)
                for i, (edge, (coarse, fine)) in enumerate(
                    zip(ways, pairwise(channels), strict=True)
                )
            }
        )
        self.classify = nn.Sequential(nn.ReLU(), nn.Conv2d(channels[-1], num_classes, 1))

    @property
    def middle(self) -> nn.Module:
        """Where an auxiliary head reads: the stage before the last."""
        return self.stages[-2]

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, H, W] -> logits [B, K, H/s, W/s]."""
        maps = [self.stages[0](self.stem(x))]
        for down, later in zip(self.down, self.stages[1:], strict=True):
            maps.append(later(down(maps[-1])))
        (project,) = self.project.values()
        y = self.context(project(maps[-1]))
        for fine, add in self.sums.items():
            y = add(y, maps[int(fine)])
        return self.classify(y)


def check_layers(genotype: Genotype, stages: int) -> tuple[Edge, ...]:
    """The edges of all stages; ``ValueError`` names the one that is wrong."""
    edges = edges_of(genotype, "stages")
    ends = {k: k * NODES for k in range(stages)}
    for i, edge in enumerate(edges):
        k = stage(edge.src)
        if k not in ends:
            raise ValueError(
                f"graphs.stages[{i}]: there are {stages} stages, as many as sizes.widths"
            )
        if edge.src != ends[k] or edge.dst != edge.src + 1 or stage(edge.dst) != k:
            raise ValueError(
                f"graphs.stages[{i}]: a layer leads from the last node of its stage to the next"
            )
        ends[k] = edge.dst
    return edges


def check_context(genotype: Genotype) -> tuple[Edge, ...]:
    """The ops on the deepest map; ``ValueError`` names the one that is wrong."""
    edges = edges_of(genotype, "context")
    for i, edge in enumerate(edges):
        if (edge.src, edge.dst) != (0, 1):
            raise ValueError(f"graphs.context[{i}]: an op leads from node 0 to node 1")
        if edge.op in {other.op for other in edges[:i]} - {SKIP}:
            raise ValueError(f"graphs.context[{i}]: {edge.op} is there twice")
    return edges


def check_decoder(genotype: Genotype, stages: int) -> tuple[Edge, ...]:
    """The way up; ``ValueError`` names the edge that is wrong."""
    edges = edges_of(genotype, "decoder")
    for i, edge in enumerate(edges):
        wanted = stages - 1 - i, stages - 2 - i
        if (edge.src, edge.dst) != wanted:
            raise ValueError(
                f"graphs.decoder[{i}]: the way up leads from stage {wanted[0]} to {wanted[1]}"
            )
    if not 1 <= len(edges) < stages:
        raise ValueError(f"graphs.decoder must have 1 to {stages - 1} edges, not {len(edges)}")
    return edges


def edges_of(genotype: Genotype, graph: str) -> tuple[Edge, ...]:
    """The edges of a graph, whose ops are known; ``ValueError`` where it is missing."""
    if graph not in genotype.graphs:
        raise ValueError(f"graphs.{graph} is missing: family {genotype.family} needs it")
    for i, edge in enumerate(genotype.graphs[graph]):
        if edge.op not in CELL_OPS:
            raise ValueError(
                f"graphs.{graph}[{i}]: unknown op {edge.op!r}; "
                f"the vocabulary is {', '.join(CELL_OPS)}"
            )
    return genotype.graphs[graph]


def check_channels(genotype: Genotype, count: int) -> tuple[int, ...]:
    """The channels of the decoder; ``ValueError`` where there are not as many as its maps."""
    channels = genotype.sizes.get("decoder")
    if not isinstance(channels, tuple) or len(channels) != count:
        raise ValueError(
            f"sizes.decoder must list the channels of {count} maps, one more than graphs.decoder "
            f"has edges, not {channels!r}"
        )
    if not all(2 <= width <= 4096 for width in channels):
        raise ValueError(f"sizes.decoder must be from 2 to 4096, not {list(channels)}")
    return channels


def grain_of(genotype: Genotype) -> int:
    """The side in pixels of what gets one class: 1 where a genotype does not say."""
    grain = genotype.sizes.get("grain", 1)
    if grain not in GRAINS:
        raise ValueError(f"sizes.grain must be one of {', '.join(map(str, GRAINS))}, not {grain!r}")
    assert isinstance(grain, int)
    return grain

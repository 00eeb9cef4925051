"""The pyramid: stages as data, checked edge by edge."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from models.cell import Slot
from models.families.pyramid import NODES, Pyramid, Stage, stage
from models.genotype import Edge, Genotype, Size
from models.network import build, parameters

SMALL = Genotype(
    "pyramid",
    {"stages": (Edge(0, 1, "conv_3x3"), Edge(0, 1, "skip_connect"), Edge(16, 17, "conv_3x3"))},
    {"widths": (4, 6, 8), "head": 4},
)
RECIPES = Path(__file__).parents[2] / "recipes"


@given(height=st.integers(16, 70), width=st.integers(16, 70))
def test_any_size_is_labelled_pixel_by_pixel(height: int, width: int) -> None:
    network = build(SMALL, 5).eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 3, height, width)).shape == (1, 5, height, width)


def test_every_stage_halves_the_size_and_has_its_width() -> None:
    network = build(replace(SMALL, sizes={"widths": (4, 6, 8, 10), "head": 4}), 5).eval()
    assert isinstance(network.body, Pyramid)
    shapes: list[tuple[int, ...]] = []

    def note(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        shapes.append(tuple(output.shape[1:]))

    for part in network.body.stages:
        part.register_forward_hook(note)
    network(torch.zeros(1, 3, 64, 96))
    assert shapes == [(4, 32, 48), (6, 16, 24), (8, 8, 12), (10, 4, 6)]


def test_a_node_is_the_sum_of_the_edges_into_it() -> None:
    edges = [(0, Edge(17, 18, "b")), (1, Edge(16, 17, "a")), (2, Edge(16, 18, "c"))]

    class Times(nn.Module):
        def __init__(self, factor: float) -> None:
            super().__init__()
            self.factor = factor

        def forward(self, x: Tensor) -> Tensor:
            """[B, C, H, W] -> [B, C, H, W]."""
            return self.factor * x

    def place(slot: Slot) -> nn.Module:
        assert (slot.channels, edges[slot.index][1]) == (3, slot.edge)
        return Times({"a": 2.0, "b": 5.0, "c": 7.0}[slot.edge.op])

    x = torch.ones(1, 3, 2, 2)
    assert torch.equal(Stage(edges, 3, place)(x), 17 * x)
    assert torch.equal(Stage([], 3, place)(x), x)


@pytest.mark.parametrize(
    ("edge", "message"),
    [
        (Edge(1, 1, "conv_3x3"), r"graphs.stages\[0\]: an edge leads to a later node"),
        (Edge(15, 16, "conv_3x3"), r"graphs.stages\[0\]: an edge leads to a later node"),
        (Edge(48, 49, "conv_3x3"), r"graphs.stages\[0\]: there are 3 stages"),
        (Edge(0, 1, "conv_9x9"), r"graphs.stages\[0\]: unknown op 'conv_9x9'"),
        (Edge(0, 2, "conv_3x3"), r"no edge leads to a node before node 2"),
    ],
)
def test_a_wrong_edge_is_named(edge: Edge, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(replace(SMALL, graphs={"stages": (edge,)}), 3)


@pytest.mark.parametrize("widths", [None, 8, (8,), (8,) * 7, (8, 1), (8, 5000)])
def test_wrong_widths_are_named(widths: Size | None) -> None:
    sizes: dict[str, Size] = {"head": 4} if widths is None else {"head": 4, "widths": widths}
    with pytest.raises(ValueError, match=r"sizes\.widths must"):
        build(Genotype("pyramid", SMALL.graphs, sizes), 3)


def test_the_genotype_of_the_recipe_is_as_large_as_it_says() -> None:
    genotype = Genotype.load(RECIPES / "genotypes" / "camvid_pyramid.json")
    assert {stage(e.src) for e in genotype.graphs["stages"]} == {1, 2, 3, 4}
    assert max(e.dst % NODES for e in genotype.graphs["stages"]) == 4
    assert parameters(build(genotype, 11)) == 733_467

"""A cell: nodes are sums, the output is their concatenation, and a bad graph is named."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from models.cell import Cell, Graph, Slot, concrete
from models.genotype import Edge, Genotype


def graph(*edges: tuple[int, int, str]) -> Graph:
    return Graph("normal", tuple(Edge(*edge) for edge in edges))


class Times(nn.Module):
    """Multiply by a number of its own: which op got which input can be read off the result."""

    def __init__(self, factor: float, stride: int) -> None:
        super().__init__()
        self.factor, self.stride = factor, stride

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H/stride, W/stride]."""
        return self.factor * x[:, :, :: self.stride, :: self.stride]


def factor(slot: Slot) -> nn.Module:
    return Times(10.0**slot.index, slot.stride)


def test_identities_sum_and_concatenate() -> None:
    skip = "skip_connect"
    cell = Cell(
        graph((0, 2, skip), (1, 2, skip), (0, 3, skip), (2, 3, skip), (3, 4, skip), (3, 4, skip)),
        channels=2,
        stride=1,
        place=concrete,
    )
    a, b = torch.randn(2, 2, 3, 5), torch.randn(2, 2, 3, 5)
    y = cell(a, b)
    assert cell.channels == 6
    torch.testing.assert_close(y, torch.cat([a + b, 2 * a + b, 4 * a + 2 * b], dim=1))


def test_every_edge_keeps_its_own_op_whatever_the_order() -> None:
    """Edges need not be sorted by node: their place in the graph is their number."""
    cell = Cell(graph((2, 3, "x"), (1, 2, "x"), (0, 3, "x"), (0, 2, "x")), 1, 1, factor)
    a, b = torch.tensor(2.0).view(1, 1, 1, 1), torch.tensor(3.0).view(1, 1, 1, 1)
    two = 10 * b + 1000 * a
    torch.testing.assert_close(cell(a, b), torch.cat([two, two + 100 * a], dim=1))


def test_only_edges_from_the_inputs_are_strided() -> None:
    cell = Cell(graph((0, 2, "x"), (1, 2, "x"), (2, 3, "x"), (1, 3, "x")), 1, 2, factor)
    assert [op.stride for op in cell.ops if isinstance(op, Times)] == [2, 2, 1, 2]
    assert cell(torch.ones(1, 1, 5, 6), torch.ones(1, 1, 5, 6)).shape == (1, 2, 3, 3)


def test_a_cell_does_not_change_its_inputs() -> None:
    cell = Cell(graph((0, 2, "skip_connect"), (1, 2, "skip_connect")), 1, 1, concrete)
    a, b = torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 2)
    cell(a, b)
    assert torch.equal(a, b)
    assert a.sum() == 4


SKIP = "skip_connect"
BAD = {
    "no edges": ((), r"graphs\.normal: nodes"),
    "into an input": (((0, 1, SKIP),), r"graphs\.normal\[0\]"),
    "into itself": (((0, 2, SKIP), (2, 2, SKIP)), r"graphs\.normal\[1\]"),
    "backwards": (((0, 2, SKIP), (0, 3, SKIP), (3, 2, SKIP)), r"graphs\.normal\[2\]"),
    "from nowhere": (((0, 2, SKIP), (-1, 2, SKIP)), r"graphs\.normal\[1\]"),
    "a gap": (((0, 2, SKIP), (0, 4, SKIP)), r"graphs\.normal: nodes"),
    "node 2 missing": (((0, 3, SKIP),), r"graphs\.normal: nodes"),
    "a huge node": (((0, 2**60, SKIP),), r"graphs\.normal: nodes"),
    "unknown op": (((0, 2, SKIP), (1, 2, "conv_9")), r"graphs\.normal\[1\]: unknown op 'conv_9'"),
    "an op of paths": (((0, 2, "connect"),), r"graphs\.normal\[0\]: unknown op 'connect'"),
}  # fmt: skip


@pytest.mark.parametrize(("edges", "message"), BAD.values(), ids=BAD)
def test_a_bad_graph_is_refused_by_its_edge(
    edges: tuple[tuple[int, int, str], ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        graph(*edges).check()


def test_a_graph_that_is_missing_is_named() -> None:
    with pytest.raises(ValueError, match=r"graphs\.reduce is missing: family cell_stack"):
        Graph.of(Genotype("cell_stack", {}), "reduce")


def test_a_mixture_cannot_be_placed_in_a_final_network() -> None:
    with pytest.raises(ValueError, match="unknown op 'mixed'"):
        Cell(graph((0, 2, "mixed")), 1, 1, concrete)

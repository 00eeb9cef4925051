"""DPC: what its paper and its authors' program say of the dense prediction cell."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from models import published
from models.convolutions import Depthwise
from models.decoder_ops import DENSE_OPS, AtrousSeparable, GridPool
from models.families.dense_prediction import Branches, DensePrediction
from models.genotype import Edge, Genotype
from models.network import build

CELL = published.load("dpc").genotype
EDGES = CELL.graphs["branches"]


def small(**sizes: int) -> Genotype:
    return CELL.resized(**{"encoder": 10, "head": 8, **sizes})


def body_of(genotype: Genotype, classes: int = 3) -> DensePrediction:
    body = build(genotype, classes).body
    assert isinstance(body, DensePrediction)
    return body


def test_the_published_cell_is_that_of_the_release() -> None:
    ops = ["r1x6", "r18x15", "r6x3", "r1x1", "r6x21"]
    expected = zip((0, 1, 2, 1, 1), range(1, 6), ops, strict=True)
    assert tuple(Edge(src, dst, f"sep_conv_3x3_{op}") for src, dst, op in expected) == EDGES


def test_there_are_81_ops() -> None:
    assert len(DENSE_OPS) == 81
    assert sum(op.startswith("sep_conv_3x3_r") for op in DENSE_OPS) == 64
    assert sum(op.startswith("pool_grid_") for op in DENSE_OPS) == 16


@pytest.mark.parametrize(
    ("c_in", "weights", "multiply_adds"), [(2048, 814_080, 6.84e9), (320, 356_160, 3.00e9)]
)
def test_the_branches_cost_what_the_paper_counts(
    c_in: int, weights: int, multiply_adds: float
) -> None:
    """Without batch norms and projection, on the map of 1025x2049 pixels at stride 16."""
    branches = Branches(EDGES, c_in, 256, 1)
    convolutions = [m for m in branches.modules() if isinstance(m, nn.Conv2d)]
    assert sum(m.weight.numel() for m in convolutions) == weights
    assert weights * 65 * 129 == pytest.approx(multiply_adds, rel=6e-3)


@pytest.mark.parametrize(("stride", "factor"), [(16, 1), (8, 2)])
def test_a_point_reaches_rows_1_and_columns_6_of_the_first_branch(stride: int, factor: int) -> None:
    """Rates are (rows, columns), and doubled at output stride 8."""
    body = body_of(small(output_stride=stride))
    depthwise = body.head.branches.ops[0].get_submodule("0")
    x = torch.zeros(1, body.encoder.channels[-1], 31, 31)
    x[..., 15, 15] = 1
    taps = {(int(i) - 15, int(j) - 15) for _, _, i, j in depthwise(x).nonzero()}
    assert taps == {(i * factor, j * 6 * factor) for i in (-1, 0, 1) for j in (-1, 0, 1)}


def test_there_is_a_relu_between_depthwise_and_pointwise() -> None:
    kinds = [type(layer) for layer in AtrousSeparable(4, 8, (1, 1))]
    norm = [nn.BatchNorm2d, nn.ReLU]
    assert kinds == [Depthwise, *norm, nn.Conv2d, *norm]


def test_all_branches_are_joined_and_each_reads_its_source() -> None:
    edges = (Edge(0, 1, "conv_1x1"), Edge(1, 2, "conv_1x1"), Edge(0, 3, "conv_1x1"))
    branches = Branches(edges, 5, 4, 1).eval()
    x = torch.randn(1, 5, 3, 4)
    first = branches.ops[0](x)
    expected = torch.cat([first, branches.ops[1](first), branches.ops[2](x)], 1)
    torch.testing.assert_close(branches(x), expected)


def test_a_tenth_of_what_was_joined_is_dropped_in_training() -> None:
    body = body_of(small())
    seen: list[Tensor] = []
    body.head.branches.register_forward_hook(lambda *call: seen.append(call[2]))
    body.head.project.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    body.train()(torch.randn(8, 3, 128, 128))
    joined, read = seen
    assert joined.shape[1] == read.shape[1] == 5 * 8
    assert float((read[joined != 0] == 0).float().mean()) == pytest.approx(0.1, abs=0.02)
    body.eval()(torch.randn(1, 3, 64, 64))
    assert torch.equal(seen[2], seen[3])


@pytest.mark.parametrize("stride", [8, 16])
def test_logits_have_the_output_stride(stride: int) -> None:
    body = body_of(small(output_stride=stride)).eval()
    x = torch.randn(1, 3, 65, 97)
    maps = body.encoder(x)
    assert [y.shape[2:] for y in maps] == [(64 // stride + 1, 96 // stride + 1)]
    torch.testing.assert_close(body(x), body.decode(maps))
    assert body(x).shape == (1, 3, *maps[0].shape[2:])


def test_a_grid_averages_rows_and_columns_each_in_its_number_of_cells() -> None:
    pool = GridPool(2, 2, (2, 4)).eval()
    seen: list[Tensor] = []
    pool.project.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    x = torch.randn(1, 2, 8, 12)
    assert pool(x).shape == x.shape
    torch.testing.assert_close(seen[0], nn.functional.adaptive_avg_pool2d(x, (2, 4)))


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ((), "graphs.branches is missing"),
        ((Edge(0, 2, "conv_1x1"),), r"graphs.branches\[0\]: it must lead .* to node 1"),
        ((Edge(0, 1, "conv_1x1"), Edge(2, 2, "conv_1x1")), r"graphs.branches\[1\]: it must lead"),
        ((Edge(0, 1, "sep_conv_3x3_r2x1"),), r"graphs.branches\[0\]: unknown op"),
    ],
)
def test_a_wrong_branch_is_named(edges: tuple[Edge, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(Genotype("dense_prediction", {"branches": edges}, CELL.sizes), 2)


def test_another_output_stride_is_refused() -> None:
    with pytest.raises(ValueError, match=r"sizes\.output_stride must be 8 or 16, not 32"):
        build(small(output_stride=32), 2)

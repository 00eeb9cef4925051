"""Fast NAS: the released networks' numbers, the rule of its cells and of its loose ends."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from models import published
from models.anatomy import dissect
from models.decoder_ops import FUSION_OPS
from models.families.fusion_decoder import FusionCell, FusionDecoder, loose_ends
from models.genotype import Edge, Genotype
from models.network import build, parameters
from searcher.auxiliary import Tapped

ARCHS = tuple(f"fast_nas_arch{i}" for i in range(3))


def tiny(name: str) -> Genotype:
    return published.load(name).genotype.resized(encoder=10, head=8)


def body_of(genotype: Genotype, classes: int = 3) -> FusionDecoder:
    body = build(genotype, classes).body
    assert isinstance(body, FusionDecoder)
    return body


@pytest.mark.parametrize(
    ("name", "counted", "rounded", "multiply_adds", "stride"),
    [
        ("fast_nas_arch0", 2_629_909, 2.63, 4.21, 4),
        ("fast_nas_arch1", 2_810_133, 2.81, 2.85, 8),
        ("fast_nas_arch2", 2_853_141, 2.85, 3.37, 8),
    ],
)
def test_the_released_networks_are_counted_as_they_are(
    name: str, counted: int, rounded: float, multiply_adds: float, stride: int
) -> None:
    found = published.load(name)
    anatomy = dissect(found.genotype, found.classes, found.size)
    assert anatomy.parameters.without_auxiliary == counted
    assert round(counted / 1e6, 2) == rounded
    assert anatomy.parameters.encoder == 1_812_800
    assert round(anatomy.macs / 1e9, 2) == multiply_adds
    assert anatomy.output_stride == stride


def test_the_auxiliary_cells_are_counted_apart() -> None:
    """Three cells of the decoder's design, and 36,351 numbers in three classifiers (released)."""
    found = published.load("fast_nas_arch0")
    cell = parameters(body_of(found.genotype, 21).make_cell())
    counted = dissect(found.genotype, 21, found.size).parameters
    assert counted.auxiliary == 3 * cell + 36_351
    assert parameters(build(found.genotype, 21)) == counted.without_auxiliary


@pytest.mark.parametrize(
    ("name", "ends"),
    [(ARCHS[0], [1, 4, 7, 10]), (ARCHS[1], [4, 7, 10]), (ARCHS[2], [1, 4, 7, 10])],
)
def test_loose_ends_are_what_no_later_layer_reads(name: str, ends: list[int]) -> None:
    assert loose_ends(published.load(name).genotype.graphs["cell"]) == ends


def test_a_cell_is_the_sum_of_its_loose_ends() -> None:
    """The list: 0 the input, 1 the first op, then of each layer an op, an op and their sum."""
    edges = (
        Edge(0, 1, "conv_1x1"),
        *(Edge(1, 2, "conv_1x1"), Edge(0, 3, "none")),
        *(Edge(3, 5, "skip_connect"), Edge(4, 6, "conv_3x3")),
        *(Edge(5, 8, "skip_connect"), Edge(2, 9, "skip_connect")),
    )
    cell = FusionCell(edges, 4, 1).eval()
    x = torch.randn(2, 4, 5, 6)
    one = cell.ops[0](x)
    two = cell.ops[1](one)
    four = two + 0 * x
    seven = 0 * x + cell.ops[4](four)
    ten = 0 * x + two
    assert cell.ends == [7, 10]
    torch.testing.assert_close(cell(x), seven + ten)


@pytest.mark.parametrize(("name", "ends"), [(ARCHS[0], 3), (ARCHS[1], 2), (ARCHS[2], 2)])
def test_blocks_that_no_block_reads_are_joined(name: str, ends: int) -> None:
    body = body_of(tiny(name))
    assert len(body.head.fusion.ends) == ends
    assert body.head.project.get_submodule("0").in_channels == 8 * ends


def test_a_block_adds_its_two_ways_at_the_finer_size() -> None:
    body = body_of(tiny("fast_nas_arch0")).eval()
    maps = body.encoder(torch.randn(1, 3, 64, 96))
    blocks = body.head.fusion(maps)
    assert [y.shape[2:] for y in blocks] == [(2, 3), (4, 6), (16, 24)]
    adapted = [adapt(x) for adapt, x in zip(body.head.fusion.adapt, maps, strict=True)]
    first, second = (body.head.fusion.get_submodule(f"blocks.0.ways.{way}") for way in range(2))
    torch.testing.assert_close(blocks[0], first(adapted[3]) + second(adapted[3]))
    assert not torch.equal(first(adapted[3]), second(adapted[3])), "weights of their own"


@pytest.mark.parametrize("repeats", [1, 2])
def test_separable_convolutions_are_repeated(repeats: int) -> None:
    for op, kernel in (("sep_conv_3x3", 9), ("sep_conv_5x5_r6", 25)):
        made = FUSION_OPS[op](8, repeats)
        assert parameters(made) == repeats * (8 * kernel + 64 + 16)


def test_dilations_are_those_of_the_released_table() -> None:
    found = {op: rates(make(4, 1)) for op, make in FUSION_OPS.items()}
    assert len(found) == 11
    assert {op: rate for op, rate in found.items() if rate > 1} == {
        "conv_3x3_r3": 3,
        "conv_3x3_r12": 12,
        "sep_conv_3x3_r3": 3,
        "sep_conv_5x5_r6": 6,
    }


def rates(op: nn.Module) -> int:
    return max((m.dilation[0] for m in op.modules() if isinstance(m, nn.Conv2d)), default=0)


def test_auxiliary_cells_read_the_blocks_in_training_alone() -> None:
    network = build(tiny("fast_nas_arch1"), 3)
    assert isinstance(network.body, FusionDecoder)
    auxiliary = network.body.auxiliary_head(3)
    maps = network.body.encoder(torch.randn(2, 3, 64, 64))
    logits, others = network.body.decode_all(maps, auxiliary)
    assert logits.shape == (2, 3, 8, 8)
    assert [y.shape for y in others] == [(2, 3, n, n) for n in (4, 8, 4)]
    torch.stack([y.sum() for y in others]).sum().backward()
    assert all(p.grad is not None for p in network.body.encoder.parameters())
    assert network.body.head.classify.weight.grad is None


def test_a_training_hears_all_three_of_them() -> None:
    tapped = Tapped(build(tiny("fast_nas_arch0"), 3))
    found = tapped.train()(torch.zeros(2, 3, 64, 64))
    assert [y.shape for y in found] == [(2, 3, 64, 64)] + [(2, 3, 16, 16)] * 3


def test_decoding_twice_from_one_encoder_gives_the_same() -> None:
    """The released program changes a list of sizes while it builds, and the second is wrong."""
    genotype = tiny("fast_nas_arch2")
    one, other = (body_of(genotype) for _ in range(2))
    assert {n: t.shape for n, t in one.state_dict().items()} == {
        n: t.shape for n, t in other.state_dict().items()
    }
    x = torch.randn(1, 3, 33, 47)
    torch.testing.assert_close(one.eval()(x), one.decode(one.encoder(x)))


def with_edge(graph: str, i: int, edge: Edge) -> Genotype:
    genotype = tiny("fast_nas_arch1")
    edges = genotype.graphs[graph]
    return replace(genotype, graphs={**genotype.graphs, graph: (*edges[:i], edge, *edges[i + 1 :])})


@pytest.mark.parametrize(
    ("graph", "i", "edge", "message"),
    [
        ("cell", 0, Edge(1, 1, "conv_1x1"), "node 1, from one of 0 to 0"),
        ("cell", 1, Edge(2, 2, "conv_1x1"), "node 2, from one of 0 to 1"),
        ("cell", 4, Edge(0, 5, "conv_1x1"), "node 6, from one of 0 to 4"),
        ("cell", 6, Edge(0, 9, "max_pool_3x3"), "unknown op 'max_pool_3x3'"),
        ("fusion", 1, Edge(4, 4, "connect"), "it must lead from an earlier node to node 4"),
        ("fusion", 2, Edge(0, 4, "connect"), "it must lead from an earlier node to node 5"),
        ("fusion", 5, Edge(0, 6, "conv_1x1"), "the op must be connect"),
    ],
)
def test_a_wrong_edge_is_named(graph: str, i: int, edge: Edge, message: str) -> None:
    with pytest.raises(ValueError, match=rf"graphs\.{graph}\[{i}\]: .*{message}"):
        build(with_edge(graph, i, edge), 2)


@pytest.mark.parametrize("graph", ["cell", "fusion"])
def test_a_graph_with_an_edge_too_few_is_named(graph: str) -> None:
    genotype = tiny("fast_nas_arch1")
    for edges in ((), genotype.graphs[graph][:-1]):
        with pytest.raises(ValueError, match=rf"graphs\.{graph} must have"):
            build(replace(genotype, graphs={**genotype.graphs, graph: edges}), 2)

"""Auto-DeepLab as released: its numbers exactly, and each rule that its layers follow."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from models import published
from models.cell import Cell, Graph, Slot, concrete
from models.families.hnasnet import Head, HnasNet, Stage, check_chain
from models.families.trellis import level
from models.genotype import Edge, Genotype
from models.network import build, parameters
from searcher.spaces.auto_deeplab import AutoDeepLab

PAPER = published.load("auto_deeplab").genotype
SMALL = {"width": 2, "stem": 3, "head": 8}


def along(*levels: int, sizes: dict[str, int] = SMALL) -> Genotype:
    """The paper's cell on another path."""
    nodes = [0, *(4 * (i + 1) + level for i, level in enumerate(levels))]
    path = tuple(Edge(a, b, "connect") for a, b in pairwise(nodes))
    return Genotype("hnasnet", {"cell": PAPER.graphs["cell"], "path": path}, sizes)


def body(genotype: Genotype) -> HnasNet:
    return HnasNet(genotype, 2, concrete)


@pytest.mark.parametrize(
    ("width", "total", "encoder"),
    [(20, 10_147_427, 7_030_832), (32, 21_622_451, 17_612_096), (48, 44_424_691, 39_222_656)],
)
def test_it_has_exactly_as_many_parameters(width: int, total: int, encoder: int) -> None:
    """S, M and L of the paper, which rounds to 10.15, 21.62 and 44.42 million."""
    with torch.device("meta"):
        network = build(PAPER.resized(width=width), 19)
    assert parameters(network) == total
    assert total - parameters(network.body.get_submodule("head")) == encoder


def by_the_rules(genotype: Genotype, classes: int) -> int:
    """The number of parameters, counted from the description and not from a network."""
    width, stem, head = (genotype.size(name) for name in ("width", "stem", "head"))

    def op(name: str, c: int, stride: int) -> int:
        kind, kernel = name.split("_")[0], int(name[-1]) if name[-1].isdigit() else 1
        pointwise = c * c + 2 * c
        separable = kernel**2 * c + pointwise
        full = kernel**2 * c * c + 2 * c
        skip = pointwise if stride == 2 else 0
        return {"sep": 2 * separable, "atrous": full, "skip": skip}.get(kind, 0)

    total = (27 * stem + 2 * stem) + (9 * stem**2 + 2 * stem) + (18 * stem**2 + 4 * stem)
    before, last, here, fine = stem, 2 * stem, 0, 2 * stem
    nodes = len({edge.dst for edge in genotype.graphs["cell"]})
    levels = [level(edge.dst) for edge in genotype.graphs["path"]]
    for i, k in enumerate(levels):
        c, stride = width * 2**k, 2 if k > here else 1
        total += last * c + 2 * c + (before * c + 2 * c if before != c else 0)
        total += sum(op(e.op, c, stride if e.src < 2 else 1) for e in genotype.graphs["cell"])
        before, last, here = last, nodes * c, k
        fine = last if k == 0 and i < len(levels) - 1 else fine
    low = max(48 * head // 256, 8)
    total += 2 * (last * head + 2 * head) + 3 * (9 * last * head + 2 * head)
    total += 5 * head * head + 2 * head + fine * low + 2 * low
    total += 9 * (head + low) * head + 2 * head + 9 * head * head + 2 * head
    return total + (head + 1) * classes


@settings(max_examples=40, deadline=None)
@given(
    layers=st.integers(1, 6),
    nodes=st.integers(1, 4),
    seed=st.integers(0, 2**32),
    stem=st.sampled_from([2, 4, 5]),
    classes=st.integers(1, 30),
)
def test_it_counts_by_the_rules_whatever_the_sizes(
    layers: int, nodes: int, seed: int, stem: int, classes: int
) -> None:
    sizes = {"width": 4, "stem": stem, "head": 48}
    genotype = AutoDeepLab(layers, nodes, sizes).sample(random.Random(seed))
    assert genotype.family == "hnasnet"
    with torch.device("meta"):
        assert parameters(build(genotype, classes)) == by_the_rules(genotype, classes)


def test_the_cells_have_the_published_sizes() -> None:
    network = body(PAPER.resized(width=2, stem=2, head=8)).eval()
    sizes: list[int] = []
    for cell in network.cells:
        cell.register_forward_hook(lambda _m, _a, y: sizes.append(y.shape[2]))
    with torch.no_grad():
        assert network(torch.rand(1, 3, 321, 321)).shape == (1, 2, 321, 321)
    assert sizes == [81, 81, 81, 41, 21, 41, 21, 21, 11, 11, 21, 41]


@settings(max_examples=25, deadline=None)
@given(
    levels=st.lists(st.integers(-1, 1), min_size=1, max_size=7),
    height=st.integers(32, 100),
    width=st.integers(32, 100),
)
def test_any_size_of_image_goes_through(levels: list[int], height: int, width: int) -> None:
    path = [0]
    for step in levels:
        path.append(min(max(path[-1] + step, 0), 3))
    network = body(along(*path[1:])).eval()
    with torch.no_grad():
        logits = network(torch.rand(1, 3, height, width))
    assert logits.shape == (1, 2, height, width)
    assert logits.isfinite().all()


def stages(network: HnasNet) -> list[Stage]:
    return [stage for stage in network.cells if isinstance(stage, Stage)]


def seen(network: HnasNet, size: tuple[int, int]) -> list[tuple[tuple[Tensor, ...], Tensor]]:
    """What each part of the stem and each cell was given, and what it made of it."""
    calls: list[tuple[tuple[Tensor, ...], Tensor]] = []
    for part in [*network.stem, *network.cells]:
        part.register_forward_hook(lambda _m, args, y: calls.append((args, y)))
    with torch.no_grad():
        network(torch.rand(1, 3, *size))
    return calls


def test_every_cell_reads_the_two_before_it_as_they_were_left() -> None:
    calls = seen(body(along(0, 1, 2, 1, 0)).eval(), (97, 65))
    assert len(calls) == 7
    for i, ((before, last), _) in enumerate(calls[2:]):
        assert before is calls[i][1], "also across a change of size: it is resized in the cell"
        assert last is calls[i + 1][1]


def test_what_the_stem_leaves_has_had_no_relu() -> None:
    network = body(PAPER.resized(width=2, head=8)).eval()
    half, quarter = (y for _, y in seen(network, (65, 65))[:2])
    assert half.shape == (1, 64, 33, 33)
    assert quarter.shape == (1, 128, 17, 17)
    assert half.min() < 0
    assert quarter.min() < 0


def test_going_down_the_ops_on_the_inputs_halve_and_nothing_else() -> None:
    slots: list[Slot] = []

    def place(slot: Slot) -> nn.Module:
        slots.append(slot)
        return concrete(slot)

    HnasNet(along(0, 1, 1, 0), 2, place)
    per_cell = len(PAPER.graphs["cell"])
    for i, slot in enumerate(slots):
        down = i // per_cell == 1 and slot.edge.src < 2
        assert slot.stride == (2 if down else 1)
        assert slot.channels == (2, 4, 4, 2)[i // per_cell]


def made(step: int, ops: tuple[str, str] = ("skip_connect", "skip_connect")) -> Stage:
    """A stage whose cell adds its two inputs."""
    graph = Graph("cell", (Edge(0, 2, ops[0]), Edge(1, 2, ops[1])))
    return Stage(graph, step, 4, (6, 4), concrete).eval()


def inputs_of(module: nn.Module) -> list[Tensor]:
    """Where the first input of each call will be."""
    found: list[Tensor] = []
    module.register_forward_pre_hook(lambda _m, args: found.append(args[0]))
    return found


@pytest.mark.parametrize(("step", "size"), [(-1, (13, 9)), (0, (7, 5)), (1, (7, 5))])
def test_the_inputs_meet_at_the_size_of_the_last_one(step: int, size: tuple[int, int]) -> None:
    """Going up the last one grows to 2 (d - 1) + 1 first; corners stay where they are."""
    stage = made(step)
    at_before, at_last = inputs_of(stage.before), inputs_of(stage.last)
    before, last = torch.randn(1, 6, 14, 11), torch.randn(1, 4, 7, 5)
    stage(before, last)
    torch.testing.assert_close(at_last[0], corners(last, size))
    torch.testing.assert_close(at_before[0], corners(before, size))


def corners(x: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(x, size=size, mode="bilinear", align_corners=True)


def test_the_one_before_is_projected_only_if_its_channels_differ() -> None:
    graph = Graph("cell", (Edge(0, 2, "skip_connect"),))
    assert isinstance(Stage(graph, 0, 4, (4, 4), concrete).before, nn.Identity)
    assert kinds(Stage(graph, 0, 4, (5, 4), concrete).before) == ["ReLU", "Conv2d", "BatchNorm2d"]
    assert kinds(Stage(graph, 0, 4, (4, 4), concrete).last) == ["ReLU", "Conv2d", "BatchNorm2d"]


def kinds(module: nn.Module) -> list[str]:
    """The layers inside, in order."""
    return [type(m).__name__ for m in module.modules() if not list(m.children())]


def test_a_skip_that_goes_down_is_one_1x1_convolution() -> None:
    for step in (-1, 0):
        assert [kinds(op) for op in made(step).cell.ops] == [["Identity"]] * 2
    for op in made(1).cell.ops:
        assert kinds(op) == ["ReLU", "Skipping", "BatchNorm2d"]
        assert [(m.kernel_size, m.stride) for m in op.modules() if isinstance(m, nn.Conv2d)] == [
            ((1, 1), (2, 2))
        ]


@pytest.mark.parametrize("size", [(9, 13), (8, 6)])
def test_an_atrous_convolution_that_goes_down_reads_a_halved_map_at_rate_1(
    size: tuple[int, int],
) -> None:
    op = made(1, ("atrous_conv_3x3", "atrous_conv_5x5")).cell.ops[0]
    x = torch.randn(1, 4, *size)
    weight = next(m.weight for m in op.modules() if isinstance(m, nn.Conv2d))
    half = corners(x.relu(), ((size[0] + 1) // 2, (size[1] + 1) // 2))
    expected = F.conv2d(half, weight, padding=1) / (1 + 1e-5) ** 0.5
    torch.testing.assert_close(op(x), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("levels", "stride", "fine"),
    [
        ((0, 0, 0, 1, 2, 1, 2, 2, 3, 3, 2, 1), 8, 3),
        ((1, 2, 1), 8, 0),
        ((0, 1, 0, 1, 2), 16, 3),
        ((1, 2, 3), 32, 0),
        ((0, 0), 4, 1),
        ((0,), 4, 0),
    ],
)
def test_the_head_reads_the_end_and_the_last_map_of_stride_4_before_it(
    levels: tuple[int, ...], stride: int, fine: int
) -> None:
    network = body(along(*levels)).eval()
    heads: list[tuple[Tensor, ...]] = []
    network.head.register_forward_hook(lambda _m, args, _y: heads.append(args))
    calls = seen(network, (97, 97))
    assert len(calls) == 2 + len(levels)
    assert heads[0][1] is calls[-1][1]
    assert heads[0][0] is calls[1 + fine][1]
    rates = [m.dilation[0] for m in network.head.aspp.modules() if isinstance(m, nn.Conv2d)]
    assert [r for r in rates if r > 1] == [96 // stride, 192 // stride, 288 // stride]


def test_the_aspp_reads_after_a_relu_and_the_decoder_before() -> None:
    head = Head((6, 4), 1, 8, 2).eval()
    at_aspp, at_low, at_refine = (
        inputs_of(part) for part in (head.aspp, head.decoder.low, head.decoder.refine)
    )
    fine, end = torch.randn(1, 6, 9, 9), torch.randn(1, 4, 5, 5)
    head(fine, end)
    assert torch.equal(at_aspp[0], end.relu())
    assert torch.equal(at_low[0], fine)
    torch.testing.assert_close(at_refine[0][:, :8], corners(head.aspp(end.relu()), (9, 9)))


def test_a_tenth_of_the_context_is_dropped_in_training_alone() -> None:
    head = Head((6, 4), 1, 8, 2)
    assert head.dropout.p == 0.1
    at_decoder = inputs_of(head.decoder)
    fine, end = torch.randn(4, 6, 9, 9), torch.randn(4, 4, 9, 9)
    head.aspp.register_forward_hook(lambda _m, _a, y: torch.ones_like(y))
    head(fine, end)
    head.eval()(fine, end)
    assert 0 < (at_decoder[0] == 0).float().mean() < 0.2
    assert torch.equal(at_decoder[1], torch.ones_like(at_decoder[1]))


def test_its_logits_grow_to_the_image_with_their_corners() -> None:
    network = body(along(0, 1)).eval()
    small: list[Tensor] = []
    network.head.register_forward_hook(lambda _m, _a, y: small.append(y))
    with torch.no_grad():
        logits = network(torch.rand(1, 3, 33, 65))
    torch.testing.assert_close(logits[..., ::4, ::4], small[0], rtol=1e-4, atol=1e-5)


def test_its_norms_are_those_of_the_release() -> None:
    norms = [m for m in build(along(0, 1), 2).modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, 3e-4)}


def test_the_cell_joins_all_its_blocks() -> None:
    network = body(PAPER.resized(width=4, head=8))
    levels = [level(edge.dst) for edge in PAPER.graphs["path"]]
    cells = [stage.cell for stage in stages(network)]
    assert all(isinstance(cell, Cell) for cell in cells)
    assert [cell.channels for cell in cells] == [5 * 4 * 2**k for k in levels]


BAD = {
    "two nodes of a layer": (((0, 4), (0, 5)), r"graphs\.path\[1\]: the path goes on from node 4"),
    "a jump": (((0, 4), (4, 10)), r"graphs\.path\[1\]: .* at most one level"),
    "nothing": ((), r"graphs\.path must reach"),
}


@pytest.mark.parametrize(("ends", "message"), BAD.values(), ids=BAD)
def test_a_bad_path_is_refused_by_its_edge(ends: tuple[tuple[int, int], ...], message: str) -> None:
    path = tuple(Edge(src, dst, "connect") for src, dst in ends)
    with pytest.raises(ValueError, match=message):
        check_chain(replace(PAPER, graphs={**PAPER.graphs, "path": path}))


def test_a_trellis_is_no_path() -> None:
    complete = AutoDeepLab(1, 1, SMALL).complete()
    with pytest.raises(ValueError, match=r"graphs\.path\[0\]: the op must be connect"):
        check_chain(complete)

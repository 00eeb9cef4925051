"""Families: the shape of the bodies follows the papers, and wrong sizes are named."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from models.cell import Cell, Slot, concrete
from models.families import FAMILIES
from models.families.cell_stack import CellStack, Stage
from models.families.multi_scale import MultiScale
from models.families.trellis import STEM, EndsHead, PathHead, Trellis, check_path, predecessor
from models.genotype import Edge, Genotype, Size
from models.layers import FactorizedReduce
from models.network import build
from models.places import stands
from searcher.spaces.auto_deeplab import AutoDeepLab
from searcher.spaces.cas import Cas
from searcher.spaces.darts import Darts
from searcher.spaces.gas import Gas

STACK = {"width": 2, "head": 4}
GRID = {"width": 2, "stem": 3, "head": 4}


def stack(layers: int, nodes: int = 2, seed: int = 0) -> Genotype:
    return Darts(layers, nodes, STACK).sample(random.Random(seed))


def grid(layers: int, nodes: int = 2, seed: int = 0) -> Genotype:
    return AutoDeepLab(layers, nodes, GRID).sample(random.Random(seed))


def lattice(layers: int, nodes: int = 2, seed: int = 0) -> Genotype:
    """One path through the network that is searched."""
    return replace(grid(layers, nodes, seed), family="trellis")


def sequence(layers: int, nodes: int = 2, seed: int = 0) -> Genotype:
    return Gas(layers, nodes, STACK).sample(random.Random(seed))


def scaled(layers: int, nodes: int = 2, seed: int = 0) -> Genotype:
    return Cas(layers, nodes, STACK).sample(random.Random(seed))


def path(*levels: int) -> tuple[Edge, ...]:
    """The edges of a path through one level a layer, from the stem."""
    nodes = [0, *(4 * (i + 1) + level for i, level in enumerate(levels))]
    return tuple(Edge(a, b, "connect") for a, b in pairwise(nodes))


def along(*levels: int) -> Genotype:
    one = grid(1, nodes=1)
    return replace(one, graphs={**one.graphs, "path": path(*levels)})


@pytest.mark.parametrize("make", [stack, grid, lattice, sequence, scaled])
@settings(max_examples=10, deadline=None)
@given(
    layers=st.integers(1, 6),
    nodes=st.integers(1, 4),
    seed=st.integers(0, 2**32),
    height=st.integers(32, 75),
    width=st.integers(32, 75),
    classes=st.integers(1, 5),
)
def test_a_sampled_genotype_builds_and_keeps_the_size(
    make: type, layers: int, nodes: int, seed: int, height: int, width: int, classes: int
) -> None:
    genotype = Genotype.from_json(make(layers, nodes, seed).to_json())
    network = build(genotype, classes)
    logits = network(torch.rand(2, 3, height, width) * 255)
    assert logits.shape == (2, classes, height, width)
    assert logits.isfinite().all()
    logits.sum().backward()
    head = [p for name, p in network.named_parameters() if name.startswith("body.head.")]
    assert head
    assert all(p.grad is not None for p in head)


@pytest.mark.parametrize("make", [stack, grid, lattice, sequence, scaled])
@pytest.mark.parametrize("value", [None, 0, -3, 5000, (4,), True])
def test_every_wrong_or_missing_size_is_named(make: type, value: Size | None) -> None:
    genotype = make(3)
    family = FAMILIES[genotype.family]
    for name in family.SIZES:
        sizes = {n: v for n, v in genotype.sizes.items() if n != name}
        if value is not None:
            sizes[name] = value
        with pytest.raises(ValueError, match=rf"sizes\.{name} must be a whole number"):
            build(replace(genotype, sizes=sizes), 2)


@pytest.mark.parametrize("make", [stack, grid, lattice, sequence, scaled])
def test_a_size_or_graph_that_the_family_does_not_read_is_named(make: type) -> None:
    genotype = make(3)
    with pytest.raises(ValueError, match=r"unknown key sizes\.widht; choose from width, "):
        build(genotype.resized(widht=4), 2)
    more = {**genotype.graphs, "extra": (Edge(0, 2, "none"),)}
    with pytest.raises(ValueError, match=r"unknown key graphs\.extra; choose from "):
        build(replace(genotype, graphs=more), 2)


@pytest.mark.parametrize("make", [stack, grid, lattice, scaled])
def test_every_missing_graph_is_named(make: type) -> None:
    genotype = make(3)
    for name in FAMILIES[genotype.family].GRAPHS:
        graphs = {n: edges for n, edges in genotype.graphs.items() if n != name}
        with pytest.raises(ValueError, match=rf"graphs\.{name} "):
            build(replace(genotype, graphs=graphs), 2)


def test_every_cell_of_a_sequence_is_its_own_and_one_that_is_missing_is_named() -> None:
    genotype = sequence(4)
    network = build(genotype, 2)
    cells = [module for module in network.modules() if isinstance(module, Cell)]
    assert [cell.graph.edges for cell in cells] == [genotype.graphs[f"cell{i}"] for i in range(4)]
    assert len({cell.graph.edges for cell in cells}) == 4
    for name in ("cell0", "cell1", "cell2"):
        graphs = {n: edges for n, edges in genotype.graphs.items() if n != name}
        with pytest.raises(ValueError, match=rf"graphs\.{name} is missing"):
            build(replace(genotype, graphs=graphs), 2)
    with pytest.raises(ValueError, match=r"graphs\.cell0 is missing"):
        build(replace(genotype, graphs={}), 2)


def test_cells_of_a_sequence_may_have_other_numbers_of_nodes() -> None:
    many = {f"cell{i}": sequence(1, nodes).graphs["cell0"] for i, nodes in enumerate((1, 3, 2))}
    network = build(replace(sequence(3), graphs=many), 2).eval()
    assert network(torch.zeros(1, 3, 33, 47)).shape == (1, 2, 33, 47)


def test_in_a_reduction_of_a_sequence_every_op_next_to_the_inputs_has_stride_2() -> None:
    slots = [stand.slot for stand in stands(sequence(5, nodes=3), (64, 64))]
    for slot in slots:
        strided = slot.graph in ("cell1", "cell3") and slot.edge.src < 2
        assert slot.stride == (2 if strided else 1)
    assert {slot.stride for slot in slots} == {1, 2}


def test_the_multi_scale_cell_stands_once_on_the_coarsest_map() -> None:
    genotype = scaled(6, nodes=3)
    found = [stand for stand in stands(genotype, (65, 97)) if stand.slot.graph == "context"]
    assert [stand.slot.edge for stand in found] == list(genotype.graphs["context"])
    assert {(stand.height, stand.width) for stand in found} == {(5, 7)}
    assert {(stand.slot.channels, stand.slot.stride) for stand in found} == {(STACK["head"], 1)}


def test_the_multi_scale_cell_reads_the_last_cell_and_the_decoder_reads_it_and_the_finer_ends() -> (
    None
):
    body = MultiScale(scaled(6), 2, concrete).eval()
    seen: dict[nn.Module, tuple[tuple[Any, ...], Any]] = {}
    for part in (body.context, body.head, *body.cells):
        part.register_forward_hook(lambda module, args, y: seen.update({module: (args, y)}))
    with torch.no_grad():
        body(torch.rand(1, 3, 64, 64))
    assert seen[body.context][0][0] is seen[body.cells[5]][1]
    maps = seen[body.head][0][0]
    assert maps[:2] == [seen[body.cells[1]][1], seen[body.cells[3]][1]]
    assert maps[2] is seen[body.context][1]


def test_the_stack_below_a_multi_scale_cell_is_that_of_darts() -> None:
    """The same cells give the same layers, whatever stands on top of them."""
    genotype = scaled(5)
    below = {name: genotype.graphs[name] for name in ("normal", "reduce")}
    plain = CellStack(Genotype("cell_stack", below, genotype.sizes), 2, concrete)
    body = MultiScale(genotype, 2, concrete)
    for part in ("stem", "cells"):
        one, other = getattr(body, part).state_dict(), getattr(plain, part).state_dict()
        assert {n: t.shape for n, t in one.items()} == {n: t.shape for n, t in other.items()}


def test_a_multi_scale_cell_has_one_input() -> None:
    genotype = scaled(3)
    wrong = {**genotype.graphs, "context": (Edge(1, 2, "conv_1x1"), Edge(0, 3, "conv_1x1"))}
    with pytest.raises(ValueError, match=r"graphs\.context\[1\]: the only input is node 1"):
        build(replace(genotype, graphs=wrong), 2)


def test_an_unknown_family_lists_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"unknown family 'tower'; choose from cell_sequence, "):
        build(Genotype("tower", {}), 2)


def test_a_stack_of_width_1_is_refused() -> None:
    with pytest.raises(ValueError, match=r"sizes\.width must be at least 2"):
        build(stack(3).resized(width=1), 2)
    with pytest.raises(ValueError, match=r"sizes\.width must be at least 2"):
        build(scaled(3).resized(width=1), 2)


def body(genotype: Genotype) -> CellStack:
    return CellStack(genotype, 2, concrete)


def stages(genotype: Genotype) -> list[Stage]:
    return [stage for stage in body(genotype).cells if isinstance(stage, Stage)]


@pytest.mark.parametrize("layers", range(1, 15))
def test_reductions_stand_at_one_and_two_thirds(layers: int) -> None:
    """DARTS reduces at floor(L/3) and floor(2L/3), doubling the width there."""
    found, width = [], 2
    for i, stage in enumerate(stages(stack(layers, nodes=1))):
        if stage.cell.graph.name == "reduce":
            found.append(i)
            width *= 2
        assert stage.cell.channels == width
    assert found == sorted({layers // 3, 2 * layers // 3})


def test_the_input_from_before_is_reduced_once_after_every_reduction() -> None:
    made = stages(stack(8))
    wide = [isinstance(stage.before, FactorizedReduce) for stage in made]
    after = [False] + [stage.cell.graph.name == "reduce" for stage in made[:-1]]
    assert wide[1:] == after[1:]
    assert wide[0], "the first cell reads the stem's map of twice the size"


def test_every_cell_reads_the_two_before_it() -> None:
    network = body(stack(5)).eval()
    seen: list[tuple[tuple[Tensor, ...], Tensor]] = []
    for part in [*network.stem, *network.cells]:
        part.register_forward_hook(lambda _m, args, y: seen.append((args, y)))
    network(torch.rand(1, 3, 64, 64))
    assert len(seen) == 7
    for i, ((before, last), _) in enumerate(seen[2:]):
        assert before is seen[i][1]
        assert last is seen[i + 1][1]


def test_maps_halve_at_the_stem_and_at_reductions() -> None:
    network, sizes = body(stack(6)).eval(), []
    for part in [*network.stem, *network.cells]:
        part.register_forward_hook(lambda _m, _a, y: sizes.append(tuple(y.shape[2:])))
    network(torch.rand(1, 3, 65, 97))
    halved = [(33, 49), (17, 25), (9, 13), (5, 7)]
    assert sizes == [halved[i] for i in (0, 1, 1, 1, 2, 2, 3, 3)]


def test_strides_are_two_on_edges_from_the_inputs_of_reductions_alone() -> None:
    slots: list[Slot] = []

    def place(slot: Slot) -> nn.Module:
        slots.append(slot)
        return concrete(slot)

    CellStack(stack(5, nodes=4), 2, place)
    for slot in slots:
        strided = slot.graph == "reduce" and slot.edge.src < 2
        assert slot.stride == (2 if strided else 1)
    assert {slot.stride for slot in slots} == {1, 2}


def test_the_published_path_gives_the_published_sizes() -> None:
    """Auto-DeepLab at 321 x 321."""
    body = Trellis(along(0, 0, 0, 1, 2, 1, 2, 2, 3, 3, 2, 1), 2, concrete).eval()
    sizes: list[int] = []
    for cell in body.cells.values():
        cell.register_forward_hook(lambda _m, _a, y: sizes.append(y.shape[2]))
    with torch.no_grad():
        assert body(torch.rand(1, 3, 321, 321)).shape == (1, 2, 81, 81)
    assert sizes == [81, 81, 81, 41, 21, 41, 21, 21, 11, 11, 21, 41]


def test_channels_double_with_every_level() -> None:
    body = Trellis(along(0, 1, 2, 3), 2, concrete)
    assert [c.channels for c in body.cells.values() if isinstance(c, Cell)] == [2, 4, 8, 16]


def test_a_node_of_the_trellis_is_the_sum_over_its_ways() -> None:
    """Equation 6, with the ways computed one by one instead of as one batch."""
    space = AutoDeepLab(2, 1, GRID)
    cell = (Edge(0, 2, "sep_conv_3x3"), Edge(1, 2, "skip_connect"))
    ways = tuple(replace(edge, op="connect") for edge in space.path)
    body = Trellis(Genotype("trellis", {"cell": cell, "path": ways}, GRID), 2, concrete).eval()
    half = torch.rand(1, 3, 17, 19)
    maps = {STEM: half, 0: body.stem[1](half)}
    for node in (4, 5):
        maps[node] = body.arrive(node, maps)
    size = (maps[5].shape[2], maps[5].shape[3])
    before = body.from_before["9"](maps[0], size)
    expected = torch.zeros(())
    for edge, move in zip(body.path, body.from_last, strict=True):
        if edge.dst == 9:
            expected = expected + body.cells["9"](before, move(maps[edge.src], size))
    assert sum(edge.dst == 9 for edge in body.path) == 2
    torch.testing.assert_close(body.arrive(9, maps), expected)


def test_the_map_of_two_layers_back_is_the_nearest_in_size() -> None:
    nodes = [0, 4, 5, 8, 9, 10]
    assert predecessor(4, nodes) == STEM
    assert predecessor(5, nodes) == STEM
    assert predecessor(10, nodes) == 0
    assert predecessor(14, nodes) == 5
    assert predecessor(13, [0, 4, 6, 9]) == 4, "of two equally near the finer"


def test_heads_stand_at_all_ends_of_a_supernet_and_at_the_end_of_a_path() -> None:
    whole = AutoDeepLab(3, 1, GRID)
    ways = tuple(replace(edge, op="connect") for edge in whole.path)
    cell = (Edge(0, 2, "skip_connect"), Edge(1, 2, "skip_connect"))
    head = Trellis(Genotype("trellis", {"cell": cell, "path": ways}, GRID), 2, concrete).head
    assert isinstance(head, EndsHead)
    assert head.ends == (12, 13, 14, 15)
    head = Trellis(along(0, 1, 1), 2, concrete).head
    assert isinstance(head, PathHead)
    assert (head.end, head.fine) == (13, 4)


def rates(module: nn.Module) -> list[int]:
    """The dilations of the 3x3 convolutions inside."""
    convs = [m for m in module.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
    return [int(conv.dilation[0]) for conv in convs]


@pytest.mark.parametrize(
    ("levels", "expected"),
    [((0, 0), [24, 48, 72]), ((0, 1), [12, 24, 36]), ((1, 2), [6, 12, 18]), ((1, 2, 3), [3, 6, 9])],
)
def test_the_rates_of_the_final_head_are_6_12_18_at_stride_16(
    levels: tuple[int, ...], expected: list[int]
) -> None:
    head = Trellis(along(*levels), 2, concrete).head
    assert isinstance(head, PathHead)
    assert rates(head.aspp) == expected


def test_the_rates_of_the_searching_heads_are_96_by_the_stride() -> None:
    space = AutoDeepLab(3, 1, GRID)
    ways = tuple(replace(edge, op="connect") for edge in space.path)
    cell = (Edge(0, 2, "skip_connect"),)
    head = Trellis(Genotype("trellis", {"cell": cell, "path": ways}, GRID), 2, concrete).head
    assert rates(head) == [24, 12, 6, 3]


def connect(*ends: tuple[int, int]) -> tuple[Edge, ...]:
    return tuple(Edge(src, dst, "connect") for src, dst in ends)


BAD = {
    "no edges": ((), r"graphs\.path must reach"),
    "not from the stem": (connect((4, 8)), r"graphs\.path\[0\]"),
    "from what was not reached": (connect((0, 4), (5, 9)), r"graphs\.path\[1\]"),
    "two layers at once": (connect((0, 4), (4, 12)), r"graphs\.path\[1\]"),
    "within a layer": (connect((0, 4), (4, 5)), r"graphs\.path\[1\]"),
    "backwards": (connect((0, 4), (4, 0)), r"graphs\.path\[1\]"),
    "two levels at once": (connect((0, 6)), r"graphs\.path\[0\]"),
    "over the coarsest": (connect((0, 5), (5, 10), (10, 15), (15, 20)), r"graphs\.path\[3\]"),
    "negative": (connect((0, 4), (-4, 0)), r"graphs\.path\[1\]"),
    "another op": ((Edge(0, 4, "sep_conv_3x3"),), r"graphs\.path\[0\]: the op must be connect"),
}


@pytest.mark.parametrize(("edges", "message"), BAD.values(), ids=BAD)
def test_a_bad_path_is_refused_by_its_edge(edges: tuple[Edge, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_path(Genotype("trellis", {"path": edges}))

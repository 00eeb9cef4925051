"""The fused cell is the cell of mixtures: its output and every gradient, for every op and size."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from models.cell import Cell, Graph, Slot
from models.genotype import Edge
from searcher.fused import SAME, SIDE_BY_SIDE, FusedCell, Outgoing, fusable
from searcher.mixture import Mixing, Mixture
from searcher.relaxations import softmax
from searcher.separable import separable
from searcher.spaces import all_edges, auto_deeplab, darts
from searcher.supernet import search_norm

OPS = {"darts": darts.OPS, "auto_deeplab": auto_deeplab.OPS, "a plain conv": ("none", "conv_3x3")}
SPARSE = (Edge(1, 2, "mixed"), Edge(0, 3, "mixed"), Edge(1, 3, "mixed"), Edge(2, 4, "mixed"))
"""Not every edge there is, and some nodes with one source."""


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    """In float64, where nothing but a mistake makes a difference."""
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def pair(
    ops: tuple[str, ...], edges: tuple[Edge, ...], stride: int
) -> tuple[Cell, FusedCell, Tensor, Mixing]:
    """A cell of mixtures and a fused one with its weights, and the logits of both."""
    graph, mixing = Graph("normal", edges), Mixing({})
    logits = torch.randn(len(edges), len(ops), requires_grad=True)
    plain = Cell(graph, 4, stride, lambda slot: Mixture(slot, ops, mixing))
    slots = [Slot("normal", i, e, 4, stride if e.src < 2 else 1) for i, e in enumerate(edges)]
    fused = FusedCell(graph, slots, ops, mixing)
    for module in [*plain.modules(), *fused.modules()]:
        if isinstance(module, nn.BatchNorm2d):
            search_norm(module)
    for param, parts in weights(plain, fused):
        param.data = torch.cat(list(parts)).detach().clone()
    return plain, fused, logits, mixing


def weights(plain: Cell, fused: FusedCell) -> list[tuple[nn.Parameter, list[Tensor]]]:
    """Every weight of the fused cell, and those of the plain one that stand side by side in it."""
    found = []
    for outgoing in fused.sources:
        assert isinstance(outgoing, Outgoing)
        for column, side_by_side in zip(outgoing.own, outgoing.side_by_side, strict=True):
            ops = [of_column(plain.ops[row], column) for row in outgoing.rows]
            convs = [[m.weight for m in op.modules() if isinstance(m, nn.Conv2d)] for op in ops]
            found += list(
                zip(side_by_side.parameters(), map(list, zip(*convs, strict=True)), strict=True)
            )
    return found


def of_column(mixture: nn.Module, column: int) -> nn.Module:
    assert isinstance(mixture, Mixture)
    return mixture.ops[mixture.columns.index(column)]


def run(
    cell: nn.Module, logits: Tensor, mixing: Mixing, inputs: tuple[Tensor, Tensor], ways: int
) -> tuple[Tensor, list[Tensor]]:
    """The output, and the gradients of the logits and of both inputs."""
    leaves = [logits, *(x.requires_grad_() for x in inputs)]
    mixing.weights = softmax({"normal": logits})
    y = cell(*inputs, ways)
    loss = (y * torch.linspace(-1, 2, y.numel()).view_as(y)).sum() + y.square().sum()
    cell.zero_grad()
    loss.backward(retain_graph=False, inputs=[*leaves, *learned(cell)])
    grads = [x.grad.clone() for x in leaves if x.grad is not None]
    for x in leaves:
        x.grad = None
    return y.detach(), grads


close = partial(torch.testing.assert_close, rtol=1e-9, atol=1e-9)


def learned(cell: nn.Module) -> list[nn.Parameter]:
    return [p for p in cell.parameters() if p.requires_grad]


@pytest.mark.parametrize("ways", [1, 3])
@pytest.mark.parametrize("size", [(8, 6), (7, 5)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("edges", [all_edges(3), SPARSE], ids=["complete", "sparse"])
@pytest.mark.parametrize("ops", OPS.values(), ids=OPS)
def test_output_and_gradients_are_those_of_the_mixtures(
    ops: tuple[str, ...],
    edges: tuple[Edge, ...],
    stride: int,
    size: tuple[int, int],
    ways: int,
) -> None:
    plain, fused, logits, mixing = pair(ops, edges, stride)
    inputs = torch.randn(2, 4, *size), torch.randn(2 * ways, 4, *size)
    expected, wanted = run(plain, logits, mixing, inputs, ways)
    y, grads = run(fused, logits, mixing, inputs, ways)
    close(y, expected)
    assert len(grads) == 3
    close(grads, wanted)
    pairs = weights(plain, fused)
    assert sum(p.numel() for p, _ in pairs) == sum(p.numel() for p in learned(plain))
    assert len(pairs) == len(learned(fused))
    for param, parts in pairs:
        parts_grad = torch.cat([p.grad for p in parts if p.grad is not None])
        close(param.grad, parts_grad)


@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2), (2, 2)])
@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("size", [(9, 8), (3, 2), (1, 1)])
def test_separable_convolutions_have_the_gradients_of_their_formula(
    kernel: int, stride: int, dilation: int, size: tuple[int, int]
) -> None:
    x = torch.randn(2, 6, *size, requires_grad=True)
    depth = torch.randn(6, 1, kernel, kernel, requires_grad=True)
    point = torch.randn(6, 3, 1, 1, requires_grad=True)
    pad = dilation * (kernel // 2)
    inner = nn.functional.conv2d(x, depth, None, stride, pad, dilation, 6)
    expected = nn.functional.conv2d(inner, point, groups=2)
    y = separable(x, depth, point, stride, dilation)
    torch.testing.assert_close(y, expected)
    wanted = torch.autograd.grad(expected.square().sum(), (x, depth, point))
    torch.testing.assert_close(torch.autograd.grad(y.square().sum(), (x, depth, point)), wanted)


def test_in_bf16_it_stays_near() -> None:
    torch.set_default_dtype(torch.float32)
    _, fused, logits, mixing = pair(darts.OPS, all_edges(2), 1)
    mixing.weights = softmax({"normal": logits})
    x = torch.randn(2, 2, 4, 8, 8)
    expected = fused(*x)
    with torch.autocast("cpu", torch.bfloat16):
        y = fused(*x)
    y.float().sum().backward()
    assert ((y - expected).norm() / expected.norm()) < 0.02
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in learned(fused))


def test_it_does_not_change_its_inputs_and_a_copy_is_its_own() -> None:
    _, fused, logits, mixing = pair(darts.OPS, all_edges(2), 1)
    mixing.weights = softmax({"normal": logits})
    x = torch.randn(2, 2, 4, 6, 6)
    kept = x.clone()
    expected = fused(*x)
    twin = copy.deepcopy(fused)
    assert torch.equal(x, kept)
    mixings = [m.mixing for m in twin.modules() if isinstance(m, Outgoing)]
    assert all(m is mixings[0] for m in mixings)
    assert mixings[0] is not mixing
    assert torch.equal(fused(*x), expected)


def test_a_cell_with_an_op_that_is_not_known_is_not_fused() -> None:
    assert fusable(darts.OPS)
    assert fusable(auto_deeplab.OPS)
    assert not fusable((*darts.OPS, "connect"))
    assert {"none", *SAME, *SIDE_BY_SIDE} >= {*darts.OPS, *auto_deeplab.OPS}

"""Layers and ops: a stride of s turns every size into ceil(size / s)."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from models.convolutions import Depthwise, conv
from models.layers import (
    ActConvNorm,
    ConvNormAct,
    DepthwiseSeparable,
    FactorizedReduce,
    SepConv,
    Zero,
    averaging,
    resize,
)
from models.ops import CONNECT, OPS, make_op

LENGTH = st.integers(1, 11)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("name", sorted(set(OPS) - {CONNECT}))
@given(height=LENGTH, width=LENGTH)
def test_an_op_divides_the_size_and_rounds_up(
    name: str, stride: int, height: int, width: int
) -> None:
    op = make_op(name, 4, stride).eval()
    with torch.no_grad():
        y = op(torch.ones(2, 4, height, width))
    assert y.shape == (2, 4, -(-height // stride), -(-width // stride))


@given(
    kernel=st.sampled_from([1, 3, 5, 7]),
    stride=st.integers(1, 4),
    dilation=st.integers(1, 3),
    length=LENGTH,
)
def test_a_convolution_divides_the_size_and_rounds_up(
    kernel: int, stride: int, dilation: int, length: int
) -> None:
    y = conv(1, 1, kernel, stride, dilation)(torch.ones(1, 1, length, length))
    assert y.shape[2:] == (-(-length // stride),) * 2


def test_no_op_writes_into_its_input() -> None:
    """A node is read by several ops: none may change it."""
    for name in OPS:
        x = torch.linspace(-1, 1, 2 * 4 * 6 * 6).view(2, 4, 6, 6)
        before = x.clone()
        make_op(name, 4)(x)
        assert torch.equal(x, before), name


def test_an_unknown_op_lists_the_vocabulary() -> None:
    with pytest.raises(ValueError, match=r"unknown op 'conv_9x9'; .*sep_conv_3x3"):
        make_op("conv_9x9", 4)


@pytest.mark.parametrize("stride", [1, 2])
def test_none_is_zero_even_of_what_is_no_number(stride: int) -> None:
    x = torch.full((1, 2, 5, 4), torch.nan)
    assert torch.equal(Zero(stride)(x), torch.zeros(1, 2, -(-5 // stride), 4 // stride))


@pytest.mark.parametrize("name", ["avg_pool_3x3", "max_pool_3x3"])
@pytest.mark.parametrize("stride", [1, 2])
def test_pools_ignore_the_padding(name: str, stride: int) -> None:
    """A constant map stays constant, of either sign."""
    for value in (-3.0, 3.0):
        y = make_op(name, 2, stride)(torch.full((1, 2, 5, 6), value))
        torch.testing.assert_close(y, torch.full_like(y, value))


def test_average_pool_is_the_mean_of_the_neighbours() -> None:
    x = torch.arange(9.0).view(1, 1, 3, 3)
    y = make_op("avg_pool_3x3", 1)(x)
    assert y[0, 0, 0, 0].item() == pytest.approx((0 + 1 + 3 + 4) / 4)
    assert y[0, 0, 1, 1].item() == pytest.approx(4)


def test_skip_is_the_input_itself_at_stride_1() -> None:
    x = torch.randn(1, 4, 5, 5)
    assert torch.equal(make_op("skip_connect", 4)(x), x)


@given(height=st.integers(1, 40), width=st.integers(1, 40), cells=st.integers(1, 9))
def test_a_pool_of_a_grid_is_the_adaptive_average(height: int, width: int, cells: int) -> None:
    """Also where the size does not divide, and where it is smaller than the grid."""
    x = torch.randn(2, 3, height, width)
    y = averaging(cells, height, x) @ x @ averaging(cells, width, x).T
    torch.testing.assert_close(y, F.adaptive_avg_pool2d(x, cells), atol=1e-5, rtol=1e-5)


def test_a_pool_of_a_grid_spreads_what_is_positive_over_its_cells() -> None:
    """Two cells a side: a quarter of the map is seen by its own corner of the output."""
    op = make_op("pool_grid_2", 1).eval()
    nn.init.ones_(next(iter(op.parameters())))
    x = torch.full((1, 1, 8, 12), -5.0)
    x[0, 0, :4, :6] = 3.0
    y = op(x)[0, 0]
    assert y[0, 0].item() == pytest.approx(3, rel=1e-4)
    assert y[0, -1].item() == y[-1, 0].item() == y[-1, -1].item() == 0
    assert y[0, 5] > y[0, 6] > 0, "bilinear between the centres of the cells"


def plain_reduce(c_in: int = 1, c_out: int = 2) -> FactorizedReduce:
    """One whose convolutions add up the channels and whose norm does nothing."""
    layer = FactorizedReduce(c_in, c_out)
    for part in (layer.even, layer.odd):
        nn.init.ones_(part.weight)
    layer.norm = nn.BatchNorm2d(c_out, eps=0.0)
    return layer.eval()


def test_factorized_reduce_sees_the_even_and_the_odd_pixels() -> None:
    x = torch.arange(16.0).view(1, 1, 4, 4)
    y = plain_reduce()(x)
    assert torch.equal(y[0, 0], x[0, 0, ::2, ::2])
    assert torch.equal(y[0, 1], x[0, 0, 1::2, 1::2])


def test_factorized_reduce_pads_odd_maps_with_zeros() -> None:
    x = torch.arange(1.0, 16.0).view(1, 1, 3, 5)
    y = plain_reduce()(x)
    assert torch.equal(y[0, 0], x[0, 0, ::2, ::2])
    assert torch.equal(y[0, 1], torch.tensor([[7.0, 9.0, 0.0], [0.0, 0.0, 0.0]]))


def test_factorized_reduce_drops_what_is_negative() -> None:
    assert plain_reduce()(-torch.ones(1, 1, 4, 4)).abs().sum() == 0


def test_factorized_reduce_makes_an_odd_number_of_channels() -> None:
    assert FactorizedReduce(3, 5)(torch.randn(2, 3, 7, 4)).shape == (2, 5, 4, 2)


def kinds(module: nn.Module) -> list[str]:
    """The layers inside, in order."""
    return [type(m).__name__ for m in module.modules() if not list(m.children())]


def test_the_order_of_layers_is_that_of_the_papers() -> None:
    assert kinds(ConvNormAct(2, 2)) == ["Conv2d", "BatchNorm2d", "ReLU"]
    assert kinds(ActConvNorm(2, 2)) == ["ReLU", "Conv2d", "BatchNorm2d"]
    once = ["ReLU", "Depthwise", "Conv2d", "BatchNorm2d"]
    assert kinds(DepthwiseSeparable(2, 3, 1)) == once
    assert kinds(SepConv(2, 3, 2)) == once * 2


def test_a_separable_convolution_strides_once_and_has_no_bias() -> None:
    convs = [m for m in SepConv(4, 5, 2).modules() if isinstance(m, nn.Conv2d)]
    assert [c.stride for c in convs] == [(2, 2), (1, 1), (1, 1), (1, 1)]
    assert [c.groups for c in convs] == [4, 1, 4, 1]
    assert all(c.bias is None for c in convs)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("sep_conv_3x3", 2 * (9 * 8 + 8 * 8 + 2 * 8)),
        ("sep_conv_5x5", 2 * (25 * 8 + 8 * 8 + 2 * 8)),
        ("dil_conv_3x3", 9 * 8 + 8 * 8 + 2 * 8),
        ("dil_conv_3x3_r8", 9 * 8 + 8 * 8 + 2 * 8),
        ("dil_conv_5x5", 25 * 8 + 8 * 8 + 2 * 8),
        ("atrous_conv_3x3", 9 * 8 * 8 + 2 * 8),
        ("atrous_conv_5x5", 25 * 8 * 8 + 2 * 8),
        ("conv_1x1", 8 * 8 + 2 * 8),
        ("pool_grid_4", 8 * 8 + 2 * 8),
        ("max_pool_3x3", 0),
        ("none", 0),
    ],
)
def test_an_op_has_as_many_parameters_as_its_definition(name: str, count: int) -> None:
    assert sum(p.numel() for p in make_op(name, 8).parameters()) == count


@pytest.mark.parametrize("name", [n for n in OPS if n.startswith(("dil", "atrous"))])
def test_a_dilated_convolution_reaches_twice_as_far_or_its_rate(name: str) -> None:
    """The outermost input that moves the middle of the output."""
    kernel, _, rate = name.split("_", 2)[2].partition("_r")
    taps = int(kernel[-1])
    reach = int(rate or 2) * (taps // 2)
    op = make_op(name, 1).eval()
    for p in op.parameters():
        nn.init.constant_(p, 1.0)
    x = torch.ones(1, 1, 41, 41, requires_grad=True)
    op(x)[0, 0, 20, 20].backward()
    assert x.grad is not None
    rows = x.grad[0, 0].abs().sum(1).nonzero().flatten().tolist()
    assert (rows[0], rows[-1]) == (20 - reach, 20 + reach)
    assert len(rows) == taps


def test_resize_leaves_a_map_of_the_right_size_alone() -> None:
    x = torch.randn(1, 2, 3, 4)
    assert resize(x, (3, 4)) is x
    assert resize(x, (6, 9)).shape == (1, 2, 6, 9)


LEARNING = sorted(name for name in OPS if list(make_op(name, 4).parameters()))


UNEVEN = [(name, 72) for name in LEARNING if "atrous" in name]
"""Channels that no vector divides."""


@pytest.mark.parametrize(("name", "channels"), [*((name, 16) for name in LEARNING), *UNEVEN])
def test_an_op_learns_alike_in_bfloat16(name: str, channels: int) -> None:
    """Freed memory holds large numbers: torch's own dilated gradients read them.

    A factor before a depthwise convolution that is normalised after it changes nothing: its
    gradient is no more than rounding.
    """
    torch.manual_seed(0)
    op = make_op(name, channels).train()
    x = torch.randn(8, channels, 24, 32).contiguous(memory_format=torch.channels_last)
    ahead = torch.randn_like(op(x))
    gradients = []
    for half in (False, True):
        op.zero_grad()
        litter = [torch.full((1 << 18,), 1e4) for _ in range(3)]
        del litter
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            y = op(x)
        (y.float() * ahead).sum().backward()
        gradients.append([p.grad.clone() for p in op.parameters() if p.grad is not None])
    least = 0.05 * max(float(exact.norm()) for exact in gradients[0])
    for exact, found in zip(*gradients, strict=True):
        assert (found - exact).norm() < 0.1 * max(float(exact.norm()), least)


@pytest.mark.parametrize("size", [(8, 12), (7, 11)])
def test_picking_pixels_first_is_a_strided_convolution(size: tuple[int, int]) -> None:
    picking = conv(2, 4, stride=2).double()
    x = torch.randn(2, 2, *size, dtype=torch.float64)
    learned, used = picking.train()(x), picking.eval()(x)
    assert torch.allclose(learned, used)
    assert torch.equal(used, nn.functional.conv2d(x, picking.weight, stride=2))


@given(
    rate=st.integers(2, 6),
    stride=st.integers(1, 2),
    height=st.integers(4, 21),
    width=st.integers(4, 21),
)
def test_a_dilated_depthwise_is_the_same_in_training(
    rate: int, stride: int, height: int, width: int
) -> None:
    """There it may go phase by phase: output and both gradients are those of torch's own."""
    torch.manual_seed(rate)
    layer = Depthwise(3, 5, stride, rate).double()
    x = torch.randn(2, 3, height, width, dtype=torch.double, requires_grad=True)
    one, other = layer(x), nn.Conv2d.forward(layer, x)
    weights = torch.randn_like(one)
    torch.testing.assert_close(one, other)
    found, expected = (gradients(y, weights, x, layer) for y in (one, other))
    torch.testing.assert_close(found, expected)


def gradients(
    y: torch.Tensor, weights: torch.Tensor, x: torch.Tensor, layer: nn.Conv2d
) -> tuple[torch.Tensor, ...]:
    return torch.autograd.grad((y * weights).sum(), (x, layer.weight))

"""Quantisation-aware training: what is rounded is what an INT8 file rounds, and leaves no trace."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from export.formats.int8 import int8_from_onnx
from export.formats.onnx import onnx_from_network
from export.taps import tapped
from models.genotype import Edge, Genotype
from models.network import Network, build
from searcher.rounding import Rounding, rounded_map, rounded_weight
from searcher.spaces.darts import Darts

SIZE = (48, 64)
PYRAMID = Genotype(
    "pyramid",
    {"stages": (Edge(16, 17, "conv_3x3"), Edge(32, 33, "sep_conv_3x3"))},
    {"widths": (8, 16, 24), "head": 16},
)
CELLS = Darts(3, 2, {"width": 4, "head": 8}).sample(random.Random(3))
PIXELS = np.random.default_rng(0).integers(0, 256, (4, 6, 8, 3), np.uint8)
PIXELS = PIXELS.repeat(8, 1).repeat(8, 2)
"""uint8 [4, 48, 64, 3]: blocks."""


def settled(genotype: Genotype) -> Network:
    """A network in evaluation mode whose norms have seen the pictures."""
    torch.manual_seed(0)
    network = build(genotype, 5)
    for _ in range(30):
        network(planes(PIXELS))
    return network.eval()


def planes(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Tensor:
    return torch.from_numpy(pixels).float().permute(0, 3, 1, 2)


@pytest.fixture(params=[PYRAMID, CELLS], ids=["pyramid", "cells"])
def network(request: pytest.FixtureRequest) -> Network:
    return settled(request.param)


@torch.no_grad()
def test_it_rounds_as_much_as_the_file_does(network: Network, tmp_path: Path) -> None:
    plain = onnx_from_network(network, SIZE, tmp_path / "a.onnx")
    file = tapped(int8_from_onnx(plain, tmp_path / "b.onnx", PIXELS), "onnxruntime", "int8")
    shipped = torch.from_numpy(np.concatenate([file(image[None]) for image in PIXELS]))
    before = network(planes(PIXELS))
    with Rounding(network).on():
        rounded = network(planes(PIXELS))
    assert 0.5 < (rounded - before).norm() / (shipped - before).norm() < 2
    assert torch.equal(network(planes(PIXELS)), before), "nothing of it is left"


def test_a_step_moves_weights_and_leaves_norms_alone(network: Network) -> None:
    rounding = Rounding(network.train())
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with rounding.on():
        network(planes(PIXELS)).square().mean().backward()
    torch.optim.SGD(network.parameters(), 1e-3).step()
    after = network.state_dict()
    moved = {name for name, tensor in before.items() if not torch.equal(after[name], tensor)}
    assert moved == {name for name, _ in network.named_parameters()}, "no running statistics"
    steps = {len((w / w.abs().amax((1, 2, 3), True)).unique()) for w in weights_of(network)}
    assert max(steps) > 129, "what learns is not rounded"


def weights_of(network: Network) -> list[Tensor]:
    return [p.detach() for p in network.parameters() if p.ndim == 4]


def test_rounded_numbers_are_those_of_their_scales() -> None:
    weight = torch.tensor([[64.0, 0.4, -31.6, 1.0], [0.64, 0.004, 0.0, -0.1]]).view(2, 4, 1, 1)
    found = rounded_weight(weight).view(2, 4)
    wanted = torch.tensor([[64.0, 0.0, -32.0, 1.0], [0.64, 0.0, 0.0, -0.1]])
    torch.testing.assert_close(found, wanted)
    x = torch.tensor([0.0, 0.4, 0.6, 254.8, 255.0]).view(1, 1, 1, 5)
    assert rounded_map(x).flatten().tolist() == [0.0, 0.0, 1.0, 255.0, 255.0]
    x = torch.tensor([-10.0, -0.4, 245.0]).view(1, 1, 1, 3)
    assert rounded_map(x).flatten().tolist() == [-10.0, 0.0, 245.0]
    assert not rounded_map(torch.zeros(1, 1, 2, 2)).any()

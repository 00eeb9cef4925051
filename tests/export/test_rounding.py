"""Quantisation-aware training: what is rounded is what an INT8 file rounds, and leaves no trace."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from export.formats.int8 import int8_from_onnx
from export.formats.onnx import onnx_from_network
from export.runtimes import Pixels
from export.taps import tapped
from models.network import Network
from searcher.rounding import Rounding, rounded_map, rounded_weight


@torch.no_grad()
def test_it_rounds_as_much_as_the_file_does(
    network: Network, blocks: Pixels, planes: Tensor, tmp_path: Path
) -> None:
    plain = onnx_from_network(network, (48, 64), tmp_path / "a.onnx")
    file = tapped(int8_from_onnx(plain, tmp_path / "b.onnx", blocks), "onnxruntime", "int8")
    shipped = torch.from_numpy(np.concatenate([file(image[None]) for image in blocks]))
    before = network(planes)
    with Rounding(network).on():
        rounded = network(planes)
    assert 0.5 < (rounded - before).norm() / (shipped - before).norm() < 2
    assert torch.equal(network(planes), before), "nothing of it is left"


def test_a_step_moves_weights_and_leaves_norms_alone(network: Network, planes: Tensor) -> None:
    rounding = Rounding(network.train())
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with rounding.on():
        network(planes).square().mean().backward()
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

"""INT8: a file says on any processor what its numbers say."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor

from export.formats.int8 import int8_from_onnx
from export.formats.onnx import onnx_from_network
from export.taps import with_logits
from models.genotype import Edge, Genotype
from models.network import Network, build
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
def test_a_file_says_on_any_processor_what_its_numbers_say(
    network: Network, tmp_path: Path
) -> None:
    """The kernels of this processor against the same nodes, each computed in float32."""
    plain = onnx_from_network(network, SIZE, tmp_path / "a.onnx")
    file = int8_from_onnx(plain, tmp_path / "b.onnx", PIXELS)
    fast, exact = (logits(file, level) for level in ("ORT_ENABLE_ALL", "ORT_DISABLE_ALL"))
    before = network(planes(PIXELS))
    assert (fast - exact).norm() < 0.3 * (exact - before).norm()
    stored = (numpy_helper.to_array(x) for x in onnx.load(file).graph.initializer)
    wide = [x for x in stored if x.dtype == np.int8 and x.ndim == 4]
    assert wide
    assert max(np.abs(x.astype(int)).max() for x in wide) <= 64


def logits(file: Path, level: str) -> Tensor:
    """[4, 5, 48, 64]: what ONNX Runtime makes of the pictures at a level of its optimisations."""
    options = ort.SessionOptions()
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    session = ort.InferenceSession(with_logits(file), options, ["CPUExecutionProvider"])
    found = [session.run(["logits"], {"pixels": image[None]})[0] for image in PIXELS]
    return torch.from_numpy(np.concatenate(found))

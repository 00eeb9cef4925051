"""The decoders that are found by trying, exported: rectangular dilation and grids among them."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from export.formats.onnx import onnx_from_network
from export.verify import verify
from models.genotype import Genotype
from models.network import Network, build
from searcher.spaces.dpc import OPS, Dpc
from searcher.spaces.fast_nas import FastNas

SIZE = (64, 96)
DPC = Dpc({"encoder": 10, "head": 8, "output_stride": 8})
FAST_NAS = FastNas({"encoder": 10, "head": 8, "repeats": 2})
RECTANGLES = ("sep_conv_3x3_r1x6", "pool_grid_4x2", "sep_conv_3x3_r21x3", "pool_grid_1x8")


def rectangular() -> Genotype:
    """Five branches in a row, four of which treat rows and columns differently."""
    ops = [OPS.index(op) for op in (*RECTANGLES, "conv_1x1")]
    return DPC.from_actions([action for i, op in enumerate(ops) for action in (i, op)])


@pytest.mark.parametrize(
    "genotype",
    [rectangular(), FAST_NAS.sample(random.Random(0))],
    ids=["rectangular", "fusion"],
)
def test_a_decoder_passes_the_gate(genotype: Genotype, tmp_path: Path) -> None:
    network = settled(build(genotype, 4))
    path = onnx_from_network(network, SIZE, tmp_path / "model.onnx")
    rng = np.random.default_rng(0)
    pairs = [(rng.integers(0, 256, (*SIZE, 3), np.uint8), np.zeros(SIZE, np.uint8)) for _ in "ab"]
    agreement = verify(network, path, pairs).usual
    assert agreement.holds
    assert agreement.logit_scale > 0.1, "logits that say something"


def settled(network: Network) -> Network:
    """With batch norms that have seen images: maps of fresh ones fade to nothing."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        network.train()(torch.rand(4, 3, *SIZE) * 255)
    return network.eval()

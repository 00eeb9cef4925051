"""A tiny network with the surface of the real ones, exported once for all tests of export."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from export.assembly import Contents, Description, make_bundle
from export.bundle import Bundle
from export.formats.onnx import onnx_from_network
from export.runtimes import Pixels
from export.verify import Pair
from models.genotype import Edge, Genotype
from models.network import Network, build
from searcher.spaces.darts import Darts

SIZE = (32, 48)
CLASSES = ("road", "house", "tree", "sky")
torch.set_num_threads(1)


@dataclass(frozen=True)
class Fingerprint:
    fingerprint: str = "0123456789ab"


class Tiny(nn.Module):
    """Eight channels, half resolution, four classes."""

    def __init__(self) -> None:
        super().__init__()
        self.genotype, self.num_classes = Fingerprint(), len(CLASSES)
        self.stem = nn.Conv2d(3, 8, 3, 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.classify = nn.Conv2d(8, len(CLASSES), 1)

    def forward(self, pixels: Tensor) -> Tensor:
        """[B, 3, H, W] in 0..255 -> [B, 4, H, W]."""
        x = self.norm(self.stem((pixels - 120) / 60)).relu()
        return F.interpolate(self.classify(x), size=pixels.shape[2:], mode="bilinear")


def tiny_network(seed: int) -> Network:
    torch.manual_seed(seed)
    return cast(Network, Tiny())


def save(network: Network, folder: Path) -> None:
    (folder / "network.json").write_text("{}")
    save_file(network.state_dict(), folder / "weights.safetensors")


def load(folder: Path) -> Network:
    network = tiny_network(0)
    try:
        network.load_state_dict(load_file(folder / "weights.safetensors"))
    except SafetensorError as error:
        raise ValueError(f"{folder / 'weights.safetensors'}: {error}") from None
    return network.eval()


@pytest.fixture(scope="session")
def make_network() -> Callable[[int], Network]:
    """A network by its seed."""
    return tiny_network


@pytest.fixture(scope="session")
def pixels() -> Pixels:
    """uint8 [3, 32, 48, 3]"""
    return np.random.default_rng(1).integers(0, 256, (3, *SIZE, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def pairs(pixels: Pixels) -> list[Pair]:
    """The pixels and what network 0 says of them, a corner of which nobody labelled."""
    network = tiny_network(0).eval()
    with torch.inference_mode():
        logits = network(torch.from_numpy(pixels).float().permute(0, 3, 1, 2))
    labels = logits.argmax(1).to(torch.uint8).numpy()
    labels[:, :4, :4] = 255
    return list(zip(pixels, labels, strict=True))


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ONNX file of network 0.  Do not change it."""
    return onnx_from_network(tiny_network(0), SIZE, tmp_path_factory.mktemp("onnx") / "a.onnx")


@pytest.fixture(scope="session")
def other_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ONNX file of network 1.  Do not change it."""
    return onnx_from_network(tiny_network(1), SIZE, tmp_path_factory.mktemp("onnx") / "b.onnx")


@pytest.fixture(scope="session")
def description() -> Description:
    palette = ((128, 64, 128), (70, 70, 70), (107, 142, 35), (70, 130, 180))
    return Description("toy", "darts", "noise", CLASSES, palette, {"miou": 0.5}, {"seed": "0"})


@pytest.fixture
def tiny_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the files of the real networks hold the tiny one."""
    monkeypatch.setattr("export.assembly.save", save)
    monkeypatch.setattr("export.runtimes.torch.load", load)


@pytest.fixture(scope="session")
def bundle_path(
    tmp_path_factory: pytest.TempPathFactory, description: Description, pairs: list[Pair]
) -> Path:
    """A bundle of network 0.  Do not change it."""
    path = tmp_path_factory.mktemp("run") / "bundle"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("export.assembly.save", save)
        make_bundle(tiny_network(0), path, description, Contents(pairs))
    return path


PYRAMID = Genotype(
    "pyramid",
    {"stages": (Edge(16, 17, "conv_3x3"), Edge(32, 33, "sep_conv_3x3"))},
    {"widths": (8, 16, 24), "head": 16},
)
CELLS = Darts(3, 2, {"width": 4, "head": 8}).sample(random.Random(3))


@pytest.fixture(scope="session")
def blocks() -> Pixels:
    """uint8 [4, 48, 64, 3]: blocks of one colour each."""
    colours = np.random.default_rng(0).integers(0, 256, (4, 6, 8, 3), np.uint8)
    return colours.repeat(8, 1).repeat(8, 2)


@pytest.fixture(scope="session")
def planes(blocks: Pixels) -> Tensor:
    """The same as a network reads them, [4, 3, 48, 64]."""
    return torch.from_numpy(blocks).float().permute(0, 3, 1, 2)


@pytest.fixture(scope="session")
def learned_bundle(tmp_path_factory: pytest.TempPathFactory, description: Description) -> Bundle:
    """A bundle of a real network that knows light from dark and red from not, in quarters."""
    colours = np.random.default_rng(2).choice([20, 70, 190, 240], (6, 2, 2, 3)).astype(np.uint8)
    pixels = colours.repeat(48, 1).repeat(64, 2)
    labels = (2 * (pixels[..., 0] > 127) + (pixels[..., 1] > 127)).astype(np.uint8)
    torch.manual_seed(0)
    network = build(PYRAMID, len(CLASSES))
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(40):
        logits = network(torch.from_numpy(pixels).float().permute(0, 3, 1, 2))
        F.cross_entropy(logits, torch.from_numpy(labels).long()).backward()
        optimizer.step()
        optimizer.zero_grad()
    proof = list(zip(pixels, labels, strict=True))
    path = tmp_path_factory.mktemp("learned") / "bundle"
    return make_bundle(network.eval(), path, description, Contents(proof))


@pytest.fixture(params=[PYRAMID, CELLS], ids=["pyramid", "cells"])
def network(request: pytest.FixtureRequest, planes: Tensor) -> Network:
    """A network in evaluation mode whose norms have seen the blocks."""
    torch.manual_seed(0)
    made = build(request.param, 5)
    for _ in range(30):
        made(planes)
    return made.eval()

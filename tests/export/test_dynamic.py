"""Lengths that are left open, and logits: every runtime reads what it says and nothing else."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from export.assembly import Contents, Description, make_bundle
from export.bundle import Bundle
from export.formats.catalogue import FORMATS
from export.formats.onnx import onnx_from_network
from export.formats.onnx import opened as traced_open
from export.runtimes import Pixels, load
from export.verify import LIMITS, Limits, Pair, logits_of, verify
from images import resize
from lengths import Dynamic
from models.genotype import Edge, Genotype
from models.network import Network, PixelsToLabels, build
from searcher.spaces.auto_deeplab import AutoDeepLab

SIZE = (32, 48)
OPEN = Dynamic(batch=(1, 3), height=(32, 64), width=(40, 97))
HERE = ("onnx", "onnx-fp16", "onnx-int8", "openvino", "openvino-int8")
OUTSIDE = [(4, 32, 48, 3), (1, 65, 48, 3), (1, 32, 39, 3), (1, 32, 98, 3)]


@pytest.fixture(scope="module")
def opened(
    tmp_path_factory: pytest.TempPathFactory,
    make_network: Callable[[int], Network],
    description: Description,
    pairs: list[Pair],
    pixels: Pixels,
) -> Bundle:
    """A bundle of every format that any processor runs, with logits and every length open."""
    contents = Contents(pairs, HERE, list(pixels), output="logits", dynamic=OPEN, examples=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("export.assembly.save", lambda network, folder: save_nothing(folder))
        loose = {"int8": Limits(labels=0.5, miou=0.2), "fp16": Limits(labels=0.9, miou=0.02)}
        patch.setattr("export.verify.LIMITS", {**LIMITS, **loose})
        path = tmp_path_factory.mktemp("run") / "bundle"
        return make_bundle(make_network(0), path, description, contents)


def save_nothing(folder: Path) -> None:
    (folder / "weights.safetensors").write_bytes(b"")


def test_the_manifest_says_what_is_open_and_what_comes_out(opened: Bundle) -> None:
    manifest = Bundle.load(opened.path).manifest
    assert (manifest.dynamic, manifest.output, manifest.size) == (OPEN, "logits", SIZE)
    for artifact in manifest.artifacts:
        assert ("at 5 other batches and sizes" in artifact.gate) is (artifact.runtime != "torch")


def test_the_onnx_file_names_its_lengths(opened: Bundle) -> None:
    file = onnx.load(opened.path / "model.onnx")
    read, written = (
        [side.dim_param or side.dim_value for side in value.type.tensor_type.shape.dim]
        for value in (file.graph.input[0], file.graph.output[0])
    )
    assert read == ["batch", "height", "width", 3]
    assert written == ["batch", 4, "height", "width"]
    assert file.graph.output[0].name == "logits"
    assert file.graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    facts = {entry.key: entry.value for entry in file.metadata_props}
    assert facts["schema"] == "segnas.logits/1"
    assert facts["dynamic"] == "batch=1:3,height=32:64,width=40:97"


@pytest.mark.parametrize("name", HERE)
def test_a_runtime_reads_every_length_in_its_span_and_no_other(
    name: str, opened: Bundle, make_network: Callable[[int], Network], pixels: Pixels
) -> None:
    network, kind = make_network(0).eval(), FORMATS[name]
    with load(kind.runtime, opened, precision=kind.precision, threads=1) as engine:
        for batch, height, width, _ in [*OPEN.proofs(SIZE), (2, 33, 41, 3)]:
            images = np.stack([resize(pixels[i], (height, width)) for i in range(batch)])
            labels = engine(images)
            assert labels.dtype == np.uint8
            assert labels.shape == (batch, height, width)
            right = logits_of(network, images).argmax(1)
            assert np.mean(labels == right) > (0.9 if kind.precision == "int8" else 0.98)
        for shape in OUTSIDE:
            with pytest.raises(
                ValueError, match=r"shape \(1 to 3, 32 to 64, 40 to 97, 3\), got uint8"
            ):
                engine(np.zeros(shape, np.uint8))


def test_twice_gives_the_same_bytes(
    opened: Bundle, make_network: Callable[[int], Network], tmp_path: Path
) -> None:
    again = onnx_from_network(make_network(0), SIZE, tmp_path / "a.onnx", "logits", OPEN)
    assert again.read_bytes() == (opened.path / "model.onnx").read_bytes()


GRID = AutoDeepLab(1, 1, {"width": 4, "stem": 4, "head": 4}).sample(random.Random(1))
POOLS = Genotype(
    "multi_scale",
    {
        "normal": (Edge(0, 2, "skip_connect"), Edge(1, 2, "avg_pool_3x3")),
        "reduce": (Edge(0, 2, "skip_connect"), Edge(1, 2, "max_pool_3x3")),
        "context": (Edge(1, 2, "pool_grid_4"), Edge(1, 3, "atrous_conv_3x3_r6")),
    },
    {"layers": 2, "width": 4, "head": 4},
)


@pytest.mark.parametrize(
    "genotype", [replace(GRID, family="hnasnet"), POOLS], ids=lambda genotype: genotype.family
)
def test_a_family_passes_the_gate_at_every_size(genotype: Genotype, tmp_path: Path) -> None:
    """Those whose maps depend on the size most: with aligned corners, and with a grid of pools.

    ``benchmarks/reliability/export_agreement.py --dynamic`` does it with all of them.
    """
    torch.manual_seed(0)
    network = build(genotype, 4).eval()
    dynamic = Dynamic(batch=(1, 2), height=(40, 97), width=(32, 128))
    path = onnx_from_network(network, (64, 96), tmp_path / "model.onnx", dynamic=dynamic)
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    pairs = [(image, np.zeros((64, 96), np.uint8))]
    found = verify(network, path, pairs, shapes=dynamic.proofs((64, 96)))
    assert len(found.elsewhere) == 5


def test_a_trellis_of_one_path_leaves_its_batch_open() -> None:
    """The ways into a node go through its cell as one batch, and come apart again."""
    network = build(replace(GRID, family="trellis"), 4).eval()
    pixels = torch.zeros(2, 33, 49, 3, dtype=torch.uint8)
    program = traced_open(PixelsToLabels(network), pixels, OPEN)
    larger = torch.zeros(3, 64, 40, 3, dtype=torch.uint8)
    assert program.module()(larger).shape == (3, 64, 40)


@dataclass(frozen=True)
class Name:
    fingerprint: str = "0123456789ab"


class Sized(nn.Module):
    """A network that does another thing at some heights, or works at one alone."""

    def __init__(self, fixed: bool) -> None:
        super().__init__()
        self.genotype, self.num_classes, self.fixed = Name(), 2, fixed
        self.classify = nn.Conv2d(3, 2, 1)

    def forward(self, pixels: Tensor) -> Tensor:
        """[B, 3, H, W] -> [B, 2, H, W]."""
        y = self.classify(pixels)
        if self.fixed:
            return y + torch.zeros(49, 1, device=y.device)
        return -y if pixels.shape[2] % 7 == 1 else y


def sized(fixed: bool) -> Network:
    torch.manual_seed(0)
    return cast(Network, Sized(fixed).eval())


def test_a_network_that_depends_on_the_size_is_refused_by_the_gate(
    pairs: list[Pair], tmp_path: Path
) -> None:
    """ONNX does at 64 what the network does at the height of the trace: the gate goes there."""
    dynamic = Dynamic(height=(32, 64))
    path = onnx_from_network(sized(False), SIZE, tmp_path / "model.onnx", dynamic=dynamic)
    assert verify(sized(False), path, pairs).elsewhere == {}
    with pytest.raises(ValueError, match=r"disagrees with its network.*other batches and"):
        verify(sized(False), path, pairs, shapes=dynamic.proofs(SIZE))
    assert not path.exists()


def test_a_network_of_one_size_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"export\.dynamic: this network cannot leave height open"):
        onnx_from_network(
            sized(True), SIZE, tmp_path / "model.onnx", dynamic=Dynamic(height=(32, 64))
        )
    assert list(tmp_path.iterdir()) == []


def test_logits_at_one_size_are_those_of_the_network(
    make_network: Callable[[int], Network], pairs: Sequence[Pair], tmp_path: Path
) -> None:
    from export.runtimes.onnxruntime import opened as session_of

    path = onnx_from_network(make_network(0), SIZE, tmp_path / "model.onnx", "logits")
    image = pairs[0][0][None]
    (found,) = session_of(path, 1).run(None, {"pixels": image})
    assert (found.dtype, found.shape) == (np.float32, (1, 4, *SIZE))
    np.testing.assert_allclose(found, logits_of(make_network(0).eval(), image), atol=1e-5)

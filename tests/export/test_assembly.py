"""A bundle is made whole or not at all, and only of files that passed the gate."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import images
from export.assembly import EXAMPLES, Contents, Description, building, make_bundle, save_examples
from export.bundle import Bundle
from export.runtimes import Pixels
from export.runtimes.onnxruntime import Engine
from export.verify import Pair
from models.network import Network

KILLED = """
import os, signal, sys
from pathlib import Path
from export.assembly import building
with building(Path(sys.argv[1])) as folder:
    (folder / "model.onnx").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_bundle_holds_all_that_runs(bundle_path: Path, pixels: Pixels) -> None:
    bundle = Bundle.load(bundle_path)
    manifest = bundle.manifest
    assert [(a.runtime, a.file, a.precision) for a in manifest.artifacts] == [
        ("onnxruntime", "model.onnx", "fp32"),
        ("torch", "weights.safetensors", "fp32"),
    ]
    assert {"network.json", "weights.safetensors", "examples/02.png"} < set(manifest.files)
    assert manifest.size == (32, 48)
    assert manifest.genotype == "0123456789ab"
    assert {"seed", "torch", "onnx", "onnxruntime", "segnas", "gate"} < set(manifest.provenance)
    with Image.open(bundle_path / "examples/00.png") as image:
        np.testing.assert_array_equal(np.asarray(image), pixels[0])
    assert [p.name for p in bundle_path.parent.iterdir()] == ["bundle"]


def test_a_network_that_fails_the_gate_leaves_nothing(
    make_network: Callable[[int], Network],
    description: Description,
    pairs: list[Pair],
    other_model: Path,
    tmp_path: Path,
    tiny_weights: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def wrong(network: Network, size: tuple[int, int], path: Path, *_: object) -> Path:
        return Path(shutil.copy(other_model, path))

    monkeypatch.setattr("export.formats.catalogue.onnx_from_network", wrong)
    with pytest.raises(ValueError, match="disagrees with its network"):
        make_bundle(make_network(0), tmp_path / "bundle", description, Contents(pairs))
    assert list(tmp_path.iterdir()) == []


def test_class_names_must_fit_the_network(
    make_network: Callable[[int], Network],
    description: Description,
    pairs: list[Pair],
    tmp_path: Path,
) -> None:
    short = replace(description, classes=("road",))
    with pytest.raises(ValueError, match="1 class names for a network of 4 classes"):
        make_bundle(make_network(0), tmp_path / "bundle", short, Contents(pairs))


def test_what_a_killed_process_left_is_swept(tmp_path: Path) -> None:
    path = tmp_path / "bundle"
    done = subprocess.run(
        [sys.executable, "-c", KILLED, path],
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == -signal.SIGKILL
    assert not path.exists()
    assert len(list(tmp_path.iterdir())) == 1
    with building(path) as folder:
        assert [*tmp_path.iterdir()] == [folder]
    assert list(tmp_path.iterdir()) == []


def test_a_second_writer_is_refused_and_the_first_undisturbed(tmp_path: Path) -> None:
    with building(tmp_path / "bundle") as folder:
        with (
            pytest.raises(ValueError, match="another process is writing"),
            building(tmp_path / "bundle"),
        ):
            pass
        assert folder.is_dir()


def test_a_bundle_keeps_a_few_examples_and_what_they_show(
    model: Path, pixels: Pixels, tmp_path: Path
) -> None:
    shutil.copy(model, tmp_path / "model.onnx")
    save_examples(pixels, tmp_path)
    with Engine(model, "fp32", 1) as engine:
        for index, image in enumerate(pixels):
            shown = images.read_labels(tmp_path / f"expected/{index:02}.png")
            np.testing.assert_array_equal(shown, engine(image[None])[0])
    assert len(list((tmp_path / "examples").iterdir())) == len(pixels) < EXAMPLES

"""An inspection finds what does not say what it said, and names its file."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import images
from export.bundle import MANIFEST, SEAL, Bundle
from export.inspection import inspect
from export.runtimes import load

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def copy(bundle_path: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle_path, tmp_path / "bundle"))


def replaced(path: Path, name: str, content: bytes) -> Path:
    """The bundle with another file, sealed anew, as somebody would who knows the format."""
    fields = Bundle.load(path).manifest.model_dump(exclude={"files"})
    (path / name).write_bytes(content)
    for kept in (MANIFEST, SEAL):
        (path / kept).unlink()
    return Bundle.seal(path, fields, path.with_name("again")).path


@pytest.mark.usefixtures("tiny_weights")
def test_a_sound_bundle_agrees_with_itself(bundle_path: Path) -> None:
    bundle, checks = inspect(bundle_path)
    assert {check.file for check in checks} == {"model.onnx", "weights.safetensors"}
    assert [check.state for check in checks] == ["agrees", "agrees"], checks
    assert "3 examples" in checks[0].detail
    assert "expected/00.png" in bundle.manifest.files


def test_the_command_says_so(bundle_path: Path, segnas_once: Run, tiny_weights: None) -> None:
    code, out, err = segnas_once("bundle", "verify", bundle_path)
    assert code == 0, err
    assert "9 files have the hashes of their manifest" in out
    assert out.count("agrees") == 2


@pytest.mark.parametrize("name", ["model.onnx", "expected/01.png", "network.json"])
def test_a_changed_file_is_named_before_anything_runs(
    name: str, copy: Path, segnas_once: Run
) -> None:
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    code, out, err = segnas_once("bundle", "verify", copy)
    assert code == 2
    assert f"{copy / name} does not match its hash" in err.splitlines()[-1]
    assert "agrees" not in out


def test_another_network_under_right_hashes_is_named(
    copy: Path, other_model: Path, segnas_once: Run, tiny_weights: None
) -> None:
    again = replaced(copy, "model.onnx", other_model.read_bytes())
    code, out, err = segnas_once("bundle", "verify", again)
    assert code == 2
    sentence = err.splitlines()[-1]
    assert f"{again / 'model.onnx'} in onnxruntime (fp32) differs: same label on" in sentence
    assert "differs" in out
    assert "agrees" in out, "the weights are those of the labels that are expected"


def test_a_file_that_no_runtime_reads_is_named(
    copy: Path, segnas_once: Run, tiny_weights: None
) -> None:
    again = replaced(copy, "model.onnx", b"no model")
    code, _, err = segnas_once("bundle", "verify", again)
    assert code == 2
    assert "model.onnx in onnxruntime (fp32) fails: " in err.splitlines()[-1]


def test_without_expected_labels_the_first_that_runs_stands_for_them(tiny_bundle: Bundle) -> None:
    _, (check,) = inspect(tiny_bundle.path)
    assert (check.state, check.file) == ("agrees", "model.onnx")


def test_what_is_expected_is_what_the_engine_said(bundle_path: Path) -> None:
    bundle = Bundle.load(bundle_path)
    with load("onnxruntime", bundle, threads=1) as engine:
        for file in sorted((bundle_path / "examples").iterdir()):
            labels = engine(images.read(file)[None])[0]
            shown = images.read_labels(bundle_path / "expected" / file.name)
            np.testing.assert_array_equal(labels, shown)

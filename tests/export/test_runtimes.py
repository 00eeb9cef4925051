"""The runtimes: the same labels, exact inputs, and facts about what is active."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from export.bundle import Bundle
from export.machine import cpu_model, usable_cores
from export.runtimes import Pixels, check_pixels, load, missing
from export.runtimes.onnxruntime import Engine, active

BOTH = ("onnxruntime", "torch")


@pytest.mark.usefixtures("tiny_weights")
def test_both_runtimes_give_the_same_labels(bundle_path: Path, pixels: Pixels) -> None:
    bundle = Bundle.load(bundle_path)
    labels = []
    for name in BOTH:
        with load(name, bundle, precision="fp32", threads=1) as engine:
            labels.append(engine(pixels[:1]))
            assert engine.facts.runtime == name
            assert engine.facts.device == cpu_model()
            assert engine.facts.threads == 1
    assert labels[0].dtype == labels[1].dtype == np.uint8
    assert len(np.unique(labels[0])) > 1
    np.testing.assert_array_equal(labels[0], labels[1])


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.usefixtures("tiny_weights")
def test_zero_threads_means_the_usable_cores(name: str, bundle_path: Path) -> None:
    with load(name, Bundle.load(bundle_path)) as engine:
        assert engine.facts.threads == usable_cores() >= 1


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.usefixtures("tiny_weights")
def test_a_read_only_or_mirrored_image_is_an_image(
    name: str, bundle_path: Path, pixels: Pixels
) -> None:
    mirrored = pixels[:1, :, ::-1]
    frozen = mirrored.copy()
    frozen.flags.writeable = False
    with load(name, Bundle.load(bundle_path), threads=1) as engine:
        np.testing.assert_array_equal(engine(mirrored), engine(frozen))


@pytest.mark.usefixtures("tiny_weights")
def test_torch_gives_its_threads_back(bundle_path: Path) -> None:
    before = torch.get_num_threads()
    with load("torch", Bundle.load(bundle_path), threads=before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize(
    "wrong",
    [np.zeros((1, 32, 48, 3), np.float32), np.zeros((1, 3, 32, 48), np.uint8)],
    ids=["float", "channels first"],
)
@pytest.mark.usefixtures("tiny_weights")
def test_wrong_input_says_what_is_expected(name: str, bundle_path: Path, wrong: Pixels) -> None:
    with (
        load(name, Bundle.load(bundle_path), threads=1) as engine,
        pytest.raises(ValueError, match=r"expected pixels of type uint8 and shape \("),
    ):
        engine(wrong)


@pytest.mark.parametrize("shape", [(2, 32, 48, 3), (1, 32, 40, 3), (32, 48, 3)])
def test_a_file_reads_the_batch_and_size_it_was_made_for(
    model: Path, shape: tuple[int, ...]
) -> None:
    with (
        Engine(model, "fp32", 1) as engine,
        pytest.raises(ValueError, match=r"shape \(1, 32, 48, 3\), got uint8"),
    ):
        engine(np.zeros(shape, np.uint8))


def test_none_stands_for_any_length() -> None:
    check_pixels(np.zeros((5, 4, 4, 3), np.uint8), (None, 4, 4, 3))
    with pytest.raises(ValueError, match=r"\(any, 4, 4, 3\)"):
        check_pixels(np.zeros((5, 4, 5, 3), np.uint8), (None, 4, 4, 3))


@pytest.mark.parametrize("content", [b"", b"no model", b"\x08\x0a" * 100])
def test_a_broken_onnx_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"model\.onnx is not a model"):
        Engine(path, "fp32", 1)


def test_a_cut_onnx_file_is_named(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(model.read_bytes()[:-200])
    with pytest.raises(ValueError, match=r"model\.onnx is not a model"):
        Engine(path, "fp32", 1)


def test_an_operation_whose_name_is_no_text_is_refused_in_silence(
    model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(model.read_bytes().replace(b"ArgMax", b"\xffrgMax"))
    with pytest.raises(ValueError, match=r"model\.onnx is not a model"):
        Engine(path, "fp32", 1)
    assert capfd.readouterr() == ("", "")


def test_another_provider_than_the_one_asked_for_is_an_error() -> None:
    session = SimpleNamespace(get_providers=lambda: ["CPUExecutionProvider"])
    assert active(session, "CPUExecutionProvider") == "CPUExecutionProvider"
    with pytest.raises(ValueError, match="not on CUDAExecutionProvider as asked"):
        active(session, "CUDAExecutionProvider")


def test_torch_refuses_a_precision_it_does_not_run(bundle_path: Path) -> None:
    from export.runtimes.torch import Engine as TorchEngine

    with pytest.raises(ValueError, match="fp32 only"):
        TorchEngine(bundle_path / "weights.safetensors", "fp16", 1)


def test_an_absent_runtime_names_its_extra(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("export.runtimes.find_spec", lambda _: None)
    assert missing("torch") == "torch is not installed: pip install 'segnas[train]'"
    with pytest.raises(ValueError, match=r"pip install 'segnas\[cpu\]'"):
        load("onnxruntime", Bundle.load(bundle_path))


def test_an_unknown_runtime_lists_the_known_ones(bundle_path: Path) -> None:
    with pytest.raises(ValueError, match="choose from onnxruntime, torch, openvino"):
        load("tflite", Bundle.load(bundle_path))


def test_a_runtime_that_does_not_load_says_why(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(name: str) -> None:
        raise ImportError(f"libgomp.so.1 is needed by {name}")

    monkeypatch.setattr("export.runtimes.import_module", broken)
    with pytest.raises(ValueError, match=r"does not load: libgomp\.so\.1"):
        load("onnxruntime", Bundle.load(bundle_path))

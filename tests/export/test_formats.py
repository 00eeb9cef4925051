"""Formats made from ONNX: what each computes in, the same bytes twice, what the gate lets in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto

from export.assembly import Contents, Description, make_bundle
from export.bundle import Bundle
from export.formats.catalogue import FORMATS, Materials, calibrated, listing, wanted, write
from export.formats.half import half_from_onnx
from export.formats.int8 import PROFILES, int8_from_onnx
from export.formats.openvino import openvino_from_onnx
from export.machine import cpuinfo
from export.runtimes import Pixels, load
from export.runtimes.onnxruntime import Engine
from export.verify import Agreement, Pair, count, mean_iou, verify
from models.network import Network
from searcher.metrics import Confusion

BF16 = {"avx512_bf16", "amx_bf16"}
HERE = ("onnx", "onnx-fp16", "onnx-int8", "openvino", "openvino-int8")


@pytest.fixture(scope="session")
def full_bundle(
    tmp_path_factory: pytest.TempPathFactory,
    make_network: Callable[[int], Network],
    description: Description,
    pairs: list[Pair],
    pixels: Pixels,
) -> Bundle:
    """A bundle of every format that any processor runs.  Do not change it."""
    path = tmp_path_factory.mktemp("run") / "bundle"
    contents = Contents(pairs, HERE, list(pixels), examples=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("export.assembly.save", lambda network, folder: save_nothing(folder))
        patch.setattr("export.verify.LIMITS", loose())
        return make_bundle(make_network(0), path, description, contents)


def save_nothing(folder: Path) -> None:
    (folder / "weights.safetensors").write_bytes(b"")


def loose() -> dict[str, object]:
    """Limits under which a network of eight channels, on noise, may be INT8."""
    from export.verify import LIMITS, Limits

    return {**LIMITS, "int8": Limits(miou=0.2), "fp16": Limits(miou=0.02)}


def test_every_artifact_says_how_it_compares(full_bundle: Bundle) -> None:
    found = {(a.runtime, a.precision): a for a in Bundle.load(full_bundle.path).manifest.artifacts}
    assert set(found) == {(FORMATS[n].runtime, FORMATS[n].precision) for n in HERE} | {
        ("torch", "fp32")
    }
    for (runtime, _), artifact in found.items():
        assert ("3 images, mIoU" in artifact.gate) is (runtime != "torch")
    assert "openvino.bin" in full_bundle.manifest.files
    assert len([n for n in full_bundle.manifest.files if n.startswith("examples/")]) == 2


@pytest.mark.parametrize("name", HERE)
def test_facts_say_what_computes(name: str, full_bundle: Bundle, pairs: list[Pair]) -> None:
    kind = FORMATS[name]
    with load(kind.runtime, full_bundle, precision=kind.precision, threads=1) as engine:
        assert (engine.facts.runtime, engine.facts.precision) == (kind.runtime, kind.precision)
        assert engine.facts.computes == ("fp32" if name == "onnx-fp16" else kind.precision)
        assert engine.facts.threads == 1
        pixels, labels = pairs[0]
        found = engine(pixels[None])
        assert found.dtype == np.uint8
        seen = labels < 4
        assert np.mean(found[0][seen] == labels[seen]) > 0.95
        with pytest.raises(ValueError, match="expected pixels"):
            engine(pixels[None, :16])


def test_bf16_passes_the_gate_or_is_refused_in_words(
    make_network: Callable[[int], Network], pairs: list[Pair], model: Path, tmp_path: Path
) -> None:
    """Some processors compute in it and others do not; none is said to that does not."""
    file = openvino_from_onnx(model, tmp_path / "openvino.xml")
    if not BF16.intersection(cpuinfo().get("flags", "").split()):
        with pytest.raises(ValueError, match=r"computes openvino\.xml in fp32 .*, not in bf16"):
            verify(make_network(0), file, pairs, "openvino", "bf16")
        return
    found = verify(make_network(0), file, pairs, "openvino", "bf16").usual
    assert 1e-6 < found.max_logit_difference < 0.1, "coarser than fp32, and not wrong"
    assert found.label_agreement > 0.95
    with pytest.raises(ValueError, match=r"openvino\.xml in openvino \(bf16\) disagrees"):
        verify(make_network(1), file, pairs, "openvino", "bf16")


def test_fp16_is_cast_to_fp32_by_a_processor(model: Path, tmp_path: Path) -> None:
    """What :data:`export.runtimes.onnxruntime.COMPUTES` says, read from the graph that runs."""
    half, runs = half_from_onnx(model, tmp_path / "half.onnx"), tmp_path / "runs.onnx"
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(runs)
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    ort.InferenceSession(str(half), options, ["CPUExecutionProvider"])
    stored = {tensor.data_type for tensor in onnx.load(half).graph.initializer}
    assert TensorProto.FLOAT16 in stored
    assert TensorProto.FLOAT not in stored
    graph = onnx.load(runs).graph
    kinds = {tensor.name: tensor.data_type for tensor in graph.initializer}
    weights = {kinds.get(node.input[1]) for node in graph.node if node.op_type == "Conv"}
    assert TensorProto.FLOAT16 not in weights


@pytest.mark.parametrize("name", ["onnx-fp16", "onnx-int8", "onnx-int8-tensorrt"])
def test_twice_gives_the_same_bytes_and_keeps_the_promise(
    name: str, make_network: Callable[[int], Network], pixels: Pixels, tmp_path: Path
) -> None:
    materials = Materials(make_network(0), (32, 48), list(pixels))
    for folder in ("a", "b"):
        write((name,), materials, tmp_path / folder)
    first, second = ([*(tmp_path / folder).iterdir()] for folder in ("a", "b"))
    assert [p.name for p in first] == [FORMATS[name].file], "what it is made of is not kept"
    assert first[0].read_bytes() == second[0].read_bytes()
    file = onnx.load(first[0])
    assert {o.domain for o in file.opset_import} == {""}
    facts = {entry.key: entry.value for entry in file.metadata_props}
    assert facts["size"] == "32x48"
    (read,), (says,) = file.graph.input, file.graph.output
    assert (read.type.tensor_type.elem_type, says.type.tensor_type.elem_type) == (2, 2)


def test_the_profiles_of_int8_differ_as_their_engines_need(
    model: Path, pixels: Pixels, tmp_path: Path
) -> None:
    kinds = {}
    for profile in PROFILES:
        file = int8_from_onnx(model, tmp_path / f"{profile}.onnx", pixels, profile)
        graph = onnx.load(file).graph
        kinds[profile] = Counter(tensor.data_type for tensor in graph.initializer)
        operations = Counter(node.op_type for node in graph.node)
        assert operations["QuantizeLinear"] > 0
    assert kinds["cpu"][TensorProto.UINT8] > 0
    assert kinds["tensorrt"][TensorProto.UINT8] == 0
    assert kinds["tensorrt"][TensorProto.INT32] == 0, "TensorRT refuses a bias of int32"


def test_int8_needs_images(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"set export\.calibration"):
        int8_from_onnx(model, tmp_path / "int8.onnx", [])
    assert list(tmp_path.iterdir()) == []


def test_a_scale_that_fits_other_images_is_refused(
    make_network: Callable[[int], Network], pairs: list[Pair], model: Path, tmp_path: Path
) -> None:
    """Calibrated on black, every other value is clipped: the gate sees what that costs."""
    black = np.zeros((2, 32, 48, 3), np.uint8)
    file = int8_from_onnx(model, tmp_path / "int8.onnx", black)
    with pytest.raises(ValueError, match=r"\(int8\) disagrees.*allowed: 1 points of mIoU"):
        verify(make_network(0), file, pairs, "onnxruntime", "int8")
    assert not file.exists()


def test_a_format_over_the_limit_leaves_no_bundle(
    make_network: Callable[[int], Network],
    description: Description,
    pairs: list[Pair],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("export.assembly.save", lambda network, folder: save_nothing(folder))
    black = [np.zeros((32, 48, 3), np.uint8)]
    contents = Contents(pairs, ("openvino-int8",), black)
    with pytest.raises(ValueError, match=r"openvino \(int8\) disagrees"):
        make_bundle(make_network(0), tmp_path / "bundle", description, contents)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("precision", "lost", "holds"),
    [
        ("fp16", 0.001, True),
        ("fp16", -0.0011, False),
        ("int8", 0.01, True),
        ("int8", 0.011, False),
        ("int8", float("nan"), False),
        ("fp32", float("nan"), True),
    ],
)
def test_coarse_arithmetic_is_limited_by_its_cost(precision: str, lost: float, holds: bool) -> None:
    assert Agreement(1, 0.0, 1.0, 1.0, lost, precision).holds is holds
    assert not Agreement(1, float("inf"), 1.0, 1.0, 0.0, precision).holds


def test_the_gate_scores_as_scoring_does() -> None:
    rng = np.random.default_rng(0)
    counts, confusion = np.zeros((5, 5), np.int64), Confusion(5)
    import torch

    for _ in range(3):
        found, truth = rng.integers(0, 4, (2, 9, 11), dtype=np.uint8)
        truth[0] = 255
        count(counts, found, truth)
        confusion.add(torch.from_numpy(found), torch.from_numpy(truth))
    assert mean_iou(counts) == pytest.approx(confusion.miou, abs=1e-12)
    assert np.isnan(mean_iou(np.zeros((5, 5), np.int64)))


def test_what_is_wanted() -> None:
    assert wanted(()) == ("onnx",)
    assert wanted(("openvino", "onnx", "openvino")) == ("onnx", "openvino")
    with pytest.raises(ValueError, match="unknown format 'tflite'; choose from onnx, "):
        wanted(("tflite",))
    assert calibrated(("onnx", "openvino-int8"))
    assert not calibrated(("onnx", "openvino-bf16"))
    assert [row[0] for row in listing()] == list(FORMATS)


def test_what_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.formats.catalogue.find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"cannot be written here.*pip install 'segnas\[cpu\]'"):
        wanted(("onnx",))


def test_a_runtime_refuses_what_it_does_not_compute(model: Path) -> None:
    from export.runtimes.openvino import Engine as OpenVino

    with pytest.raises(ValueError, match="not bf16"):
        Engine(model, "bf16", 1)
    with pytest.raises(ValueError, match="not fp64"):
        OpenVino(model, "fp64", 1)


def test_a_broken_file_of_openvino_is_named(tmp_path: Path) -> None:
    from export.runtimes.openvino import Engine as OpenVino

    (tmp_path / "model.xml").write_text("<net>")
    with pytest.raises(ValueError, match=r"model\.xml is not a model that OpenVINO"):
        OpenVino(tmp_path / "model.xml", "fp32", 1)


def test_a_graph_that_ends_openvino_is_a_sentence(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from export.formats.openvino import openvino_from_onnx

    monkeypatch.setattr("export.formats.openvino.COMPILE", "import os; os.abort()")
    with pytest.raises(ValueError, match=r"cannot compile a\.onnx: it ends with code -6"):
        openvino_from_onnx(model, tmp_path / "model.xml")
    assert list(tmp_path.iterdir()) == []

"""Any ONNX file with a picture as its input is measured, and what is not one is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from export.benchmark import counted as counting
from export.benchmark.counted import counted
from export.benchmark.foreign import Input, filled, noise, of_file
from export.benchmark.isolated import Unfit
from export.benchmark.opening import opened
from export.benchmark.rounds import Settings, benchmark
from export.benchmark.subjects import AS_STORED, Job, Source

Make = Callable[..., Path]
QUICK = Settings(iterations=3, warmup=0, streams=1)
FLOAT, BYTES = np.dtype(np.float32), np.dtype(np.uint8)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """An ONNX file of one convolution, 3 channels to 5, on an input of any shape and type."""

    def made(
        shape: tuple[int | str, ...] = ("n", 3, "h", "w"),
        kind: int = TensorProto.FLOAT,
        more: int = 0,
    ) -> Path:
        weight = np.random.default_rng(0).standard_normal((5, 3, 3, 3)).astype(np.float32)
        nodes = [helper.make_node("Cast", ["x"], ["real"], to=TensorProto.FLOAT)]
        last = shape[-1] == 3
        nodes += [helper.make_node("Transpose", ["real"], ["planes"], perm=[0, 3, 1, 2])] * last
        fed = "planes" if last else "real"
        nodes.append(helper.make_node("Conv", [fed, "w"], ["y"], pads=[1, 1, 1, 1]))
        inputs = [
            helper.make_tensor_value_info(name, kind, shape) for name in ("x", "z")[: 1 + more]
        ]
        output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * 4)
        weights = [numpy_helper.from_array(weight, "w")]
        graph = helper.make_graph(nodes, "one", inputs, [output], weights)
        opsets = [helper.make_opsetid("", 18)]
        path = tmp_path / "third.onnx"
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
        return path

    return made


LENGTH = st.none() | st.integers(32, 64)


@given(batch=LENGTH, height=LENGTH, width=LENGTH, last=st.booleans(), asked=st.integers(1, 8))
def test_open_lengths_are_filled_and_others_kept(
    batch: int | None, height: int | None, width: int | None, last: bool, asked: int
) -> None:
    sides = (height, width, 3) if last else (3, height, width)
    one = Input("x", (batch, *sides), FLOAT)
    size = (height or 48, width or 40)
    if batch not in (None, asked):
        with pytest.raises(Unfit, match=f"reads batches of {batch}, not of {asked}"):
            filled(one, asked, size)
        return
    wanted = (asked, *size, 3) if last else (asked, 3, *size)
    assert filled(one, asked, size) == wanted
    if height and width:
        assert filled(one, asked, None) == wanted
        with pytest.raises(ValueError, match=f"reads {height}x{width} only: leave out --size"):
            filled(one, asked, (65, 65))
    else:
        with pytest.raises(ValueError, match="add --size"):
            filled(one, asked, None)


def test_noise_is_of_its_type_and_always_the_same() -> None:
    for kind in (FLOAT, BYTES, np.dtype(np.float16)):
        fed = noise((2, 3, 32, 32), kind)
        assert fed.dtype == kind
        np.testing.assert_array_equal(fed, noise((2, 3, 32, 32), kind))
        assert len(np.unique(fed)) > 200


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        (("n", 3, "h", "w"), TensorProto.FLOAT),
        ((2, 3, 32, 40), TensorProto.FLOAT16),
        (("n", "h", "w", 3), TensorProto.UINT8),
    ],
    ids=["open", "fixed, fp16", "bytes, channels last"],
)
def test_both_runtimes_read_it_and_agree(
    make: Make, runtime: str, shape: tuple[int | str, ...], kind: int
) -> None:
    pytest.importorskip(runtime)
    path = make(shape, kind)
    job = Job(str(path), runtime, "fp32", 1, 2, (32, 40))
    with opened(job) as subject, opened(replace(job, runtime="onnxruntime")) as other:
        assert (subject.batch, subject.size, subject.facts.runtime) == (2, (32, 40), runtime)
        (answer,), (wanted,) = subject.call(), other.call()
        assert answer.shape == (2, 5, 32, 40)
        np.testing.assert_allclose(answer, wanted, atol=0.01 * wanted.std())


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"more": 1}, r"third\.onnx does not read one picture, but tensor\(float\)"),
        ({"kind": TensorProto.INT64}, r"but tensor\(int64\)"),
        ({"shape": (1, 3)}, r"does not read one picture"),
    ],
    ids=["two inputs", "integers", "no picture"],
)
def test_what_is_no_picture_is_refused(make: Make, wrong: dict[str, int], said: str) -> None:
    path = make(**wrong)
    if "shape" in wrong:  # a convolution of a vector is no model, so only its cast is left
        model = onnx.load(path)
        del model.graph.node[1:]
        model.graph.output[0].name = "real"
        model.graph.output[0].type.tensor_type.ClearField("shape")
        onnx.save(model, path)
    with (
        pytest.raises(ValueError, match=said),
        of_file(path, Job(str(path), "onnxruntime", AS_STORED, 1)),
    ):
        pass


def test_what_is_not_installed_does_not_fit(make: Make) -> None:
    job = Job(str(make()), "abacus", AS_STORED, 1)
    with pytest.raises(Unfit, match="unknown runtime 'abacus'"), of_file(Path(job.source), job):
        pass


def test_it_is_measured_and_nothing_says_that_it_is_right(make: Make) -> None:
    path = make()
    settings = replace(QUICK, size=(32, 48), batches=(1, 2))
    found = benchmark(Source(path, "onnxruntime"), settings)
    assert [(report.batch, report.size) for report in found.reports] == [
        (1, (32, 48)),
        (2, (32, 48)),
    ]
    for report in found.reports:
        assert (report.precision, report.miou, report.end_to_end) == ("fp32", None, None)
        assert (report.macs, report.parameters) == (32 * 48 * 5 * 27, 135)
    assert "labels not checked: not a bundle" in found.skipped["labels"]
    with pytest.raises(ValueError, match="add --size 360x480"):
        benchmark(Source(path, "onnxruntime"), QUICK)


def test_engines_that_disagree_get_no_numbers(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    path = make((1, 3, 32, 32))
    model = onnx.load(path)
    noisy = helper.make_node("RandomNormalLike", ["x"], ["real"], seed=1.0)
    model.graph.node[0].CopyFrom(noisy)
    onnx.save(model, path)
    with pytest.raises(ValueError, match=r"was not measured: it answers .*% of the pixels"):
        benchmark(Source(path), QUICK)


def test_costs_are_those_of_the_graph(make: Make) -> None:
    found = counted(make((4, 3, 32, 32)), None)
    assert found is not None
    assert (found.macs, found.parameters, found.precision) == (32 * 32 * 5 * 27, 135, "fp32")


@pytest.mark.parametrize(
    ("op", "shapes", "attributes", "macs"),
    [
        ("MatMul", ((6, 7), (7, 8)), {}, 6 * 7 * 8),
        ("Gemm", ((7, 6), (7, 8)), {"transA": 1}, 6 * 7 * 8),
        ("Conv", ((1, 4, 9, 9), (8, 2, 3, 3)), {"group": 2}, 8 * 7 * 7 * 2 * 9),
        ("ConvTranspose", ((1, 4, 9, 9), (4, 2, 3, 3)), {"strides": [2, 2]}, 4 * 81 * 2 * 9),
        ("Relu", ((1, 4, 9, 9), (1,)), {}, 0),
    ],
)
def test_multiply_adds(
    op: str, shapes: tuple[tuple[int, ...], ...], attributes: dict[str, Any], macs: int
) -> None:
    names = ["a"] if op == "Relu" else ["a", "b"]
    node = helper.make_node(op, names, ["y"], **attributes)
    given = helper.make_tensor_value_info("a", TensorProto.FLOAT, shapes[0])
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    weights = [numpy_helper.from_array(np.ones(shapes[1], np.float32), "b")]
    graph = helper.make_graph([node], "one", [given], [output], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    assert counting.multiplied(onnx.shape_inference.infer_shapes(model)) == macs


def test_without_onnx_or_a_graph_nothing_is_counted(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"not a model")
    assert counted(tmp_path / "broken.onnx", None) is None
    with pytest.raises(ValueError, match=r"broken\.onnx is not a model that ONNX Runtime"):
        benchmark(Source(tmp_path / "broken.onnx"), QUICK)
    path = make((1, 3, 32, 32))
    monkeypatch.setattr(counting, "find_spec", lambda _: None)
    assert counted(path, None) is None


@pytest.mark.parametrize(
    ("typed", "runtime", "precision"),
    [
        ("", None, None),
        (":int8", None, "int8"),
        (":openvino", "openvino", None),
        (":openvino:int8", "openvino", "int8"),
        (":int8:openvino", "openvino", "int8"),
    ],
)
def test_a_part_is_named_behind_the_path(
    tmp_path: Path, typed: str, runtime: str | None, precision: str | None
) -> None:
    found = Source.parse(f"{tmp_path}{typed}")
    assert found == Source(tmp_path, runtime, precision)
    assert found.is_bundle
    assert found.takes("openvino", "int8")
    assert found.takes("torch", "fp32") is (typed == "")


@pytest.mark.parametrize("typed", ["nowhere", "notes.txt", "nowhere.onnx", "notes.txt:int8"])
def test_what_is_neither_is_named(tmp_path: Path, typed: str) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match="is neither a bundle's folder nor an ONNX file"):
        Source.parse(f"{tmp_path}/{typed}")

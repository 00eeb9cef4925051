"""The first convolution reads rows of pixels and says the same, or the graph stays as it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, checker, helper, numpy_helper

from export.formats.rows import by_rows, read_by_rows

MEAN = np.array([120.0, 110.0, 100.0], np.float32).reshape(3, 1, 1)
DEVIATION = np.array([50.0, 60.0, 70.0], np.float32).reshape(3, 1, 1)


def graph(
    shape: Sequence[int | str],
    weight: NDArray[np.float32],
    stride: int = 1,
    pads: Sequence[int] = (1, 1, 1, 1),
    dilation: int = 1,
    others: Sequence[onnx.NodeProto] = (),
) -> onnx.ModelProto:
    """A picture, centred and scaled, and a convolution with a bias."""
    nodes = [
        helper.make_node("Cast", ["pixels"], ["real"], "cast", to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["real"], ["planes"], "permute", perm=[0, 3, 1, 2]),
        helper.make_node("Sub", ["planes", "mean"], ["centred"], "sub"),
        helper.make_node("Div", ["centred", "deviation"], ["scaled"], "div"),
        helper.make_node(
            "Conv",
            ["scaled", "weight", "bias"],
            ["maps"],
            "conv",
            strides=[stride, stride],
            pads=list(pads),
            dilations=[dilation, dilation],
            kernel_shape=weight.shape[2:],
        ),
        *others,
    ]
    values = {"mean": MEAN, "deviation": DEVIATION, "weight": weight}
    values["bias"] = np.arange(len(weight), dtype=np.float32)
    made = helper.make_graph(
        nodes,
        "head",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info("maps", TensorProto.FLOAT, [None] * 4)],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def answer(model: onnx.ModelProto, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["maps"], {"pixels": pixels})[0])


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 3),
    st.integers(6, 15),
    st.integers(6, 15),
    st.integers(1, 5),
    st.integers(1, 4),
    st.lists(st.integers(0, 3), min_size=4, max_size=4),
    st.integers(0, 9),
)
def test_any_first_convolution_says_the_same(
    batch: int, height: int, width: int, kernel: int, stride: int, pads: list[int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(5, 3, kernel, kernel + seed % 2)).astype(np.float32)
    pixels = rng.integers(0, 256, (batch, height, width, 3)).astype(np.uint8)
    model = graph(pixels.shape, weight, stride, pads)
    expected = answer(model, pixels)
    read_by_rows(model)
    checker.check_model(model, full_check=True)
    kinds = [node.op_type for node in model.graph.node]
    assert kinds == ["Cast", "Reshape", "Tile", "Sub", "Conv"]
    np.testing.assert_allclose(answer(model, pixels), expected, rtol=1e-4, atol=1e-4)


WEIGHT = np.ones((4, 3, 3, 3), np.float32)
SECOND = helper.make_node("Relu", ["scaled"], ["also"], "also")


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(graph((1, "height", 8, 3), WEIGHT), id="a length is open"),
        pytest.param(graph((1, 8, 8, 3), WEIGHT, dilation=2), id="pixels are not neighbours"),
        pytest.param(graph((1, 8, 8, 3), WEIGHT, others=[SECOND]), id="something else reads it"),
    ],
)
def test_what_cannot_read_rows_stays_as_it_is(model: onnx.ModelProto) -> None:
    before = model.SerializeToString(deterministic=True)
    read_by_rows(model)
    assert model.SerializeToString(deterministic=True) == before


def test_weights_lie_as_the_numbers_of_a_row_do() -> None:
    weights = np.arange(2 * 3 * 1 * 2, dtype=np.float32).reshape(2, 3, 1, 2)
    assert by_rows(weights)[0].tolist() == [[[0, 2, 4, 1, 3, 5]]]


def test_a_network_s_file_permutes_nothing(model: Path) -> None:
    nodes = onnx.load(model).graph.node
    assert [node.op_type for node in nodes[:5]] == ["Cast", "Reshape", "Tile", "Sub", "Conv"]
    assert "Div" not in {node.op_type for node in nodes}

"""Taps: the logits of an artifact, also of one that gives labels, for those who compare."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx

from export.machine import usable_cores
from export.runtimes import Logits, Pixels

Tap = Callable[[Pixels], Logits]
"""uint8 [B, H, W, 3] -> float32 [B, K, H, W]"""


def tapped(path: Path, runtime: str, precision: str) -> Tap:
    """The logits of the file at ``path`` as ``runtime`` computes them in ``precision``."""
    if runtime == "openvino":
        return openvino_tap(path, precision)
    assert runtime == "onnxruntime", runtime
    return onnx_tap(path)


def onnx_tap(path: Path) -> Tap:
    """The logits of an ONNX file in ONNX Runtime."""
    from export.runtimes.onnxruntime import opened

    session = opened(with_logits(path), usable_cores())

    def logits(pixels: Pixels) -> Logits:
        found: Logits = session.run(["logits"], {"pixels": pixels})[0]
        return found

    return logits


def with_logits(path: Path) -> bytes:
    """The model with one more output, float32 ``logits``, unless it has it: what ArgMax reads."""
    model = onnx.load(path)
    if model.graph.output[0].name == "logits":
        return path.read_bytes()
    (argmax,) = (node for node in model.graph.node if node.op_type == "ArgMax")
    kind = onnx.TensorProto.FLOAT
    model.graph.node.append(
        onnx.helper.make_node("Cast", [argmax.input[0]], ["logits"], name="logits", to=kind)
    )
    model.graph.output.append(onnx.helper.make_tensor_value_info("logits", kind, None))
    content: bytes = model.SerializeToString()
    return content


def openvino_tap(path: Path, precision: str) -> Tap:
    """The logits of a model of OpenVINO, where its argmax is called TopK."""
    from export.runtimes.openvino import compiled, read

    model = read(path)
    if "logits" not in model.output(0).get_names():
        (top,) = (op for op in model.get_ops() if op.get_type_name() == "TopK")
        added = model.add_outputs([top.input_value(0)])
        added[0].get_tensor().set_names({"logits"})
    request = compiled(model, precision, usable_cores()).create_infer_request()

    def logits(pixels: Pixels) -> Logits:
        request.infer({"pixels": pixels})
        return request.get_tensor("logits").data.astype(np.float32)

    return logits

"""What an ONNX file costs, counted from its graph; needs the package ``onnx``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import Any

from export.benchmark.foreign import KINDS, Input, filled
from export.benchmark.subjects import AS_STORED

WEIGHT = {
    **dict.fromkeys(("Conv", "ConvTranspose", "ConvInteger"), 1),
    **dict.fromkeys(("Gemm", "MatMul", "MatMulInteger"), 1),
    **dict.fromkeys(("QLinearConv", "QLinearMatMul"), 3),
}
"""Where each op that multiplies has its second factor among its inputs."""
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Counted:
    """Of one image.  None where shape inference does not reach."""

    macs: int | None
    parameters: int
    """Numbers that are stored, scales of a quantised file included."""
    precision: str
    """What most weights are stored in."""


def counted(path: Path, size: tuple[int, int] | None) -> Counted | None:
    """The cost of a file, at a size where it leaves it open; None without ``onnx`` or a graph."""
    if find_spec("onnx") is None:
        return None
    import onnx

    try:
        model = onnx.load(path, load_external_data=False)
        batch = fix(model, size)
        inferred = onnx.shape_inference.infer_shapes(model)
    except Exception:  # protobuf and onnx raise what a strange file leads them to
        return None
    macs = multiplied(inferred)
    return Counted(macs and macs // batch, stored(inferred), precision(inferred))


def fix(model: Any, size: tuple[int, int] | None) -> int:
    """Give the input of ``model`` its lengths; the batch."""
    weights = {tensor.name for tensor in model.graph.initializer}
    (given,) = (one for one in model.graph.input if one.name not in weights)
    dims = given.type.tensor_type.shape.dim
    lengths = tuple(dim.dim_value if dim.dim_value > 0 else None for dim in dims)
    shape = filled(Input(given.name, lengths, KINDS["f32"]), lengths[0] or 1, size)
    for dim, length in zip(dims, shape, strict=True):
        dim.dim_value = length
    return shape[0]


def multiplied(model: Any) -> int | None:
    """Multiply-adds of convolutions and products in all."""
    shapes = known_shapes(model)
    total = 0
    for node in model.graph.node:
        if node.op_type in WEIGHT:
            factor = shapes.get(node.input[WEIGHT[node.op_type]])
            first, out = shapes.get(node.input[0]), shapes.get(node.output[0])
            if factor is None or first is None or out is None:
                return None
            total += of_node(node, factor, first, out)
    return total


def of_node(
    node: Any, factor: tuple[int, ...], first: tuple[int, ...], out: tuple[int, ...]
) -> int:
    """Of one op: every output of a convolution reads a kernel, every input of its transpose."""
    if node.op_type == "ConvTranspose":
        return prod(first) * prod(factor[1:])
    if "Conv" in node.op_type:
        return prod(out) * prod(factor[1:])
    turned = any(a.name == "transA" and a.i for a in node.attribute)
    return prod(out) * (first[-2] if turned else first[-1])


def known_shapes(model: Any) -> Shapes:
    """Every tensor whose lengths are all known."""
    graph = model.graph
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for info in (*graph.input, *graph.value_info, *graph.output):
        dims = info.type.tensor_type.shape.dim
        if all(dim.HasField("dim_value") for dim in dims):
            shapes[info.name] = tuple(dim.dim_value for dim in dims)
    return shapes


def weights_of(model: Any) -> list[tuple[str, int]]:
    """Type and length of every stored tensor of real numbers or bytes."""
    from onnx import TensorProto

    kinds = {TensorProto.FLOAT: "fp32", TensorProto.FLOAT16: "fp16", TensorProto.BFLOAT16: "bf16"}
    kinds |= dict.fromkeys((TensorProto.INT8, TensorProto.UINT8), "int8")
    tensors = model.graph.initializer
    return [(kinds[t.data_type], prod(t.dims)) for t in tensors if t.data_type in kinds]


def stored(model: Any) -> int:
    return sum(length for _, length in weights_of(model))


def precision(model: Any) -> str:
    totals: dict[str, int] = {}
    for kind, length in weights_of(model):
        totals[kind] = totals.get(kind, 0) + length
    return max(totals, key=totals.__getitem__) if totals else AS_STORED

"""ONNX: the format that every other format starts from."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from export.formats.rows import read_by_rows
from files import replacing
from lengths import NAMES, STATIC, Dynamic, Shape
from models.network import Network, PixelsToLabels, PixelsToLogits
from recipe import Output

OPSET = 18
"""The newest that ONNX Runtime runs wholly on a GPU: with 20 it puts Resize on the CPU."""
HINT = ' For more information, run with TORCH_LOGS="+dynamic".'
SHAPES = {"labels": NAMES, "logits": (NAMES[0], "classes", *NAMES[1:])}
"""What an output's lengths are called where they are open."""


def onnx_from_network(
    network: Network,
    size: tuple[int, int],
    path: Path,
    output: Output = "labels",
    dynamic: Dynamic = STATIC,
) -> Path:
    """Write ``network`` to ``path`` as fp32 ONNX that reads one image of ``size`` (height, width).

    uint8 ``pixels`` [1, H, W, 3] in, uint8 ``labels`` [1, H, W] or float32 ``logits`` [1, K, H, W]
    out; normalisation and upsampling are inside.  Lengths that are ``dynamic`` are open, called
    ``batch``, ``height`` and ``width``.  The same network gives the same bytes in any process.
    ``network`` stays as it is.  ``ValueError`` names what ONNX cannot express, and where it stands.
    """
    model = traced(network, size, output, dynamic)
    read_by_rows(model)
    facts = {
        "schema": f"segnas.{output}/1",
        "genotype": network.genotype.fingerprint,
        "num_classes": str(network.num_classes),
        "size": f"{size[0]}x{size[1]}",
    }
    if dynamic.open:
        facts["dynamic"] = str(dynamic)
        name_lengths(model, output)
    return written(model, facts, path)


def written(model: onnx.ModelProto, facts: Mapping[str, str], path: Path) -> Path:
    """Check ``model``, let it say ``facts`` and nothing else, and write the same bytes always."""
    strip(model)
    onnx.helper.set_model_props(model, dict(facts))
    onnx.checker.check_model(model, full_check=True)
    with replacing(path) as part:
        part.write_bytes(model.SerializeToString(deterministic=True))
    return path


def facts_of(model: onnx.ModelProto) -> dict[str, str]:
    """What the file says about itself."""
    return {entry.key: entry.value for entry in model.metadata_props}


def traced(
    network: Network, size: tuple[int, int], output: Output, dynamic: Dynamic
) -> onnx.ModelProto:
    """The graph of a copy of ``network`` in evaluation mode, on the CPU."""
    shipped = PixelsToLabels if output == "labels" else PixelsToLogits
    module = shipped(deepcopy(network)).cpu().eval()
    pixels = torch.zeros(example(size, dynamic), dtype=torch.uint8)
    try:
        with quiet(), torch.no_grad():
            program = torch.onnx.export(
                opened(module, pixels, dynamic) if dynamic.open else module,
                (pixels,),
                input_names=["pixels"],
                output_names=[output],
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        raise ValueError(refusal(module, pixels, error)) from error
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    return model


def example(size: tuple[int, int], dynamic: Dynamic) -> Shape:
    """What the network is traced with: a length of one would be taken for one that stays."""
    batch, height, width, channels = dynamic.middle(size)
    return max(batch, 2) if dynamic.batch else 1, height, width, channels


def opened(module: nn.Module, pixels: Tensor, dynamic: Dynamic) -> ExportedProgram:
    """``module`` traced with the ``dynamic`` lengths open; ``ValueError`` where it fixes one.

    What the trace takes for granted of a length is asked again at runtime, and not in ONNX: the
    gate runs both ends of every span.
    """
    spans = {NAMES.index(name): (name, *span) for name, span in dynamic.open.items()}
    dims = {axis: Dim(name, min=low, max=high) for axis, (name, low, high) in spans.items()}
    try:
        return torch.export.export(
            module,
            (pixels,),
            dynamic_shapes=(dims,),
            strict=False,
            prefer_deferred_runtime_asserts_over_guards=True,
        )
    except RuntimeError as error:
        reason = " ".join(str(error).splitlines()[:2]).replace(HINT, "")
        raise ValueError(
            f"export.dynamic: this network cannot leave {', '.join(dynamic.open)} open: {reason}"
        ) from error


def name_lengths(model: onnx.ModelProto, output: Output) -> None:
    """Call open lengths by their names; what the tracer called those of inner maps is left out."""
    del model.graph.value_info[:]
    for value, names in ((model.graph.input[0], NAMES), (model.graph.output[0], SHAPES[output])):
        for side, name in zip(value.type.tensor_type.shape.dim, names, strict=False):
            if not side.HasField("dim_value"):
                side.dim_param = name


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the exporter's remarks about itself away from whoever exports a network."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def refusal(module: nn.Module, pixels: Tensor, error: Exception) -> str:
    """One line: the operation that ONNX has no word for, its layer, and whose op that is."""
    reason: BaseException = error
    while reason.__cause__ is not None:
        reason = reason.__cause__
    where = innermost(module, pixels, str(error))
    return f"ONNX cannot express {where}: {str(reason).partition(chr(10))[0]}"


def innermost(module: nn.Module, pixels: Tensor, message: str) -> str:
    """The name of the layer whose traced node ``message`` mentions, or the whole network."""
    try:
        with quiet():
            nodes = torch.export.export(module, (pixels,)).graph.nodes
    except Exception:  # the tracer raises whatever the network raises
        return "the network"
    for node in nodes:
        if f"%{node.name} " in message and node.meta.get("nn_module_stack"):
            path, kind = list(node.meta["nn_module_stack"].values())[-1]
            return place(module, str(path)) + f" ({str(kind).rpartition('.')[2]})"
    return "the network"


def place(module: nn.Module, path: str) -> str:
    """A layer's name, and the edge of the genotype that it belongs to, if it does to one."""
    layer = f"layer {path.removeprefix('network.')}"
    cell, _, inner = path.rpartition(".ops.")
    edges = getattr(module.get_submodule(cell), "edges", ())
    if not edges:
        return layer
    edge = edges[int(inner.partition(".")[0])]
    cell = cell.removeprefix("network.")
    return f"op {edge.op} on edge {edge.src} -> {edge.dst} of cell {cell}, {layer}"


def strip(model: onnx.ModelProto) -> None:
    """Remove what differs between machines, and what nothing uses.

    Source paths, stack traces and the writer's version; sets of operations of which none occurs.
    """
    used = {node.domain for node in model.graph.node} | {""}
    opsets = [opset for opset in model.opset_import if opset.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    model.producer_name, model.producer_version = "segnas", ""
    graph = model.graph
    described = [
        model,
        graph,
        *graph.node,
        *graph.initializer,
        *graph.value_info,
        *graph.input,
        *graph.output,
    ]
    for part in described:
        part.ClearField("doc_string")
        part.ClearField("metadata_props")

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

from files import replacing
from models.network import Network, PixelsToLabels

OPSET = 18
"""The newest that ONNX Runtime runs wholly on a GPU: with 20 it puts Resize on the CPU."""
SCHEMA = "segnas.labels/1"
"""What the file promises: uint8 pixels [1, H, W, 3] in, uint8 labels [1, H, W] out."""


def onnx_from_network(network: Network, size: tuple[int, int], path: Path) -> Path:
    """Write ``network`` to ``path`` as fp32 ONNX that reads one image of ``size``.

    ``size`` is (height, width).  uint8 ``pixels`` [1, H, W, 3] in, uint8 ``labels`` [1, H, W] out;
    normalisation, upsampling and argmax are inside.  The same network gives the same bytes in
    any process.  ``network`` stays as it is.  ``ValueError`` names what ONNX cannot express.
    """
    model = traced(network, size)
    facts = {
        "schema": SCHEMA,
        "genotype": network.genotype.fingerprint,
        "num_classes": str(network.num_classes),
        "size": f"{size[0]}x{size[1]}",
    }
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


def traced(network: Network, size: tuple[int, int]) -> onnx.ModelProto:
    """The graph of a copy of ``network`` in evaluation mode, on the CPU."""
    module = PixelsToLabels(deepcopy(network)).cpu().eval()
    pixels = torch.zeros(1, *size, 3, dtype=torch.uint8)
    try:
        with quiet(), torch.no_grad():
            program = torch.onnx.export(
                module,
                (pixels,),
                input_names=["pixels"],
                output_names=["labels"],
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
    """One line that says which operation ONNX has no word for, and which layer contains it."""
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
            return f"layer {str(path).removeprefix('network.')} ({str(kind).rpartition('.')[2]})"
    return "the network"


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

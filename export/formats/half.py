"""ONNX in fp16: half the file, and half the bytes that a GPU moves."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

from export.formats.onnx import facts_of, written


def half_from_onnx(source: Path, path: Path) -> Path:
    """Write the fp32 model at ``source`` to ``path`` with weights and arithmetic of fp16.

    Pixels and labels stay uint8.  The same source gives the same bytes.
    """
    model = onnx.load(source)
    facts = facts_of(model)
    half = convert_float_to_float16(model, keep_io_types=True)
    # It puts casts behind what reads them, and says fp16 of some maps that stay fp32.
    OnnxModel.graph_topological_sort(half.graph, is_deterministic=True)
    del half.graph.value_info[:]
    return written(half, facts, path)

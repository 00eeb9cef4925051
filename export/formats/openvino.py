"""OpenVINO's own format: an ``.xml`` with its weights in a ``.bin`` beside it."""

from __future__ import annotations

from pathlib import Path

import openvino

from files import sync


def openvino_from_onnx(source: Path, path: Path) -> Path:
    """Write the model at ``source``, fp32 or INT8, to ``path`` and the ``.bin`` of its name.

    Weights stay as they are: what a runtime computes in is decided when it loads the file.
    """
    model = openvino.Core().read_model(source)
    openvino.save_model(model, path, compress_to_fp16=False)
    for part in (path, path.with_suffix(".bin")):
        part.chmod(0o644)
        sync(part)
    return path

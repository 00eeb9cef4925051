"""OpenVINO's own format: an ``.xml`` with its weights in a ``.bin`` beside it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import openvino

from files import sync
from lengths import NAMES, STATIC, Dynamic

COMPILE = "import openvino, sys; openvino.Core().compile_model(sys.argv[1], 'CPU')"


def openvino_from_onnx(source: Path, path: Path, dynamic: Dynamic = STATIC) -> Path:
    """Write the model at ``source``, fp32 or INT8, to ``path`` and the ``.bin`` of its name.

    Lengths that are open in ``source`` get their ``dynamic`` spans.

    Weights stay as they are: what a runtime computes in is decided when it loads the file.
    ``ValueError`` where OpenVINO cannot compile it, which some INT8 graphs end its process with.
    """
    check_compiles(source)
    model = openvino.Core().read_model(source)
    if dynamic.open:
        sides = model.input(0).partial_shape
        for name, (low, high) in dynamic.open.items():
            sides[NAMES.index(name)] = openvino.Dimension(low, high)
        model.reshape(sides)
    openvino.save_model(model, path, compress_to_fp16=False)
    for part in (path, path.with_suffix(".bin")):
        part.chmod(0o644)
        sync(part)
    return path


def check_compiles(source: Path) -> None:
    """Compile ``source`` in a process of its own; ``ValueError`` where that fails or crashes."""
    command = [sys.executable, "-P", "-c", COMPILE, str(source)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        said = done.stderr.strip().rpartition("\n")[2] or f"it ends with code {done.returncode}"
        raise ValueError(
            f"OpenVINO {openvino.__version__.partition('-')[0]} cannot compile {source.name}: "
            f"{said}. Leave this format out."
        )

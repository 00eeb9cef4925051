"""A bundle laid out as a model repository of Triton: a folder a model, with its configuration.

Written from Triton's documentation; no server was here to load one.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from export.bundle import Artifact, Bundle

BACKENDS: Mapping[str, tuple[str, str]] = {
    "onnxruntime": ("onnxruntime", "model.onnx"),
    "tensorrt": ("tensorrt", "model.plan"),
}
"""The backend that runs what a runtime of ours runs, and the name of the file that it looks for.

Triton has no backend for TensorRT for RTX, and what it has for OpenVINO and torch reads the ONNX
file as well or other files.
"""
VERSION = "1"
LABELS = "labels.txt"
"""A class name a line.  Not a ``label_filename``: with that Triton names the position of the
largest number of an output, and here positions are pixels."""


def lay_out(bundle: Bundle, folder: Path) -> list[Path]:
    """Write every artifact that Triton runs to ``folder``, and give each model's folder.

    The fp32 ONNX file is called as the bundle is, the others say their precision or runtime too.
    ``ValueError`` where ``folder`` holds something: nothing is replaced.
    """
    if os.path.lexists(folder) and not (folder.is_dir() and not any(folder.iterdir())):
        raise ValueError(f"{folder} is not empty: remove it, or name another folder with --to")
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".part"))
    try:
        names = [write(bundle, artifact, part) for artifact in runnable(bundle)]
        part.chmod(0o755)
        part.replace(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return [folder / name for name in names]


def runnable(bundle: Bundle) -> Iterator[Artifact]:
    """What Triton has a backend for."""
    return (a for a in bundle.manifest.artifacts if a.runtime in BACKENDS)


def write(bundle: Bundle, artifact: Artifact, repository: Path) -> str:
    """Write the folder of one model; its name."""
    name = model_name(bundle, artifact)
    place = repository / name / VERSION
    place.mkdir(parents=True)
    shutil.copyfile(bundle.file(artifact), place / BACKENDS[artifact.runtime][1])
    (place.parent / LABELS).write_text("\n".join(bundle.manifest.classes) + "\n", "utf-8")
    (place.parent / "config.pbtxt").write_text(configuration(bundle, artifact), "utf-8")
    return name


def model_name(bundle: Bundle, artifact: Artifact) -> str:
    """The bundle's, and what tells the artifact's file from ``model.onnx``."""
    parts = Path(artifact.file).stem.split(".")
    name = re.sub(r"[^\w.-]+", "_", bundle.manifest.name)
    return "_".join([name, *(part for part in parts if part != "model")])


def configuration(bundle: Bundle, artifact: Artifact) -> str:
    """``config.pbtxt``: with an open batch Triton adds it to the dimensions and fills it up."""
    manifest, kind = bundle.manifest, "TYPE_UINT8"
    batch, *sides = manifest.dynamic.spans(manifest.size)
    height, width = (low if low == high else -1 for low, high in sides)
    found = [height, width]
    if manifest.output == "logits":
        kind, found = "TYPE_FP32", [len(manifest.classes), *found]
    most = batch[1] if manifest.dynamic.batch else 0
    first = [] if most else [1]
    lines = [
        f"name: {quoted(model_name(bundle, artifact))}",
        f"backend: {quoted(BACKENDS[artifact.runtime][0])}",
        f"max_batch_size: {most}",
        *tensor("input", "pixels", "TYPE_UINT8", [*first, height, width, 3]),
        *tensor("output", manifest.output, kind, [*first, *found]),
        *(["dynamic_batching { }"] if most else []),
        *parameter("precision", artifact.precision),
        *parameter("sha256", manifest.files[artifact.file]),
    ]
    return "\n".join(lines) + "\n"


def tensor(role: str, name: str, kind: str, dims: list[int]) -> list[str]:
    sizes = ", ".join(map(str, dims))
    body = f"name: {quoted(name)} data_type: {kind} dims: [ {sizes} ]"
    return [f"{role} [ {{ {body} }} ]"]


def parameter(key: str, value: str) -> list[str]:
    return [f"parameters {{ key: {quoted(key)} value {{ string_value: {quoted(value)} }} }}"]


def quoted(text: str) -> str:
    """A text of protobuf's text format, bytes that are not plain ASCII escaped."""
    safe = "".join(
        chr(b) if 32 <= b < 127 and chr(b) not in '"\\' else f"\\{b:03o}" for b in text.encode()
    )
    return f'"{safe}"'

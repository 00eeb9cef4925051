"""The formats: what each is, what writes it, and the making of those that were asked for."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from export.bundle import Precision
from export.formats.onnx import onnx_from_network
from export.runtimes import EXTRAS, GPU_ONLY, Pixels, missing, module_of
from lengths import STATIC, Dynamic
from models.network import Network
from recipe import Output

if TYPE_CHECKING:
    from export.formats.int8 import Profile


@dataclass(frozen=True)
class Format:
    """One line of ``segnas export --list``."""

    runtime: str
    """What runs the file."""
    precision: Precision
    file: str
    source: str
    """The format it is made of, ``network`` for the first."""

    @property
    def takes(self) -> str:
        """What it is made of, for a reader."""
        if self.file.endswith("int8.onnx"):
            return f"{self.source}, calibration images"
        return f"{self.source}, a GPU" if self.runtime in GPU_ONLY else self.source


FORMATS: Mapping[str, Format] = {
    "onnx": Format("onnxruntime", "fp32", "model.onnx", "network"),
    "onnx-fp16": Format("onnxruntime", "fp16", "model.fp16.onnx", "onnx"),
    "onnx-int8": Format("onnxruntime", "int8", "model.int8.onnx", "onnx"),
    "onnx-int8-tensorrt": Format("onnxruntime", "int8", "model.tensorrt.int8.onnx", "onnx"),
    "openvino": Format("openvino", "fp32", "openvino.xml", "onnx"),
    "openvino-bf16": Format("openvino", "bf16", "openvino.xml", "onnx"),
    "openvino-int8": Format("openvino", "int8", "openvino.int8.xml", "onnx-int8"),
    "tensorrt": Format("tensorrt", "fp32", "tensorrt.engine", "onnx"),
    "tensorrt-fp16": Format("tensorrt", "fp16", "tensorrt.fp16.engine", "onnx-fp16"),
    "tensorrt-int8": Format("tensorrt", "int8", "tensorrt.int8.engine", "onnx-int8-tensorrt"),
    "tensorrt-rtx": Format("tensorrt-rtx", "fp32", "rtx.engine", "onnx"),
    "tensorrt-rtx-fp16": Format("tensorrt-rtx", "fp16", "rtx.fp16.engine", "onnx-fp16"),
    "tensorrt-rtx-int8": Format("tensorrt-rtx", "int8", "rtx.int8.engine", "onnx-int8-tensorrt"),
}
"""The precision of an engine is that of the ONNX file that it is built from."""
ALWAYS = "onnx"
"""Every bundle has it: all other files start from it, and any machine runs it."""


def unwritable(name: str) -> str | None:
    """Why this machine cannot write the format, with the remedy; None where it can."""
    runtime = FORMATS[name].runtime
    if find_spec(module_of(runtime)) is None:
        return f"{runtime} is not installed: pip install 'segnas[{EXTRAS[runtime]}]'"
    return missing(runtime) if runtime == "tensorrt" else None


def listing() -> Iterator[tuple[str, ...]]:
    """A row a format: name, runtime, precision, what it takes, and whether it works here."""
    for name, kind in FORMATS.items():
        writes, runs = unwritable(name), missing(kind.runtime)
        yield name, kind.runtime, kind.precision, kind.takes, writes or "yes", runs or "yes"


def wanted(names: Iterable[str]) -> tuple[str, ...]:
    """The formats of a bundle, each once: with what it always has, and what engines are built from.

    ``ValueError`` for an unknown one, and for one that cannot be written here.
    """
    asked = (ALWAYS, *names)
    for name in asked:
        if name not in FORMATS:
            raise ValueError(f"unknown format {name!r}; choose from {', '.join(FORMATS)}")
    engines = [name for name in asked if FORMATS[name].runtime in GPU_ONLY]
    chosen = tuple(dict.fromkeys((*asked, *(FORMATS[name].source for name in engines))))
    for name in chosen:
        if reason := unwritable(name):
            raise ValueError(f"format {name} cannot be written here: {reason}")
    return chosen


def calibrated(names: Iterable[str]) -> bool:
    """Whether a format among ``names`` needs calibration images."""
    return any(FORMATS[name].precision == "int8" for name in names)


@dataclass(frozen=True)
class Materials:
    """What formats are made of."""

    network: Network
    size: tuple[int, int]
    calibration: Sequence[Pixels] = ()
    """uint8 [H, W, 3] each, of ``size``."""
    capabilities: tuple[str, ...] = ()
    """Of the GPUs that TensorRT for RTX builds for; none for this machine's own."""
    output: Output = "labels"
    dynamic: Dynamic = STATIC


def write(names: Iterable[str], materials: Materials, folder: Path) -> None:
    """Write the files of all formats in ``names`` to ``folder``, and no others."""
    kept = [*names]
    with tempfile.TemporaryDirectory() as scratch:
        workshop = Workshop(
            materials,
            lambda name: (folder if name in kept else Path(scratch)) / FORMATS[name].file,
        )
        for name in kept:
            workshop.make(name)


class Workshop:
    """Makes a format, and first what it is made of."""

    def __init__(self, materials: Materials, place: Callable[[str], Path]) -> None:
        self.materials, self.place = materials, place

    def make(self, name: str) -> Path:
        """The file of a format, which is written unless it is there."""
        path, kind = self.place(name), FORMATS[name]
        if path.exists():
            return path
        if name == ALWAYS:
            m = self.materials
            return onnx_from_network(m.network, m.size, path, m.output, m.dynamic)
        return self.converted(name, self.make(kind.source), path)

    def converted(self, name: str, source: Path, path: Path) -> Path:
        """Write one format from another.  What writes it is imported when it is needed."""
        kind = FORMATS[name]
        if kind.runtime == "openvino":
            from export.formats.openvino import openvino_from_onnx

            return openvino_from_onnx(source, path, self.materials.dynamic)
        if kind.runtime in GPU_ONLY:
            from export.formats.tensorrt import Order, engine_from_onnx

            shapes = self.materials.dynamic.profile(self.materials.size)
            order = Order(kind.runtime, name, self.materials.capabilities, shapes)
            return engine_from_onnx(source, path, order)
        if kind.precision == "fp16":
            from export.formats.half import half_from_onnx

            return half_from_onnx(source, path)
        from export.formats.int8 import int8_from_onnx

        profile: Profile = "tensorrt" if "tensorrt" in name else "cpu"
        return int8_from_onnx(source, path, self.materials.calibration, profile)

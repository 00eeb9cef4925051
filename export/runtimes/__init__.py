"""Runtimes read: one file a runtime, imported only when it is asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from shutil import which
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from export.bundle import Artifact, Bundle, Precision
from export.machine import no_gpu

Pixels = NDArray[np.uint8]
"""[B, H, W, 3]"""
Labels = NDArray[np.uint8]
"""[B, H, W]"""
Logits = NDArray[np.float32]
"""[B, K, H, W]"""
Length = int | tuple[int, int] | None
"""What a length must be, its least and its most, or None for any."""

# ONNX Runtime sends telemetry unless this is set before its first import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

OWN = ("onnxruntime", "torch", "openvino", "tensorrt", "tensorrt-rtx")
"""Runtimes with files of their own in a bundle."""
READS: Mapping[str, str] = {
    "torch-compiled": "torch",
    "torch-cuda": "torch",
    "torch-cuda-compiled": "torch",
    "onnxruntime-cuda": "onnxruntime",
    "onnxruntime-tensorrt": "onnxruntime",
}
"""Other ways to run a file, each by the runtime whose files it reads."""
COMPUTED: Mapping[str, tuple[Precision, ...]] = {
    "torch-compiled": ("fp32",),
    "torch-cuda": ("fp32", "fp16", "bf16"),
    "torch-cuda-compiled": ("fp32", "fp16", "bf16"),
    "onnxruntime-cuda": ("fp32", "fp16"),
    "onnxruntime-tensorrt": ("fp32", "fp16"),
}
"""The precisions of each: torch makes them of the one file of weights, ONNX has a file for each."""
RUNTIMES = (*OWN, *READS)
EXTRAS: Mapping[str, str] = {
    "onnxruntime": "cpu",
    "torch": "train",
    "openvino": "openvino",
    "tensorrt": "tensorrt",
    "tensorrt-rtx": "tensorrt-rtx",
    "torch-compiled": "train",
    "torch-cuda": "train",
    "torch-cuda-compiled": "train",
    "onnxruntime-cuda": "gpu",
    "onnxruntime-tensorrt": "gpu,tensorrt",
}
"""The extra of segnas that brings each runtime."""
PROVIDERS: Mapping[str, str] = {
    "onnxruntime-cuda": "CUDAExecutionProvider",
    "onnxruntime-tensorrt": "TensorrtExecutionProvider",
}
"""What ONNX Runtime calls its ways to a GPU."""
COMPILERS = ("c++", "g++", "clang++")
GPU_ONLY = ("tensorrt", "tensorrt-rtx", *(name for name in READS if name != "torch-compiled"))


@dataclass(frozen=True)
class Facts:
    """What an engine really runs on: never what was asked for, always what is active."""

    runtime: str
    provider: str
    precision: str
    device: str
    threads: int
    version: str
    computes: str
    """The precision of the arithmetic, where it is not what the file stores."""

    @property
    def arithmetic(self) -> str:
        """Both precisions, such as ``fp16, computed in fp32``, or the one that they are."""
        if self.computes == self.precision:
            return self.precision
        return f"{self.precision}, computed in {self.computes}"


class Runtime(Protocol):
    """A loaded engine.  Use it in a ``with``: it holds device memory."""

    @property
    def facts(self) -> Facts: ...

    def __call__(self, pixels: Pixels) -> Labels:
        """uint8 [B, H, W, 3] -> uint8 [B, H, W]; ``ValueError`` for any other type or shape."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


def missing(name: str) -> str | None:
    """Why the runtime called ``name`` cannot be used here, with the remedy; None where it can."""
    if name not in RUNTIMES:
        return f"unknown runtime {name!r}; choose from {', '.join(RUNTIMES)}"
    needed = (module_of(name), *(("tensorrt",) if name == "onnxruntime-tensorrt" else ()))
    if not all(map(find_spec, needed)):
        return f"{name} is not installed: pip install 'segnas[{EXTRAS[name]}]'"
    if name in GPU_ONLY and (reason := no_gpu()):
        return f"{name} needs an NVIDIA GPU: {reason}"
    if name in GPU_ONLY and module_of(name) == "torch" and version("torch").endswith("+cpu"):
        return f"{name} needs a torch with CUDA, and this is {version('torch')}: install PyPI's"
    if "compiled" in name and not any(map(which, COMPILERS)):
        return f"{name} needs a C++ compiler: apt install g++"
    if name in PROVIDERS and not offered(PROVIDERS[name]):
        return (
            f"{name} needs {PROVIDERS[name]}, which this onnxruntime lacks: "
            f"pip uninstall -y onnxruntime, then pip install 'segnas[{EXTRAS[name]}]'"
        )
    return None


def offered(provider: str) -> bool:
    """Whether the ONNX Runtime that is installed was built with a provider."""
    return provider in import_module("onnxruntime").get_available_providers()


def module_of(name: str) -> str:
    """The Python module that a runtime needs."""
    return READS.get(name, name).replace("-", "_")


def artifact_of(name: str, bundle: Bundle, precision: str | None = None) -> Artifact:
    """The file that a runtime reads, and the precision in which it is run.

    ``ValueError`` where the bundle has none, or the runtime does not compute in ``precision``.
    """
    if name not in READS:
        return bundle.artifact(name, precision)
    computed = next((known for known in COMPUTED[name] if precision in (None, known)), None)
    if computed is None:
        raise ValueError(f"{name} runs {', '.join(COMPUTED[name])}, not {precision}")
    stored = None if READS[name] == "torch" else computed
    artifact = bundle.artifact(READS[name], stored)
    return artifact.model_copy(update={"runtime": name, "precision": computed})


def others(bundle: Bundle, named: str | None = None) -> list[tuple[str, str]]:
    """Runtime and precision of the other ways in which this machine runs a bundle's files.

    Those of a GPU where there is one, but for what is compiled first, which takes a minute: that
    one, or any that cannot be used here, must be ``named``.
    """
    usual = [name for name in READS if "compiled" not in name and missing(name) is None]
    have = {(artifact.runtime, artifact.precision) for artifact in bundle.manifest.artifacts}
    return [
        (name, computed)
        for name in ([named] if named and named in READS else usual)
        for computed in COMPUTED[name]
        if (READS[name], "fp32" if READS[name] == "torch" else computed) in have
    ]


def load(name: str, bundle: Bundle, *, precision: str | None = None, threads: int = 0) -> Runtime:
    """The runtime called ``name`` with the file the bundle has for it.

    ``threads`` 0 takes the cores this process may use.  ``ValueError`` where the name is unknown,
    the bundle has no file for it, or it is not installed (with the extra that brings it).
    """
    if reason := missing(name):
        raise ValueError(reason)
    artifact = artifact_of(name, bundle, precision)
    file = "tensorrt" if name in OWN and name in GPU_ONLY else name.replace("-", "_")
    try:
        module = import_module(f"export.runtimes.{file}")
    except ImportError as error:
        raise ValueError(
            f"{name} does not load: {error}. pip install --force-reinstall 'segnas[{EXTRAS[name]}]'"
        ) from None
    runtime: Runtime = module.Engine(bundle.file(artifact), artifact.precision, threads)
    return runtime


def check_pixels(pixels: Pixels, shape: Sequence[Length]) -> None:
    """``ValueError`` unless ``pixels`` is uint8 of ``shape``."""
    fits = pixels.ndim == len(shape) and all(map(within, pixels.shape, shape))
    if pixels.dtype != np.uint8 or not fits:
        wanted = ", ".join(map(described, shape))
        raise ValueError(
            f"expected pixels of type uint8 and shape ({wanted}), "
            f"got {pixels.dtype} {pixels.shape}. Resize the image first."
        )


def within(length: int, wanted: Length) -> bool:
    if isinstance(wanted, tuple):
        return wanted[0] <= length <= wanted[1]
    return wanted in (None, length)


def described(wanted: Length) -> str:
    if isinstance(wanted, tuple):
        low, high = wanted
        return str(low) if low == high else f"{low} to {high}"
    return "any" if wanted is None else str(wanted)


def labelled(found: Labels | Logits) -> Labels:
    """What a file writes, its labels or the logits of all classes, as labels."""
    labels = found if found.dtype == np.uint8 else found.argmax(1)
    return labels.astype(np.uint8, copy=False)

"""Runtimes read: one file a runtime, imported only when it is asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from export.bundle import Bundle
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

RUNTIMES = ("onnxruntime", "torch", "openvino", "tensorrt", "tensorrt-rtx")
EXTRAS: Mapping[str, str] = {
    "onnxruntime": "cpu",
    "torch": "train",
    "openvino": "openvino",
    "tensorrt": "tensorrt",
    "tensorrt-rtx": "tensorrt-rtx",
}
"""The extra of segnas that brings each runtime."""
GPU_ONLY = ("tensorrt", "tensorrt-rtx")


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
    if find_spec(module_of(name)) is None:
        return f"{name} is not installed: pip install 'segnas[{EXTRAS[name]}]'"
    if name in GPU_ONLY and (reason := no_gpu()):
        return f"{name} needs an NVIDIA GPU: {reason}"
    return None


def module_of(name: str) -> str:
    """The Python module of a runtime."""
    return name.replace("-", "_")


def load(name: str, bundle: Bundle, *, precision: str | None = None, threads: int = 0) -> Runtime:
    """The runtime called ``name`` with the file the bundle has for it.

    ``threads`` 0 takes the cores this process may use.  ``ValueError`` where the name is unknown,
    the bundle has no file for it, or it is not installed (with the extra that brings it).
    """
    if reason := missing(name):
        raise ValueError(reason)
    artifact = bundle.artifact(name, precision)
    try:
        module = import_module(f"export.runtimes.{'tensorrt' if name in GPU_ONLY else name}")
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

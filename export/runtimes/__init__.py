"""Runtimes read: one file a runtime, imported only when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from export.bundle import Bundle

Pixels = NDArray[np.uint8]
"""[B, H, W, 3]"""
Labels = NDArray[np.uint8]
"""[B, H, W]"""

RUNTIMES = ("onnxruntime", "torch")
EXTRAS: Mapping[str, str] = {"onnxruntime": "cpu", "torch": "train"}


@dataclass(frozen=True)
class Facts:
    """What an engine really runs on: never what was asked for, always what is active."""

    runtime: str
    provider: str
    precision: str
    device: str
    threads: int
    version: str


class Runtime(Protocol):
    """A loaded engine.  Use it in a ``with``: it holds device memory."""

    @property
    def facts(self) -> Facts: ...

    def __call__(self, pixels: Pixels) -> Labels:
        """uint8 [B, H, W, 3] -> uint8 [B, H, W]."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def load(name: str, bundle: Bundle, *, precision: str | None = None, threads: int = 0) -> Runtime:
    """The runtime called ``name`` with the file the bundle has for it.

    ``threads`` 0 leaves the choice to the runtime.  ``ValueError`` where the name is unknown, the
    bundle has no file for it, or it is not installed (with the extra that brings it).
    """
    if name not in RUNTIMES:
        raise ValueError(f"unknown runtime {name!r}; choose from {', '.join(RUNTIMES)}")
    artifact = bundle.artifact(name, precision)
    try:
        module = import_module(f"export.runtimes.{name}")
    except ImportError as error:
        raise ValueError(
            f"{name} is not installed: pip install 'segnas[{EXTRAS[name]}]' ({error})"
        ) from None
    runtime: Runtime = module.Engine(bundle.file(artifact), artifact.precision, threads)
    return runtime

"""What is measured: an artifact of a bundle, or any ONNX file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, get_args

from numpy.typing import NDArray

import zoo
from export.bundle import Precision
from export.runtimes import RUNTIMES, Facts

Answers = Sequence[NDArray[Any]]
"""Everything that an engine writes for one batch."""
AS_STORED = "as stored"
"""The precision of a file that does not say what it stores."""


@dataclass(frozen=True)
class Source:
    """What was named to be measured, such as ``runs/quickstart/bundle:openvino:int8``."""

    path: Path
    runtime: str | None = None
    """None for every runtime that has a file and is installed, and the GPU's where there is one."""
    precision: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """``PATH[:RUNTIME][:PRECISION]``; ``ValueError`` where PATH is neither bundle nor ONNX."""
        path, runtime, precision = text, None, None
        behind = (*RUNTIMES, *get_args(Precision))
        while (parts := path.rpartition(":"))[0] not in ("", "zoo") and parts[2] in behind:
            path = parts[0]
            if parts[2] in RUNTIMES:
                runtime = parts[2]
            else:
                precision = parts[2]
        return cls(checked(Path(path)), runtime, precision)

    @property
    def is_bundle(self) -> bool:
        return self.path.is_dir()

    def takes(self, runtime: str, precision: str) -> bool:
        """Whether an artifact is among what was named."""
        return self.runtime in (None, runtime) and self.precision in (None, precision)

    def __str__(self) -> str:
        return ":".join(filter(None, (str(self.path), self.runtime, self.precision)))


def checked(path: Path) -> Path:
    path = zoo.folder_of(path)
    if path.is_dir() or (path.is_file() and path.suffix == ".onnx"):
        return path
    raise ValueError(
        f"{path} is neither a bundle's folder nor an ONNX file: name one, with :RUNTIME or "
        ":PRECISION behind it for a part of it, or make a bundle with 'segnas export RUN'"
    )


@dataclass(frozen=True)
class Job:
    """One engine on one input: what a measuring process is asked for."""

    source: str
    """A bundle's folder, or an ONNX file."""
    runtime: str
    precision: str
    threads: int
    batch: int = 1
    size: tuple[int, int] | None = None
    """Height and width for an ONNX file that leaves them open."""

    @property
    def label(self) -> str:
        """In words, such as ``onnxruntime (int8), 2 threads, batch 4``."""
        batch = f", batch {self.batch}" if self.batch > 1 else ""
        threads = f"{self.threads} thread{'s' * (self.threads != 1)}"
        return f"{self.runtime} ({self.precision}), {threads}{batch}"


@dataclass(frozen=True)
class Subject:
    """A loaded engine and a batch for it."""

    facts: Facts
    batch: int
    size: tuple[int, int]
    call: Callable[[], Answers]
    file: Path

"""What is measured: an artifact of a bundle, or any ONNX file; loaded, with an input to read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, get_args

import numpy as np
from numpy.typing import NDArray

import images
import zoo
from export.benchmark.isolated import Unfit
from export.bundle import Bundle, Precision
from export.runtimes import (
    READS,
    RUNTIMES,
    Facts,
    Pixels,
    Runtime,
    artifact_of,
    described,
    load,
    within,
)

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


@contextmanager
def opened(job: Job) -> Iterator[Subject]:
    """What a job names, until the block ends; :class:`Unfit` where its engine cannot do it."""
    path = Path(job.source)
    if path.is_dir():
        with of_bundle(Bundle.load(path), job) as subject:
            yield subject
    else:
        from export.benchmark.foreign import of_file

        with of_file(path, job) as subject:
            yield subject


@contextmanager
def of_bundle(bundle: Bundle, job: Job) -> Iterator[Subject]:
    """An artifact on the bundle's example images."""
    pixels = examples(bundle, job.batch)
    artifact = artifact_of(job.runtime, bundle, job.precision)
    with started(bundle, job) as engine:
        reads = getattr(engine, "shape", (None,))[0]
        if not within(job.batch, reads):
            raise Unfit(
                f"{artifact.file} reads {described(reads)} image at a time, not {job.batch}"
            )
        yield Subject(
            engine.facts,
            job.batch,
            bundle.manifest.size,
            lambda: (engine(pixels),),
            bundle.file(artifact),
        )


def started(bundle: Bundle, job: Job) -> Runtime:
    """The job's engine; :class:`Unfit` where another way to run a file does not go here."""
    try:
        return load(job.runtime, bundle, precision=job.precision, threads=job.threads)
    except ValueError as error:
        if job.runtime in READS:
            raise Unfit(str(error)) from None
        raise


def examples(bundle: Bundle, batch: int = 1) -> Pixels:
    """The bundle's first example images, again where it has too few, or noise.

    uint8 [batch, H, W, 3] of the bundle's size.
    """
    height, width = bundle.manifest.size
    names = sorted(name for name in bundle.manifest.files if name.startswith("examples/"))
    if not names:
        shape = (batch, height, width, 3)
        return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    wanted = [names[index % len(names)] for index in range(batch)]
    read = [images.resize(images.read(bundle.path / name), (height, width)) for name in wanted]
    return np.stack(read)

"""What a job names, loaded: an artifact of a bundle, or any ONNX file, with an input to read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import images
from export.benchmark.foreign import of_file
from export.benchmark.isolated import Unfit
from export.benchmark.subjects import Job, Subject
from export.bundle import Bundle
from export.runtimes import READS, Pixels, Runtime, artifact_of, described, load, within


@contextmanager
def opened(job: Job) -> Iterator[Subject]:
    """What a job names, until the block ends; :class:`Unfit` where its engine cannot do it."""
    path = Path(job.source)
    if path.is_dir():
        with of_bundle(Bundle.load(path), job) as subject:
            yield subject
    else:
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

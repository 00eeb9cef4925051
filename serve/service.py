"""The services: bundles that are served, each behind a queue of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

import images
from export.bundle import Bundle
from export.inspection import EXAMPLES_FOLDER, EXPECTED, named
from export.runtimes import Labels, Runtime, load
from serve.predictor import Predictor
from serve.queueing import EngineOwner, Limits, Place

WORKERS = 4
"""Threads that read and write pictures around one engine, and so the pictures in memory."""
NONE = 255
"""The label of what has no class."""
SAME = 0.9
"""The share of labels that a warm-up must have in common with those of the export: an engine that
computes something else is found, one of another precision is none."""


@dataclass(frozen=True)
class Engine:
    """What the bundles run on, and how long one waits for it."""

    runtime: str = "onnxruntime"
    precision: str | None = None
    threads: int = 0
    limits: Limits = field(default_factory=Limits)

    def load(self, bundle: Bundle) -> Runtime:
        """See :func:`export.runtimes.load`."""
        return load(self.runtime, bundle, precision=self.precision, threads=self.threads)


ONNX_RUNTIME = Engine()


@dataclass(frozen=True)
class Service:
    """A bundle, the owner of its engine, and who prepares pictures for it."""

    name: str
    bundle: Bundle
    owner: EngineOwner
    workers: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(WORKERS))

    def predictor(self, place: Place) -> Predictor:
        """The bundle's predictor, which waits for the engine in a place of the queue."""
        return Predictor(self.bundle, place)

    @property
    def ready(self) -> bool:
        """Whether pictures are answered.  Nothing is served before its warm-up was right."""
        return not (self.owner.stuck or self.owner.closed)

    def warm_up(self) -> None:
        """Run a first picture; ``ValueError`` where its labels cannot be this bundle's.

        The bundle's first example, so that they can be compared with those of the export where
        the bundle holds them, or else nothing but black.
        """
        size = self.bundle.manifest.size
        name, example = next(iter(named(self.bundle, EXAMPLES_FOLDER).items()), ("", None))
        expected = named(self.bundle, EXPECTED).get(name)
        pixels = np.zeros((*size, 3), np.uint8)
        if example is not None:
            pixels = images.resize(images.read(example), size)
        with self.owner.admit() as place:
            labels = place(pixels[None])[0]
        if not self.possible(labels) or (expected and not alike(labels, expected)):
            raise ValueError(
                f"{self.bundle.path} gives wrong labels in {self.owner.facts.runtime} on this "
                "machine. 'segnas doctor' says what it can run."
            )

    def possible(self, labels: Labels) -> bool:
        """Whether they are of the bundle's size and classes."""
        manifest = self.bundle.manifest
        known = labels[labels != NONE]
        return labels.shape == manifest.size and not (known >= len(manifest.classes)).any()


def alike(labels: Labels, expected: Path) -> bool:
    wanted = images.read_labels(expected)
    return labels.shape == wanted.shape and float(np.mean(labels == wanted)) >= SAME


@contextmanager
def opened(
    sources: Sequence[str],
    engine: Engine = ONNX_RUNTIME,
) -> Iterator[list[Service]]:
    """Load bundles and their engines, and warm them up; they are put away when the block ends.

    A source is a bundle's folder, or ``NAME=FOLDER`` to call it otherwise than it calls itself.
    ``ValueError`` where one cannot be loaded, computes wrongly, or two have one name.
    """
    with ExitStack() as stack:
        services: list[Service] = []
        for name, bundle in called(sources):
            owner = stack.enter_context(EngineOwner(partial(engine.load, bundle), engine.limits))
            service = Service(name, bundle, owner)
            stack.callback(service.workers.shutdown, cancel_futures=True)
            service.warm_up()
            services.append(service)
        stack.callback(close, services)
        yield services


def close(services: Sequence[Service]) -> None:
    """Before workers are waited for, nothing may be left for them to wait for."""
    for service in services:
        service.owner.close()


def called(sources: Sequence[str]) -> list[tuple[str, Bundle]]:
    """The name and the bundle in every source."""
    found: dict[str, Bundle] = {}
    for source in sources:
        name, _, folder = source.partition("=")
        path = Path(source) if not folder or Path(source).exists() else Path(folder)
        bundle = Bundle.load(path)
        name = name if path == Path(folder) else bundle.manifest.name
        if name in found:
            raise ValueError(
                f"{path} and {found[name].path} are both called {name}: "
                f"call one otherwise, such as other={path}"
            )
        found[name] = bundle
    return list(found.items())

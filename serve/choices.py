"""The choices: the engines of the served bundles that this machine has, each begun when wanted."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

from export.runtimes import missing, others
from serve.queueing import Closed, EngineOwner, Refused
from serve.service import Engine, Service

UNKNOWN = "There is no such network here: choose another."


class Choices:
    """Every bundle on every engine: what a service was opened with runs, the others can be begun.

    A choice is called by its engine, such as ``openvino int8``, and where several bundles are
    served by its model before that.  Each has an owner, a queue and limits of its own.
    """

    def __init__(self, services: Sequence[Service]) -> None:
        self.services = {service.name: service for service in services}
        self.several = len(services) > 1
        self.offered = {self.called(s.name, words): (s, words) for s in services for words in on(s)}
        self.begun: dict[str, Service | None] = {
            self.called(service.name, running(service)): service for service in services
        }
        """Those that run; None for one that did not start."""
        self.lock, self.stack, self.closed = threading.Lock(), ExitStack(), False
        self.ending = threading.Event()
        """Set when the server is told to stop: what takes minutes ends now."""

    @property
    def names(self) -> list[str]:
        return list(self.offered)

    @property
    def first(self) -> Service:
        return next(iter(self.services.values()))

    def called(self, model: str, engine: str) -> str:
        return f"{model}: {engine}" if self.several else engine

    def service(self, name: object) -> Service:
        """The service called ``name``, begun where it is not; ``Refused`` where it cannot be."""
        if not isinstance(name, str) or name not in self.offered:
            raise Refused(UNKNOWN)
        if self.closed:
            raise Closed
        if name not in self.begun:  # what runs waits for nothing that is being begun
            self.begin(name)
        if (service := self.begun[name]) is None:
            raise Refused(f"{name} does not start on this machine: choose another engine.")
        return service

    def begin(self, name: str) -> None:
        """Start an engine unless another visitor did so meanwhile."""
        with self.lock:
            if self.closed:
                raise Closed
            if name not in self.begun:
                self.begun[name] = self.start(name)

    def start(self, name: str) -> Service | None:
        """Load an engine and warm it up; None, and a line in the log, where it does not go."""
        first, words = self.offered[name]
        runtime, precision = words.split(" ")
        owner = first.owner
        engine = Engine(runtime, precision, owner.facts.threads, owner.limits)
        with ExitStack() as stack:
            try:
                load = partial(engine.load, first.bundle)
                begun = stack.enter_context(EngineOwner(load, owner.limits))
                service = replace(first, owner=begun)
                service.warm_up()
            except (ValueError, Refused) as error:
                logging.getLogger(__name__).warning("%s does not start: %s", name, error)
                return None
            self.stack.push(stack.pop_all())
            return service

    def close(self) -> None:
        """Put away what was begun here."""
        with self.lock:
            self.closed = True
        self.stack.close()


def on(service: Service) -> Iterator[str]:
    """The engines of a bundle that are installed here: the one that runs first, a GPU's last."""
    yield running(service)
    for artifact in sorted(service.bundle.manifest.artifacts, key=lambda a: a.runtime == "torch"):
        if missing(artifact.runtime) is None:
            yield f"{artifact.runtime} {artifact.precision}"
    for runtime, precision in others(service.bundle):
        yield f"{runtime} {precision}"


def running(service: Service) -> str:
    facts = service.owner.facts
    return f"{facts.runtime} {facts.precision}"

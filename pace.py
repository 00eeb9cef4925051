"""The pace of a long job: when it saves its state, and how it is asked to stop."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


def leads() -> bool:
    """Whether this process leads: of those that torchrun started, the first alone writes."""
    return os.environ.get("RANK", "0") == "0"


class StoppedError(BaseException):
    """A job was asked to stop by ``signum``, and did; the text says how to go on.

    Like ``KeyboardInterrupt`` it is no ``Exception``: what handles those must not swallow it.
    """

    def __init__(self, signum: int, saved: bool) -> None:
        self.signum = signum
        place = "the state is saved" if saved else "what was saved before is kept"
        super().__init__(f"stopped, {place}: the same command goes on from there")


class Stop:
    """Whether a job was asked to stop, and if it does so itself or must be interrupted."""

    def __init__(self) -> None:
        self.signum = 0
        self.patient = False

    def ask(self, signum: int) -> None:
        """Note the request where somebody looks for it; else, or when asked again, interrupt.

        ``StoppedError`` is what interrupts.
        """
        again, self.signum = self.signum != 0, signum
        if again or not self.patient:
            raise StoppedError(signum, saved=False)

    @contextmanager
    def looked_for(self) -> Iterator[None]:
        """In this block a request waits until the job looks."""
        self.patient = True
        try:
            yield
        finally:
            self.patient = False


def never() -> None:
    """Between two batches of a job that neither saves nor stops there."""


def unheard(sentence: str) -> None:
    """Nobody listens."""


class Pace:
    """When a job saves, whether it stops, where it runs and says what a person should know.

    ``clock`` counts seconds; a state is due every ``minutes``, and when the job is asked to stop.
    ``machine`` is the name that the job's cost bears.
    """

    def __init__(
        self,
        minutes: float = 10.0,
        stop: Stop | None = None,
        note: Callable[[str], None] = unheard,
        clock: Callable[[], float] = time.monotonic,
        machine: str = "",
    ) -> None:
        self.minutes, self.stop = minutes, stop or Stop()
        self.note, self.clock, self.machine = note, clock, machine
        self.last = clock()

    @property
    def due(self) -> bool:
        """Whether the job should save now."""
        return self.stop.signum != 0 or self.clock() - self.last >= 60 * self.minutes

    def saved(self) -> None:
        """Note that the job has just saved."""
        self.last = self.clock()

    def heed(self) -> None:
        """``StoppedError`` where the job, whose state is saved, was asked to stop."""
        if self.stop.signum:
            raise StoppedError(self.stop.signum, saved=True)


@contextmanager
def heeding(stop: Stop) -> Iterator[None]:
    """In this block SIGTERM and SIGINT ask ``stop``; afterwards they do what they did before."""

    def ask(signum: int, frame: FrameType | None) -> None:
        stop.ask(signum)

    before = {signum: signal.signal(signum, ask) for signum in SIGNALS}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)

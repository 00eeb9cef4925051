"""The queue of an engine: one thread owns it, a bounded number of callers wait, each until then."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

from export.runtimes import Facts, Labels, Pixels, Runtime


@dataclass(frozen=True)
class Limits:
    """What a queue puts up with."""

    places: int = 32
    """Pictures that may wait, the one in the engine included, before more are refused."""
    seconds: float = 30.0
    """From a picture's arrival to its answer; after it nobody waits any longer."""


class Refused(Exception):
    """Why there is no answer, in a sentence for who asked."""


class Busy(Refused):
    """The queue is full."""

    def __init__(self, seconds: int) -> None:
        super().__init__("Too many pictures are waiting: try again in a moment.")
        self.seconds = seconds
        """After which it is worth trying again."""


class Late(Refused):
    """The deadline passed."""

    def __init__(self) -> None:
        super().__init__("The picture was not done in time: try again, perhaps later.")


class Closed(Refused):
    """The engine was put away, or its caller left."""

    def __init__(self) -> None:
        super().__init__("The server is stopping: try again in a moment.")


@dataclass(eq=False)
class Call:
    """Pixels on their way through the engine.  Whoever settles it first has said the last word."""

    pixels: Pixels
    future: Future[Labels] = field(default_factory=Future)
    waited: float = 0.0
    """Seconds in the queue."""
    asked: float = 0.0

    def answer(self, runtime: Runtime) -> None:
        try:
            labels = runtime(self.pixels)
        except Exception as error:
            self.fail(error)
        else:
            with suppress(InvalidStateError):
                self.future.set_result(labels)

    def fail(self, error: Exception) -> None:
        with suppress(InvalidStateError):
            self.future.set_exception(error)


class EngineOwner:
    """A thread that loads one engine and alone calls it, in the order in which it was asked.

    Loading and calling stay in one thread because a CUDA context is a thread's own.  Use it in a
    ``with``: it begins when the engine is loaded, and raises what loading raised.
    """

    def __init__(
        self,
        load: Callable[[], Runtime],
        limits: Limits,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.load, self.limits, self.clock = load, limits, clock
        self.waiting: deque[Call] = deque()
        self.changed = threading.Condition()
        self.loaded: Future[Facts] = Future()
        self.current: Call | None = None
        self.began = 0.0
        self.places: set[Place] = set()
        """Those that are taken."""
        self.calls, self.seconds = 0, 0.0
        """What the engine has done so far."""
        self.closed = False

    @property
    def facts(self) -> Facts:
        return self.loaded.result()

    @property
    def stuck(self) -> bool:
        """Whether the engine has been at one picture for longer than anybody waits."""
        return self.current is not None and self.clock() - self.began > self.limits.seconds

    def admit(self) -> Place:
        """A place in the queue; ``Busy`` where all are taken, or where none would ever be free."""
        with self.changed:
            if self.closed:
                raise Closed
            if len(self.places) >= self.limits.places or self.stuck:
                raise Busy(self.retry_after())
            place = Place(self)
            self.places.add(place)
            return place

    def retry_after(self) -> int:
        """Seconds that what is waiting will take, as the engine has been so far."""
        each = self.seconds / self.calls if self.calls else 0.0
        return max(1, math.ceil(len(self.places) * each))

    def ask(self, call: Call) -> None:
        with self.changed:
            if self.closed:
                raise Closed
            call.asked = self.clock()
            self.waiting.append(call)
            self.changed.notify()

    def withdraw(self, call: Call) -> None:
        """Let a call no longer wait; one that the engine has begun with is only not heard."""
        call.fail(Closed())
        with self.changed, suppress(ValueError):
            self.waiting.remove(call)

    def free(self, place: Place) -> None:
        with self.changed:
            self.places.discard(place)

    def next_call(self) -> Call | None:
        """The call that has waited longest, once there is one; None where the owner is closed."""
        with self.changed:
            self.changed.wait_for(lambda: self.waiting or self.closed)
            if self.closed:
                return None
            self.current, self.began = self.waiting.popleft(), self.clock()
            self.current.waited = self.began - self.current.asked
            return self.current

    def done(self) -> None:
        with self.changed:
            self.current = None
            self.calls, self.seconds = self.calls + 1, self.seconds + self.clock() - self.began

    def run(self) -> None:
        """What the thread does, from loading the engine to putting it away."""
        try:
            with self.load() as runtime:
                self.loaded.set_result(runtime.facts)
                while call := self.next_call():
                    call.answer(runtime)
                    self.done()
        except Exception as error:
            with suppress(InvalidStateError):
                self.loaded.set_exception(error)

    def close(self) -> None:
        """Refuse all that wait and all that come.  An engine that is stuck is left behind."""
        with self.changed:
            self.closed = True
            pending = [*self.waiting, *([self.current] if self.current else [])]
            self.waiting.clear()
            self.changed.notify()
        for call in pending:
            call.fail(Closed())

    def __enter__(self) -> Self:
        # A daemon: an engine that never comes back must not keep the process.
        self.thread = threading.Thread(target=self.run, name="engine", daemon=True)
        self.thread.start()
        self.loaded.result()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
        self.thread.join(1.0)


class Place:
    """A place in the queue: a runtime that answers until a deadline.  Free when its block ends."""

    def __init__(self, owner: EngineOwner) -> None:
        self.owner = owner
        self.deadline = owner.clock() + owner.limits.seconds
        self.call: Call | None = None
        self.left = False

    @property
    def facts(self) -> Facts:
        return self.owner.facts

    @property
    def remaining(self) -> float:
        """Seconds to the deadline, no less than 0."""
        return max(0.0, self.deadline - self.owner.clock())

    @property
    def waited(self) -> float:
        """Seconds that the last call was in the queue."""
        return self.call.waited if self.call else 0.0

    def __call__(self, pixels: Pixels) -> Labels:
        """uint8 [B, H, W, 3] -> uint8 [B, H, W]; ``Late`` or, if left, ``Closed``."""
        if self.left:
            raise Closed
        self.call = Call(pixels)
        self.owner.ask(self.call)
        try:
            return self.call.future.result(self.remaining)
        except TimeoutError:
            self.owner.withdraw(self.call)
            raise Late from None

    def leave(self) -> None:
        """Nobody wants the answer any more, from any thread: what waits goes, what runs is lost."""
        self.left = True
        if self.call:
            self.owner.withdraw(self.call)

    def close(self) -> None:
        """Give the place to the next; more than once is as good as once."""
        self.owner.free(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

"""Liveness: who runs a turn of a shared search, and whether that process is still there."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Protocol

from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

BEAT = "beat"
"""The attribute of a running trial that is counted up while its process lives."""
EVERY, GRACE = 20.0, 120.0
"""Seconds between two beats, and of silence after which a process counts as dead."""


class Liveness(Protocol):
    """Says whether a turn is free, and holds one for this process."""

    def free(self, turn: int, trial: FrozenTrial | None) -> bool:
        """Whether nobody who lives runs ``turn``, for which ``trial`` was begun."""

    def begin(self, trial_id: int) -> None:
        """Show that this process runs a trial, until :meth:`end`."""

    def end(self, turn: int) -> None:
        """Let go of ``turn``."""


class Locks:
    """Locked bytes of one file: the first while something is written, one more for every turn.

    The kernel lets go of them whatever ends a process, on NFS too, and no forked child has them.
    POSIX locks go with the first descriptor that is closed: a process opens ``path`` once.
    """

    def __init__(self, path: Path) -> None:
        self.file = path.open("ab")

    def free(self, turn: int, trial: FrozenTrial | None) -> bool:
        """Whether it is; it is held then."""
        try:
            fcntl.lockf(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 1 + turn)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def begin(self, trial_id: int) -> None:
        """The lock says it."""

    def end(self, turn: int) -> None:
        fcntl.lockf(self.file, fcntl.LOCK_UN, 1, 1 + turn)

    def close(self) -> None:
        """Let go of all."""
        self.file.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A block that no other process is in."""
        fcntl.lockf(self.file, fcntl.LOCK_EX, 1, 0)
        try:
            yield
        finally:
            fcntl.lockf(self.file, fcntl.LOCK_UN, 1, 0)


class Beats:
    """For a database on another machine: a number of the running trial that goes on growing.

    Who watches goes by its own clock alone, so the clocks of two machines may differ; and a process
    that died before its first beat is missed like any other.
    """

    def __init__(
        self,
        storage: BaseStorage,
        every: float = EVERY,
        grace: float = GRACE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.storage, self.every, self.grace, self.clock = storage, every, grace, clock
        self.heard: dict[int, tuple[int, float]] = {}
        self.stop = Event()
        self.thread: Thread | None = None

    def free(self, turn: int, trial: FrozenTrial | None) -> bool:
        if trial is None:
            return True
        beat, now = trial.user_attrs.get(BEAT, 0), self.clock()
        last, since = self.heard.get(trial.number, (-1, now))
        if beat != last:
            self.heard[trial.number] = beat, now
        return beat == last and now - since > self.grace

    def begin(self, trial_id: int) -> None:
        self.stop = Event()
        self.thread = Thread(target=self.beat, args=(trial_id, self.stop), daemon=True)
        self.thread.start()

    def end(self, turn: int) -> None:
        self.stop.set()
        if self.thread:
            self.thread.join()
        self.thread = None

    def beat(self, trial_id: int, stop: Event) -> None:
        """Count up until the trial ends; a storage that is away for a while is tried again."""
        count = 0
        while not stop.wait(self.every):
            count += 1
            try:
                self.storage.set_trial_user_attr(trial_id, BEAT, count)
            except UpdateFinishedTrialError:
                return
            except StorageInternalError:
                continue


def process() -> str:
    """This process, among those of several machines."""
    return f"{os.uname().nodename}:{os.getpid()}"

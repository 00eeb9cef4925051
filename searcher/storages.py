"""Storages: where processes keep the trials that they share, a journal file or a database."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import BaseJournalBackend

from files import room_for
from searcher.liveness import Beats, Liveness, Locks

FIRST = b'{"op_code":'
"""How every line of a journal begins."""
LOCKS = ".locks"
"""What the name of the locks beside a file ends in."""
PATIENCE = 60
"""Seconds that a writer waits for the others of an SQLite file."""
ATTEMPTS, PAUSE = 5, 0.5
"""How often a server is asked for its tables, and the seconds between."""


Opened = tuple[BaseStorage, Liveness]


def opened(name: str) -> AbstractContextManager[Opened]:
    """The storage called ``name``, a path or a URL, and how it is known who lives.

    ``ValueError`` where it is not there, is something else, or goes away while the block runs.
    """
    return database(name) if "://" in name else journal(Path(name))


@contextmanager
def journal(path: Path) -> Iterator[Opened]:
    """A file to which every process appends, made where there is none."""
    if not path.parent.is_dir():
        raise ValueError(f"search.storage: there is no folder {path.parent}: make it first")
    try:
        head = path.read_bytes()[: len(FIRST)] if path.exists() else b""
        if head != FIRST[: len(head)]:
            raise ValueError(f"search.storage: {path} is no journal of trials: name another file")
        path.touch()
        locks = Locks(beside(path))
    except OSError as error:
        raise ValueError(f"search.storage: {path} ({error.strerror}): name another file") from None
    with closing(locks):
        yield JournalStorage(Journal(path, locks)), locks


def beside(path: Path) -> Path:
    """The file of the locks of a storage."""
    return path.with_name(path.name + LOCKS)


class Journal(BaseJournalBackend):
    """Optuna's journal, a JSON line for all that is done, which outlives whoever writes it.

    Optuna's own waits half a minute for the lock of a process that was killed, and reads nothing
    behind a line that it left half written: here the kernel frees the lock and such a line is cut.
    """

    def __init__(self, path: Path, locks: Locks) -> None:
        self.path, self.locks = path, locks
        self.starts = [0]

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        with self.locks.writing(), self.path.open("rb") as stream:
            stream.seek(self.starts[log_number_from])
            *lines, _ = stream.read().split(b"\n")
        del self.starts[log_number_from + 1 :]
        for line in lines:
            self.starts.append(self.starts[-1] + len(line) + 1)
        try:
            return [json.loads(line) for line in lines]
        except ValueError:
            raise ValueError(
                f"{self.path} is damaged: put back a copy, or delete it to try all again"
            ) from None

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        content = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode()
        with self.locks.writing(), room_for(self.path, len(content)):
            self.mend()
            with self.path.open("ab") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())

    def mend(self) -> None:
        """Cut off what is no whole line."""
        with self.path.open("r+b") as stream:
            stream.seek(self.starts[-1])
            tail = stream.read()
            if not tail.endswith(b"\n") and tail:
                stream.truncate(self.starts[-1] + tail.rfind(b"\n") + 1)


@contextmanager
def database(url: str) -> Iterator[Opened]:
    """A database: an SQLite file for the processes of one machine, a server for those of many."""
    from sqlalchemy.exc import SQLAlchemyError

    with ExitStack() as stack:
        try:
            found = connected(url, stack)
        except (SQLAlchemyError, ImportError, OSError, RuntimeError) as error:
            raise ValueError(unusable(url, error.__cause__ or error)) from None
        try:
            yield found
        except StorageInternalError as error:
            raise ValueError(unusable(url, error.__cause__ or error)) from None


def connected(url: str, stack: ExitStack) -> Opened:
    """The database behind ``url``, which ``stack`` closes."""
    from sqlalchemy.engine import make_url

    parts = make_url(url)
    if parts.get_backend_name() != "sqlite":
        storage = tabled(url, stack)
        return storage, Beats(storage)
    if parts.database in (None, "", ":memory:"):
        raise ValueError("search.storage: sqlite needs a file, such as sqlite:///trials.db")
    locks = stack.enter_context(closing(Locks(beside(Path(str(parts.database))))))
    with locks.writing():
        return tabled(url, stack, connect_args={"timeout": PATIENCE}), locks


def tabled(url: str, stack: ExitStack, **engine: Any) -> RDBStorage:
    """A database with the tables of trials.

    A server refuses a table that another process makes at the same time: it is looked for again.
    """
    from sqlalchemy.exc import SQLAlchemyError

    for attempt in range(ATTEMPTS):
        try:
            storage = RDBStorage(url, dict(engine))
            break
        except SQLAlchemyError:
            if attempt == ATTEMPTS - 1:
                raise
            time.sleep(PAUSE)
    stack.callback(storage.engine.dispose)
    return storage


def unusable(url: str, error: BaseException) -> str:
    """One sentence on a database that cannot be used."""
    reason = " ".join(str(error).partition("\n")[0].split())
    remedy = "install its driver" if isinstance(error, ImportError) else "start or mend it"
    return (
        f"search.storage: {shown(url)} cannot be used ({reason}): {remedy}, or name a journal "
        f"file instead"
    )


def shown(name: str) -> str:
    """What a storage is called, without a password."""
    return re.sub(r"(://[^/@]*):[^/@]*@", r"\1:***@", name)

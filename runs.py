"""A run's folder: one owner at a time, and for each stage what it was made from."""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from documents import differences
from files import sha256, write_text
from pace import leads

LOCK = ".lock"
STAGE = "stage.json"


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Hold ``folder`` for this process; ``ValueError`` names the process that holds it.

    The lock is the operating system's: it goes with the process, however that ends.  Workers
    that were forked let go of it at once, since they outlive a killed process by seconds.  Of the
    processes that torchrun started the first holds it for all.
    """
    if not leads():
        yield
        return
    with lock_of(folder) as lock:
        hold(lock, folder, fcntl.LOCK_EX)
        os.register_at_fork(after_in_child=lock.close)
        lock.truncate(0)
        command = " ".join(["segnas", *sys.argv[1:]])
        lock.write(f"process {os.getpid()} ({command}) since {time.strftime('%F %T')}\n")
        lock.flush()
        yield


@contextmanager
def unowned(folder: Path) -> Iterator[None]:
    """A short block in which nobody owns ``folder``; several may be in one at a time."""
    with lock_of(folder) as lock:
        hold(lock, folder, fcntl.LOCK_SH)
        yield


def lock_of(folder: Path) -> IO[str]:
    """The file whose lock owns ``folder``; ``ValueError`` where it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return (folder / LOCK).open("a+")
    except OSError as error:
        raise ValueError(f"{folder} cannot be written ({error.strerror}): choose another") from None


def hold(lock: IO[str], folder: Path, how: int) -> None:
    """Lock the file; ``ValueError`` says who has it."""
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        raise ValueError(
            f"{folder} is in use by {lock.read().strip() or 'another run'}: wait for it, "
            f"stop it, or choose another folder with --set out=DIR"
        ) from None


@dataclass(frozen=True)
class Stage:
    """One stage of a run: its folder, and the ``key`` of everything its result depends on."""

    folder: Path
    key: Mapping[str, Any]

    def record(self) -> dict[str, Any] | None:
        """What the finished stage left, or None; a damaged record counts as none."""
        path = self.folder / STAGE
        try:
            record = json.loads(path.read_text("utf-8")) if path.is_file() else None
        except ValueError:
            return None
        parts = [record.get(name) for name in ("key", "files")] if isinstance(record, dict) else []
        return record if parts and all(isinstance(part, dict) for part in parts) else None

    @property
    def done(self) -> bool:
        """Whether the stage is finished, from the same key, and its files are as it left them."""
        record = self.record()
        return record is not None and not differences(record["key"], self.key) and self.whole

    @property
    def whole(self) -> bool:
        """Whether the stage is finished and its files are as it left them."""
        record = self.record()
        return record is not None and self.intact(record["files"])

    def intact(self, files: Mapping[str, str]) -> bool:
        paths = {self.folder / name: digest for name, digest in files.items()}
        return all(path.is_file() and sha256(path) == digest for path, digest in paths.items())

    def changed(self, name: str) -> bool:
        """Whether the finished stage left another file of this name; no record says no."""
        record = self.record()
        digest = record["files"].get(name) if record else None
        return digest is not None and not self.intact({name: digest})

    def refuse_changes(self) -> None:
        """``ValueError`` where the stage was finished with another key: it was costly."""
        record = self.record()
        changed = differences(record["key"], self.key) if record else []
        if changed:
            raise ValueError(
                f"{self.folder} was made with other settings ({'; '.join(changed)}): put them "
                f"back, choose another folder with --set out=DIR, or delete {self.folder}"
            )

    def finish(self, *files: str) -> None:
        """Note that the stage is done and what its files are."""
        digests = {name: sha256(self.folder / name) for name in files}
        document = {"key": self.key, "files": digests}
        write_text(self.folder / STAGE, json.dumps(document, indent=2) + "\n")

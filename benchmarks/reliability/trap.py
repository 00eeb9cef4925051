"""A canary that no file may touch, and the folder in which files are laid for those who read."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECRET = b"the canary's own words"
Read = Callable[[Path], object]


@dataclass(frozen=True)
class Trap:
    """A folder with a canary outside of it, and what a file that is read must never touch."""

    root: Path

    @property
    def canary(self) -> Path:
        return self.root / "canary"

    @property
    def touched(self) -> Path:
        return self.root / "touched"

    @property
    def folder(self) -> Path:
        return self.root / "folder"

    def set(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.canary.write_bytes(SECRET)

    @property
    def sprung(self) -> bool:
        """Whether anything outside the folder changed."""
        outside = {path.name for path in self.root.iterdir()}
        return outside != {"canary", "folder"} or self.canary.read_bytes() != SECRET


class Evil:
    """Unpickled, it writes a file."""

    def __init__(self, touched: Path) -> None:
        self.touched = touched

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.touched}",)


@dataclass(frozen=True)
class Case:
    """A file: ``make`` writes it into the trap's folder and says where, ``read`` reads it."""

    name: str
    make: Callable[[Trap], Path]
    read: Read


def content(name: str, write: Callable[[Trap], bytes]) -> Callable[[Trap], Path]:
    """What makes a file of a name with these bytes."""

    def make(trap: Trap) -> Path:
        (path := trap.folder / name).write_bytes(write(trap))
        return path

    return make


def pickled(trap: Trap) -> bytes:
    return pickle.dumps({"weights": Evil(trap.touched)})


def always(data: bytes) -> Callable[[Trap], bytes]:
    return lambda trap: data


def filled(text: str) -> Callable[[Trap], bytes]:
    return lambda trap: text.replace("{touched}", str(trap.touched)).encode()

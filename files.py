"""Files that appear whole or not at all, and their hashes."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says where a file does not fit: on the disk, in the quota, under the limit."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place when the block ends without error.

    A reader sees the old file or the new one, also after a crash: write, fsync, rename, fsync.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    part = Path(name)
    try:
        yield part
        part.chmod(0o644)
        sync(part)
        part.replace(path)
        sync(path.parent)
    finally:
        part.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Force a file, or a folder's list of names, onto the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sweep(folder: Path) -> None:
    """Remove what a killed process left half written in ``folder``."""
    for part in folder.glob(".*.part"):
        part.unlink()


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path``, whole or not at all; ``ValueError`` where it does not fit."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path``, whole or not at all; ``ValueError`` where it does not fit."""
    with room_for(path, len(data)), replacing(path) as part:
        pour(data, part)


def pour(data: bytes, path: Path) -> None:
    """Write ``data`` over the file at ``path``."""
    handle = os.open(path, os.O_WRONLY | os.O_TRUNC)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(handle, rest) :]
    finally:
        os.close(handle)


@contextmanager
def room_for(path: Path, size: int) -> Iterator[None]:
    """``ValueError`` where the block finds the disk too full for the ``size`` bytes of ``path``."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        free = shutil.disk_usage(path.parent).free
        raise ValueError(
            f"the disk is full: {path} needs {readable(size)}, and {readable(free)} are free: make "
            f"room and run the same command again"
        ) from None


def sha256(path: Path) -> str:
    """64 hex digits that name the content of a file."""
    found = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            found.update(block)
    return found.hexdigest()


def digest(file: Path) -> str | None:
    """The SHA-256 of a file that something is made of, or None where there is none."""
    return sha256(file) if file.is_file() else None


def readable_size(path: Path) -> str:
    """The size of a file, or of all files below a folder, such as ``2.1 MB``."""
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return readable(sum(p.stat().st_size for p in files))


def readable(count: float) -> str:
    """A number of bytes, such as ``2.1 MB``."""
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"

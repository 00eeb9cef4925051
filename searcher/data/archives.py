"""Archives from the network: unpacked only if no member would land outside, or be a link."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO


@dataclass(frozen=True)
class Member:
    """A file in an archive; ``open`` reads it."""

    name: str
    size: int
    open: Callable[[], IO[bytes]]


def unpack(file: Path, inner: str, into: Path) -> None:
    """Write what a zip or tar file holds below the folder ``inner`` to ``into``.

    ``ValueError`` names the archive and says why not: it is damaged, it has no such folder, or
    a member is a link, a device or has a name that leads elsewhere (zip slip).  Checked are all
    members, before the first is written.  ``OSError`` where the disk has no room for them.
    """
    try:
        with members(file) as found:
            wanted = [m for m in found if PurePosixPath(m.name).is_relative_to(inner)]
            if not wanted:
                raise ValueError(f"{file} holds no folder {inner}: it is another archive")
            check_room(into.parent, sum(member.size for member in wanted))
            for member in wanted:
                write(member, into / member.name)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, RuntimeError) as error:
        raise ValueError(
            f"{file} is damaged ({error}) and was removed: run the same command again"
        ) from None


def write(member: Member, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with member.open() as source, path.open("wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
    if path.stat().st_size != member.size:
        raise EOFError(f"{member.name} ends early")


@contextmanager
def members(file: Path) -> Iterator[list[Member]]:
    """The files in an archive, every name of which has been checked."""
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as packed:
            infos = [info for info in packed.infolist() if not info.is_dir()]
            yield [zip_member(file, packed, info) for info in infos]
    else:
        with tarfile.open(file) as rolled:
            yield [tar_member(file, rolled, info) for info in rolled if not info.isdir()]


def zip_member(file: Path, packed: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    is_link = (info.external_attr >> 16) & 0o170000 == 0o120000
    check_name(file, info.filename, not is_link)
    return Member(info.filename, info.file_size, lambda: packed.open(info))


def tar_member(file: Path, rolled: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    check_name(file, info.name, info.isreg())

    def opened() -> IO[bytes]:
        stream = rolled.extractfile(info)
        assert stream is not None
        return stream

    return Member(info.name, info.size, opened)


def check_name(file: Path, name: str, regular: bool) -> None:
    """``ValueError`` for a member that is no plain file, or whose name leads out of the folder."""
    path = PurePosixPath(name)
    leads_out = path.is_absolute() or ".." in path.parts or any(c in name for c in "\\:\0")
    if leads_out or not regular:
        why = "would be written outside the folder" if leads_out else "is not a plain file"
        raise ValueError(
            f"{file} was removed and nothing unpacked: its member {name!r} {why}, so this is not "
            f"the archive that was published"
        )


def check_room(folder: Path, size: int) -> None:
    """``OSError`` where so many bytes would fill the disk."""
    free = shutil.disk_usage(folder).free
    if size > free:
        raise OSError(
            f"{folder} has room for {free / 1e9:.1f} GB, but {size / 1e9:.1f} GB are to be "
            f"written: make room, or choose another folder"
        )

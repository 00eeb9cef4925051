"""Downloads: resumed where they broke off, checked by hash, unpacked whole or not at all."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from searcher.data.archives import check_room, unpack

STAGING = ".download"
"""The folder in which everything happens before it is moved to its place."""
BLOCK = 1 << 14
"""Bytes that are written at once, and the most that a broken connection loses."""


@dataclass(frozen=True)
class Archive:
    """A zip or tar file in the network, and the folder in it that is wanted."""

    url: str
    inner: str
    hash: str | None = None
    """Such as ``md5:6cd6...``, as somebody publishes it; None where nobody does."""

    @property
    def file(self) -> str:
        return self.url.rpartition("/")[2]


@dataclass(frozen=True)
class Source:
    """Where a data set is to be had, and which of its files belong where below DIR."""

    layout: str
    page: str = ""
    by_hand: str = ""
    """What a person has to do where a program may not."""
    archives: tuple[Archive, ...] = ()


@dataclass(frozen=True)
class Fetched:
    """A folder that was downloaded; ``verified`` where its archive had the published hash."""

    folder: Path
    sha256: str
    verified: bool


def download(archive: Archive, folder: Path, tick: Callable[[], None]) -> Fetched:
    """Fetch an archive and leave its inner folder in ``folder``; ``tick`` is called 100 times.

    Broken off, it goes on where it was when it is called again.  ``ValueError`` names the file or
    address and the remedy: no network, another hash than the published one, an archive that is
    damaged or would write outside ``folder``.  Of a wrong archive nothing is left behind.
    """
    target = folder / PurePosixPath(archive.inner).name
    if target.exists():
        raise ValueError(f"{target} is already there: check it with --check, or delete it first")
    staging = folder / STAGING
    staging.mkdir(parents=True, exist_ok=True)
    sweep(staging, archive)
    file = fetch(archive, staging, tick)
    try:
        unpack(file, archive.inner, staging / "unpacked")
    except ValueError:
        shutil.rmtree(staging)
        raise
    found = Fetched(target, digest(file), archive.hash is not None)
    (staging / "unpacked" / archive.inner).rename(target)
    shutil.rmtree(staging)
    return found


def sweep(staging: Path, archive: Archive) -> None:
    """Remove what a killed process left, but for the archive and the part of it that is there."""
    for path in staging.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif not path.name.startswith(archive.file):
            path.unlink()


def fetch(archive: Archive, staging: Path, tick: Callable[[], None]) -> Path:
    """The archive's file, with the published hash where there is one."""
    import pooch
    import requests

    pooch.get_logger().setLevel("WARNING")
    receive = Resumed(staging / f"{archive.file}.part", hundredths(tick))
    try:
        name = pooch.retrieve(archive.url, archive.hash, archive.file, staging, downloader=receive)
    except requests.RequestException as error:
        if not receive.part.is_file():
            shutil.rmtree(staging)
        raise ValueError(
            f"{archive.url} cannot be downloaded ({reason(error)}): check the network and run the "
            f"same command again; it goes on where it broke off if the server lets it"
        ) from None
    except ValueError as error:
        shutil.rmtree(staging)
        raise ValueError(
            f"{archive.url} is not the file that was published and was removed: "
            f"{' '.join(str(error).split())}"
        ) from None
    return Path(name)


def reason(error: Exception) -> str:
    """The last words of a chain of exceptions: the first ones name objects, not causes."""
    inner = error
    while inner.args and isinstance(inner.args[-1], Exception):
        inner = inner.args[-1]
    return " ".join(str(getattr(inner, "reason", None) or inner).split())


def hundredths(tick: Callable[[], None]) -> Callable[[int, int], None]:
    """Turn (bytes that are there, bytes in all) into a tick for each hundredth."""
    shown = 0

    def progress(done: int, total: int) -> None:
        nonlocal shown
        while total and shown < 100 * done // total:
            shown += 1
            tick()

    return progress


def digest(file: Path) -> str:
    """The SHA-256 of a file, 64 hex digits."""
    import pooch

    return str(pooch.file_hash(str(file), alg="sha256"))


@dataclass(frozen=True)
class Resumed:
    """A downloader for pooch that keeps what came in ``part`` and asks for the rest.

    It goes on only if the server says by ETag or date that the file is still the same one.
    """

    part: Path
    progress: Callable[[int, int], None]
    attempts: int = 5
    pause: float = 2.0
    """Seconds between two attempts."""

    def __call__(self, url: str, output: str, _: object) -> None:
        """Download ``url`` to ``output``; ``requests.RequestException`` where it cannot."""
        import requests

        for attempt in range(self.attempts):
            try:
                self.receive(url)
                break
            except (
                requests.ConnectionError,
                requests.Timeout,
                requests.exceptions.ChunkedEncodingError,
            ):
                if attempt + 1 == self.attempts:
                    raise
                time.sleep(self.pause)
        self.part.replace(output)
        self.validator.unlink(missing_ok=True)

    @property
    def validator(self) -> Path:
        """Where the server's name for this very version of the file is kept."""
        return self.part.with_suffix(".version")

    def receive(self, url: str) -> None:
        """Append what is missing to ``part``, or begin anew."""
        import requests

        start, headers = self.begun()
        with requests.get(url, headers=headers, stream=True, timeout=30) as answer:
            if answer.status_code == 416:
                self.part.unlink()
                raise requests.ConnectionError("the server has another file than before")
            answer.raise_for_status()
            here = answer.headers.get("Content-Range", "").startswith(f"bytes {start}-")
            start = start if answer.status_code == 206 and here else 0
            length = answer.headers.get("Content-Length")
            total = start + int(length) if length else 0
            check_room(self.part.parent, total - start)
            version = answer.headers.get("ETag") or answer.headers.get("Last-Modified", "")
            self.validator.write_text(version, "utf-8")
            with self.part.open("ab" if start else "wb") as stream:
                for block in answer.iter_content(BLOCK):
                    stream.write(block)
                    self.progress(stream.tell(), total)
        if total and self.part.stat().st_size != total:
            raise requests.ConnectionError("the connection ended early")

    def begun(self) -> tuple[int, dict[str, str]]:
        """How many bytes are there, and the headers that ask for the rest."""
        headers = {"Accept-Encoding": "identity", "User-Agent": "segnas"}
        if not (self.part.is_file() and self.validator.is_file()):
            return 0, headers
        size, version = self.part.stat().st_size, self.validator.read_text("utf-8")
        if not size or not version or version.startswith("W/"):
            return 0, headers
        return size, {**headers, "Range": f"bytes={size}-", "If-Range": version}

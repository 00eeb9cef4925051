"""Downloads from a local server: whole, broken off, wrong, hostile."""

from __future__ import annotations

import hashlib
import io
import shutil
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from searcher.data.catalogue import SOURCES
from searcher.data.download import BLOCK, STAGING, Archive, Resumed, download

CONTENT = bytes(range(256)) * 4000


class Served(ThreadingHTTPServer):
    """Files by path; ``cut`` answers break off after so many bytes; ``asked`` are the ranges."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.cut: list[int] = []
        self.asked: list[str | None] = []
        self.version = '"1"'
        self.lengths = True

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Handler(BaseHTTPRequestHandler):
    server: Served

    def do_GET(self) -> None:
        body = self.server.files.get(self.path[1:])
        self.server.asked.append(self.headers["Range"])
        if body is None:
            self.send_error(404)
            return
        start = self.start(len(body))
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if self.server.lengths:
            self.send_header("Content-Length", str(len(body) - start))
        self.send_header("ETag", self.server.version)
        self.end_headers()
        end = start + self.server.cut.pop(0) if self.server.cut else len(body)
        self.wfile.write(body[start:end])

    def start(self, size: int) -> int:
        same = self.headers["If-Range"] == self.server.version
        asked = self.headers["Range"]
        return int(asked.removeprefix("bytes=").rstrip("-")) if asked and same else 0

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed."""


@pytest.fixture
def server() -> Iterator[Served]:
    with Served() as served:
        thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield served
        served.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)


def zipped(**files: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def tarred(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def published(server: Served, name: str, body: bytes, hashed: bool = True) -> Archive:
    server.files[name] = body
    md5 = f"md5:{hashlib.md5(body).hexdigest()}" if hashed else None
    return Archive(server.url(name), "made/Set", md5)


def resumed(*received: int) -> str:
    """What is asked for after answers of those lengths, of each of which whole blocks are kept."""
    return f"bytes={sum(size // BLOCK * BLOCK for size in received)}-"


def left(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_is_fetched_checked_and_unpacked(
    server: Served, tmp_path: Path, kind: str
) -> None:
    files = {"made/Set/a/1.png": CONTENT, "made/Set/list.txt": b"1", "made/README": b"not this"}
    if kind == "zip":
        body = zipped(**files)
    else:
        body = tarred(*((tarfile.TarInfo(name), content) for name, content in files.items()))
    ticks: list[None] = []
    found = download(published(server, "set.zip", body), tmp_path, lambda: ticks.append(None))
    assert found.folder == tmp_path / "Set"
    assert found.verified
    assert found.sha256 == hashlib.sha256(body).hexdigest()
    assert left(tmp_path) == ["Set/a/1.png", "Set/list.txt"]
    assert (tmp_path / "Set/a/1.png").read_bytes() == CONTENT
    assert len(ticks) == 100
    assert server.asked == [None]


def test_what_has_no_published_hash_is_not_called_verified(server: Served, tmp_path: Path) -> None:
    body = zipped(**{"made/Set/1": b"1"})
    found = download(published(server, "set.zip", body, hashed=False), tmp_path, lambda: None)
    assert not found.verified
    assert found.sha256 == hashlib.sha256(body).hexdigest()


def test_a_connection_that_breaks_is_taken_up_again(server: Served, tmp_path: Path) -> None:
    archive = published(server, "set.zip", zipped(**{"made/Set/1": CONTENT}))
    server.cut = [300_000, 200_000]
    download(archive, tmp_path, lambda: None)
    assert server.asked == [None, resumed(300_000), resumed(300_000, 200_000)]
    assert (tmp_path / "Set/1").read_bytes() == CONTENT
    assert left(tmp_path) == ["Set/1"]


@pytest.mark.parametrize("hashed", [True, False])
def test_a_server_that_says_no_length(server: Served, tmp_path: Path, hashed: bool) -> None:
    server.lengths = False
    archive = published(server, "set.zip", zipped(**{"made/Set/1": CONTENT}), hashed)
    server.cut = [300_000]
    with pytest.raises(ValueError, match=r"was published and was removed|is damaged"):
        download(archive, tmp_path, lambda: None)
    assert left(tmp_path) == []
    download(archive, tmp_path, lambda: None)
    assert left(tmp_path) == ["Set/1"]


def test_a_command_that_broke_off_goes_on(server: Served, tmp_path: Path) -> None:
    archive = published(server, "set.zip", zipped(**{"made/Set/1": CONTENT}))
    server.cut = [100_000] * Resumed(Path(), lambda done, total: None).attempts
    with pytest.raises(ValueError, match=r"set\.zip cannot be downloaded .*goes on where it broke"):
        download(archive, tmp_path, lambda: None)
    assert not (tmp_path / "Set").exists()
    (tmp_path / STAGING / "tmp1234").write_text("left by a kill")
    server.asked.clear()
    download(archive, tmp_path, lambda: None)
    assert server.asked == [resumed(*[100_000] * 5)]
    assert left(tmp_path) == ["Set/1"]


def test_another_version_is_not_glued_to_the_first(server: Served, tmp_path: Path) -> None:
    old = published(server, "set.zip", zipped(**{"made/Set/1": CONTENT[::-1]}), hashed=False)
    server.cut = [100_000] * 5
    with pytest.raises(ValueError, match="cannot be downloaded"):
        download(old, tmp_path, lambda: None)
    published(server, "set.zip", zipped(**{"made/Set/1": CONTENT}))
    server.version = '"2"'
    download(old, tmp_path, lambda: None)
    assert (tmp_path / "Set/1").read_bytes() == CONTENT


def test_a_wrong_hash_is_refused_and_removed(server: Served, tmp_path: Path) -> None:
    archive = published(server, "set.zip", zipped(**{"made/Set/1": CONTENT}))
    server.files["set.zip"] = zipped(**{"made/Set/1": CONTENT[::-1]})
    with pytest.raises(ValueError, match=r"set\.zip is not the file that was published and was"):
        download(archive, tmp_path, lambda: None)
    assert not [*tmp_path.iterdir()]


def link(kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo("made/Set/link")
    info.type, info.linkname = kind, "/etc/passwd"
    return info


def link_in_zip() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        info = zipfile.ZipInfo("made/Set/link")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    return stream.getvalue()


GOOD = (tarfile.TarInfo("made/Set/good"), b"good")
HOSTILE = {
    "zip slip": zipped(**{"made/Set/good": b"good", "made/Set/../../../out": b"evil"}),
    "zip slip elsewhere": zipped(**{"made/Set/good": b"good", "../out": b"evil"}),
    "zip absolute": zipped(**{"made/Set/good": b"good", "/tmp/segnas-out": b"evil"}),
    "zip backslash": zipped(**{"made/Set/good": b"good", "made/Set/..\\..\\out": b"evil"}),
    "zip link": link_in_zip(),
    "tar slip": tarred(GOOD, (tarfile.TarInfo("made/Set/../../../out"), b"evil")),
    "tar absolute": tarred(GOOD, (tarfile.TarInfo("/tmp/segnas-out"), b"evil")),
    "tar symlink": tarred(GOOD, (link(tarfile.SYMTYPE), b"")),
    "tar hard link": tarred(GOOD, (link(tarfile.LNKTYPE), b"")),
    "tar device": tarred(GOOD, (link(tarfile.CHRTYPE), b"")),
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_archive_writes_nothing(server: Served, tmp_path: Path, body: bytes) -> None:
    folder = tmp_path / "deep" / "deeper"
    with pytest.raises(ValueError, match=r"was removed and nothing unpacked: its member"):
        download(published(server, "set.zip", body, hashed=False), folder, lambda: None)
    assert left(tmp_path) == []
    assert not [*folder.iterdir()]
    assert not Path("/tmp/segnas-out").exists()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>not found</html>", "is damaged"),
        (zipped(**{"other/1": b"1"}), "holds no folder made/Set"),
        (zipped(**{"made/Set/1": CONTENT})[:-200], "is damaged"),
        (zipped(**{"made/Set/1": CONTENT}).replace(CONTENT[:64], CONTENT[1:65], 1), "is damaged"),
        (tarred((tarfile.TarInfo("made/Set/1"), CONTENT))[:-300], "is damaged"),
    ],
)
def test_a_wrong_archive_leaves_nothing(
    server: Served, tmp_path: Path, body: bytes, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        download(published(server, "set.zip", body, hashed=False), tmp_path, lambda: None)
    assert not [*tmp_path.iterdir()]


def test_no_such_file(server: Served, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.zip cannot be downloaded \(404"):
        download(Archive(server.url("none.zip"), "made/Set"), tmp_path, lambda: None)
    assert left(tmp_path) == []


def test_no_network(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot be downloaded \(.*refused.*check the network"):
        download(Archive("http://127.0.0.1:9/set.zip", "made/Set"), tmp_path, lambda: None)


def test_what_is_there_is_not_overwritten(server: Served, tmp_path: Path) -> None:
    (tmp_path / "Set").mkdir()
    with pytest.raises(ValueError, match=r"Set is already there: check it with --check"):
        download(published(server, "set.zip", b""), tmp_path, lambda: None)
    assert server.asked == []


def test_a_full_disk_keeps_what_was_downloaded(
    server: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = published(server, "set.zip", zipped(**{"made/Set/1": CONTENT}))
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10))
        with pytest.raises(OSError, match=r"has room for 0\.0 GB"):
            download(archive, tmp_path, lambda: None)
    download(archive, tmp_path, lambda: None)
    assert left(tmp_path) == ["Set/1"]


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_says_what_goes_where(name: str) -> None:
    source = SOURCES[name]
    assert "DIR/" in source.layout
    assert bool(source.archives) != bool(source.by_hand)
    for archive in source.archives:
        assert archive.hash is None or archive.hash.startswith(("md5:", "sha256:"))

"""Files: whole or not at all, whatever happens while they are written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from hashlib import sha256 as digest
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from files import readable_size, replacing, sha256, sweep, write_bytes, write_text

ROOT = Path(__file__).resolve().parents[1]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "file.txt"
    for text in ("old and longer", "new"):
        write_text(path, text)
        assert path.read_text() == text
    assert names(path.parent) == ["file.txt"]


def write_half(path: Path, error: type[BaseException]) -> None:
    with replacing(path) as part:
        part.write_text("half")
        raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_the_old_content_stays_where_the_block_raises(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "file.txt"
    write_text(path, "old")
    with pytest.raises(error):
        write_half(path, error)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file.txt"]


def test_nothing_appears_where_there_was_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        write_half(tmp_path / "file.txt", KeyError)
    assert names(tmp_path) == []


def test_a_reader_sees_the_old_file_until_the_end(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_text(path, "old")
    with path.open() as reader:
        with replacing(path) as part:
            part.write_text("new")
            assert path.read_text() == "old"
            assert part.parent == path.parent, "a rename works within one file system only"
        assert path.read_text() == "new"
        assert reader.read() == "old", "what was opened before is never written over"


def test_a_killed_writer_leaves_the_old_file_and_a_rest_that_is_swept(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_text(path, "old")
    code = (
        "import os, pathlib, signal, sys\nfrom files import replacing\n"
        "with replacing(pathlib.Path(sys.argv[1])) as part:\n"
        "    part.write_text('half')\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, path], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    assert len(names(tmp_path)) == 2
    sweep(tmp_path)
    assert names(tmp_path) == ["file.txt"]


def test_sweep_takes_only_what_is_its_own(tmp_path: Path) -> None:
    for name in ("a.part", ".b", ".c.txt.xyz.part", "d"):
        (tmp_path / name).write_text("")
    sweep(tmp_path)
    assert names(tmp_path) == [".b", "a.part", "d"]
    sweep(tmp_path / "nowhere")


def test_others_may_read_what_is_written(tmp_path: Path) -> None:
    write_bytes(tmp_path / "file", b"x")
    assert os.stat(tmp_path / "file").st_mode & 0o777 == 0o644


@given(data=st.binary(max_size=100), times=st.sampled_from([1, 30_000]))
def test_bytes_and_their_digest(
    data: bytes, times: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "hashed"
    path.write_bytes(data * times)
    assert sha256(path) == digest(data * times).hexdigest()


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (2_140_000, "2.1 MB"), (3 * 10**9, "3.0 GB")],
)
def test_sizes_are_readable(tmp_path: Path, count: int, text: str) -> None:
    with (tmp_path / "file").open("wb") as stream:
        stream.truncate(count)
    assert readable_size(tmp_path / "file") == text
    assert readable_size(tmp_path) == text

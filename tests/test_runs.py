"""Runs: a folder has one owner, and a stage knows what it was made from."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from files import write_text
from runs import LOCK, STAGE, Stage, owned

ROOT = Path(__file__).resolve().parents[1]
HOLD = """
import pathlib, sys
from runs import owned
try:
    with owned(pathlib.Path(sys.argv[1])):
        print("mine", flush=True)
        sys.stdin.read()
except ValueError as error:
    print(error, flush=True)
"""


FORKING = """
import os, pathlib, sys, time
from runs import owned
with owned(pathlib.Path(sys.argv[1])):
    child = os.fork()
    if not child:
        os.close(1)
        time.sleep(20)
        os._exit(0)
    print(child, flush=True)
    time.sleep(20)
"""


def start(folder: Path, code: str = HOLD) -> subprocess.Popen[str]:
    """A process that takes the folder and holds it until its input ends."""
    return subprocess.Popen(
        [sys.executable, "-c", code, str(folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def answer(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@contextmanager
def holding(folder: Path) -> Iterator[subprocess.Popen[str]]:
    process = start(folder)
    assert answer(process) == "mine"
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_second_process_is_told_who_was_first(tmp_path: Path) -> None:
    with holding(tmp_path / "run") as first:
        second = start(tmp_path / "run")
        message = answer(second)
        second.communicate()
        assert f"is in use by process {first.pid} (segnas " in message
        assert "choose another folder with --set out=DIR" in message
        with (
            pytest.raises(ValueError, match=f"is in use by process {first.pid} "),
            owned(tmp_path / "run"),
        ):
            pass


def test_the_lock_goes_with_a_killed_process(tmp_path: Path) -> None:
    with holding(tmp_path) as first:
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        with owned(tmp_path):
            assert f"process {os.getpid()} " in (tmp_path / LOCK).read_text()
            assert str(first.pid) not in (tmp_path / LOCK).read_text()


def test_a_worker_that_outlives_its_process_holds_nothing(tmp_path: Path) -> None:
    process = start(tmp_path, FORKING)
    worker = int(answer(process))
    try:
        with pytest.raises(ValueError, match=f"in use by process {process.pid} "), owned(tmp_path):
            pass
        process.kill()
        process.communicate()
        with owned(tmp_path):
            os.kill(worker, 0)
    finally:
        os.kill(worker, signal.SIGKILL)


def test_of_fifty_that_race_one_wins(tmp_path: Path) -> None:
    racers = [start(tmp_path / "run") for _ in range(50)]
    try:
        answers = [answer(process) for process in racers]
    finally:
        for process in racers:
            process.kill()
            process.communicate()
    assert answers.count("mine") == 1
    winner = racers[answers.index("mine")].pid
    for message in answers:
        in_use = f"is in use by process {winner} " in message or "by another run" in message
        assert message == "mine" or in_use


def test_the_folder_is_free_again_after_the_block(tmp_path: Path) -> None:
    for _ in range(2):
        with owned(tmp_path):
            pass
    with pytest.raises(RuntimeError), owned(tmp_path):
        raise RuntimeError
    with owned(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(ValueError, match=rf"{folder} cannot be written"), owned(folder):
            pass


KEY: dict[str, Any] = {"seed": 0, "train": {"epochs": 10}}


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A stage that is finished, with two files."""
    for name in ("a.txt", "b.txt"):
        write_text(tmp_path / name, name)
    made = Stage(tmp_path, KEY)
    assert not made.done
    made.finish("a.txt", "b.txt")
    return made


def test_a_finished_stage_is_done(stage: Stage) -> None:
    assert stage.done
    assert Stage(stage.folder, {"train": {"epochs": 10}, "seed": 0}).done
    stage.refuse_changes()


def test_a_stage_whose_file_changed_is_not_done(stage: Stage) -> None:
    write_text(stage.folder / "b.txt", "b.txT")
    assert not stage.done
    write_text(stage.folder / "b.txt", "b.txt")
    assert stage.done
    (stage.folder / "a.txt").unlink()
    assert not stage.done


def test_a_file_that_is_not_the_stages_does_not_matter(stage: Stage) -> None:
    write_text(stage.folder / "notes.txt", "x")
    assert stage.done


def test_another_key_is_refused_with_the_difference(stage: Stage) -> None:
    other = Stage(stage.folder, {"seed": 0, "train": {"epochs": 20}, "more": 1})
    assert not other.done
    with pytest.raises(ValueError, match="was made with other settings") as caught:
        other.refuse_changes()
    assert "(train.epochs: 10 -> 20; more: None -> 1)" in str(caught.value)
    assert f"delete {stage.folder}" in str(caught.value)


def test_what_was_never_finished_refuses_nothing(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "nowhere", KEY)
    assert not stage.done
    stage.refuse_changes()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"key": 1}', b"\xff"])
def test_a_damaged_record_is_a_stage_that_is_not_done(stage: Stage, content: bytes) -> None:
    (stage.folder / STAGE).write_bytes(content)
    assert not stage.done
    stage.refuse_changes()


def test_a_stage_cannot_finish_without_its_files(tmp_path: Path) -> None:
    stage = Stage(tmp_path, KEY)
    with pytest.raises(FileNotFoundError):
        stage.finish("a.txt")
    assert not (tmp_path / STAGE).exists()

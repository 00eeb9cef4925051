"""Checkpoints: what was saved comes back bit for bit, or one sentence says why not."""

from __future__ import annotations

import os
import pickle
import random
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from searcher import checkpoint
from searcher.checkpoint import (
    BEFORE,
    BEST,
    STATE,
    STATES,
    DivergedError,
    is_best,
    read_log,
    resume,
    save,
    write_log,
)

KEY = {"seed": 0, "train": {"epochs": 10, "crop": [96, 128]}}
TENSOR = torch.arange(500.0)


def state() -> dict[str, Any]:
    return {"network": {"w": TENSOR, "n": torch.tensor(3)}, "log": [{"loss": 0.1}], "epoch": 2}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(tmp_path, state(), KEY)
    return tmp_path


def test_a_state_comes_back_bit_for_bit(folder: Path) -> None:
    again = resume(folder, KEY)
    assert again is not None
    assert torch.equal(again["network"].pop("w"), TENSOR)
    assert again == {"network": {"n": torch.tensor(3)}, "log": [{"loss": 0.1}], "epoch": 2}


def test_a_job_that_has_not_begun_has_no_state(tmp_path: Path) -> None:
    assert resume(tmp_path, KEY) is None
    assert resume(tmp_path / "nowhere", KEY) is None


def drawn() -> list[float]:
    """A number from every global source."""
    return [torch.rand(1).item(), random.random(), np.random.standard_normal()]  # noqa: NPY002


def test_every_random_state_comes_back(tmp_path: Path) -> None:
    drawn()
    save(tmp_path, state(), KEY)
    expected = drawn()
    assert drawn() != expected
    resume(tmp_path, KEY)
    assert drawn() == expected


def test_another_key_is_refused_with_the_difference(folder: Path) -> None:
    other = {"seed": 1, "train": {"epochs": 10, "crop": [96, 96]}, "more": True}
    with pytest.raises(ValueError, match="was begun with other settings") as caught:
        resume(folder, other)
    message = str(caught.value)
    for part in ("seed: 0 -> 1", "train.crop: [96, 128] -> [96, 96]", "more: None -> True"):
        assert part in message
    assert "epochs" not in message
    assert f"delete {folder}" in message


@pytest.mark.parametrize("keep", [0, 1, 31, 32, 33, 100, 1000, -1, -32, -33])
def test_a_cut_file_is_named_in_one_sentence(folder: Path, keep: int) -> None:
    path = folder / STATE
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"state\.pt cannot be read \(.*\): delete ") as caught:
        resume(folder, KEY)
    assert "\n" not in str(caught.value)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_flipped_bit_is_read(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / "flipped"
    save(folder, state(), KEY)
    content = bytearray((folder / STATE).read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    (folder / STATE).write_bytes(content)
    with pytest.raises(ValueError, match=r"state\.pt cannot be read \(it is damaged\)"):
        resume(folder, KEY)


def test_a_flipped_bit_in_the_middle_of_a_weight_is_found(folder: Path) -> None:
    """Torch alone reads it without a word."""
    path = folder / STATE
    content = bytearray(path.read_bytes())
    content[content.index(TENSOR.numpy().tobytes()) + 1001] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="it is damaged"):
        resume(folder, KEY)


class Canary:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("form", ["zip", "bare"])
def test_a_pickle_is_not_executed(tmp_path: Path, form: str) -> None:
    path, sang = tmp_path / STATE, tmp_path / "sang"
    if form == "zip":
        torch.save({"key": Canary(sang)}, path)
    else:
        path.write_bytes(pickle.dumps({"key": Canary(sang)}, protocol=2))
    content = path.read_bytes()
    path.write_bytes(content + sha256(content).digest())
    with pytest.raises(ValueError, match=r"state\.pt cannot be read"):
        resume(tmp_path, KEY)
    assert not sang.exists()


def test_what_a_killed_save_left_is_removed(folder: Path) -> None:
    (folder / f".{STATE}.abc.part").write_bytes(b"half")
    resume(folder, KEY)
    assert [p.name for p in folder.iterdir()] == [STATE]


def test_a_save_that_fails_leaves_the_last_one(folder: Path) -> None:
    with pytest.raises(TypeError):
        save(folder, {"epoch": 3}, {"key": object()})
    again = resume(folder, KEY)
    assert again is not None
    assert again["epoch"] == 2


def test_a_log_is_written_anew(tmp_path: Path) -> None:
    lines = [{"epoch": 1, "miou": 0.5}, {"epoch": 2, "miou": float("nan")}]
    for count in (2, 1):
        write_log(tmp_path / "log.jsonl", lines[:count])
        assert len(read_log(tmp_path / "log.jsonl")) == count
    assert read_log(tmp_path / "log.jsonl") == lines[:1]


def test_a_state_is_written_whole_or_not_at_all(folder: Path) -> None:
    before = (folder / STATE).stat().st_ino
    checkpoint.save(folder, state(), KEY)
    assert (folder / STATE).stat().st_ino != before, "replaced, never written over"


def epoch_of(folder: Path, notes: list[str] | None = None) -> int:
    again = resume(folder, KEY, notes.append if notes is not None else lambda _: None)
    assert again is not None
    return again["epoch"]


def damage(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "torn":
        content = content[: len(content) // 2]
    elif how == "zeroed":
        content = bytearray(len(content))
    elif how == "flipped":
        content[len(content) // 2] ^= 16
    path.write_bytes(content if how != "empty" else b"")


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """A folder whose states are of epochs 3, 2, and the best of 1."""
    for epoch in (1, 2, 3):
        save(tmp_path, {**state(), "epoch": epoch}, KEY, best=epoch == 1)
    return tmp_path


def test_the_newest_two_are_kept_and_the_best(three: Path) -> None:
    assert {p.name for p in three.iterdir()} == {STATE, BEFORE, BEST}
    assert [checkpoint.read(three / name)["epoch"] for name in STATES] == [3, 2, 1]


@pytest.mark.parametrize("how", ["torn", "zeroed", "flipped", "empty"])
def test_a_damaged_state_gives_way_to_the_one_before(three: Path, how: str) -> None:
    for epoch, name, before in ((2, STATE, BEFORE), (1, BEFORE, BEST)):
        notes: list[str] = []
        damage(three / name, how)
        assert epoch_of(three, notes) == epoch
        assert notes == [
            f"{three / name} is damaged: going on from {before}, which was saved before it"
        ]
    assert epoch_of(three, notes) == 1
    assert len(notes) == 1, "it is said once"
    save(three, {**state(), "epoch": 9}, KEY)
    assert epoch_of(three) == 9


def test_where_all_are_damaged_nothing_is_touched(three: Path) -> None:
    for name in STATES:
        damage(three / name, "torn")
    before = {p.name: p.read_bytes() for p in three.iterdir()}
    message = r"state\.pt cannot be read .*, nor can state\.1\.pt, nor can best\.pt: delete "
    with pytest.raises(ValueError, match=message):
        resume(three, KEY)
    assert {p.name: p.read_bytes() for p in three.iterdir()} == before


def test_another_key_is_refused_before_anything_is_set_aside(three: Path) -> None:
    damage(three / STATE, "torn")
    names = sorted(p.name for p in three.iterdir())
    with pytest.raises(ValueError, match="other settings"):
        resume(three, {"seed": 1})
    assert sorted(p.name for p in three.iterdir()) == names


CALLS = ("open", "write", "fsync", "replace", "unlink", "close", "chmod")
"""What a save asks of the operating system."""


def crash(folder: Path, at: int, share: float) -> bool:
    """Save in a child that dies in its ``at``-th call, a write after that share of its bytes.

    Whether the child lived.
    """
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    calls = 0

    def mortal(name: str, real: Any) -> Any:
        def call(*words: Any, **more: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == at:
                if name == "write":
                    real(words[0], words[1][: int(share * len(words[1]))])
                os._exit(7)
            return real(*words, **more)

        return call

    for name in CALLS:
        setattr(os, name, mortal(name, getattr(os, name)))
    try:
        save(folder, {**state(), "epoch": 2}, KEY, best=True)
    finally:
        os._exit(0 if calls < at else 8)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_crash_at_any_call_of_a_save_leaves_the_old_state_or_the_new(
    tmp_path: Path, share: float
) -> None:
    seen: list[int] = []
    for at in range(1, 100):
        folder = tmp_path / str(at)
        for epoch in (0, 1):
            save(folder, {**state(), "epoch": epoch}, KEY, best=True)
        lived = crash(folder, at, share)
        notes: list[str] = []
        seen.append(epoch_of(folder, notes))
        assert not notes
        assert not list(folder.glob(".*"))
        save(folder, {**state(), "epoch": 3}, KEY)
        assert epoch_of(folder) == 3
        if lived:
            break
    assert len(seen) > 10
    assert seen == sorted(seen)
    assert set(seen) == {1, 2}


def test_a_crash_in_the_first_save_leaves_nothing_or_the_state(tmp_path: Path) -> None:
    for at in range(1, 100):
        folder = tmp_path / str(at)
        lived = crash(folder, at, 0.5)
        again = resume(folder, KEY)
        assert again is None or again["epoch"] == 2
        if lived:
            break
    assert again is not None


@pytest.mark.parametrize("number", [torch.nan, torch.inf])
def test_no_state_without_numbers_is_saved(folder: Path, number: float) -> None:
    bad = {**state(), "network": {"w": torch.tensor([1.0, number])}}
    with pytest.raises(
        DivergedError, match=r"network\.w is no longer a number: lower the learning"
    ):
        save(folder, bad, KEY)
    assert epoch_of(folder) == 2


def test_the_best_is_above_all_before_it() -> None:
    assert is_best([0.1])
    assert is_best([float("nan"), 0.1, 0.2])
    assert not is_best([0.1, 0.1])
    assert not is_best([0.1, float("nan")])

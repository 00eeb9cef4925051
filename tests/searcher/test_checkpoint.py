"""Checkpoints: what was saved comes back bit for bit, or one sentence says why not."""

from __future__ import annotations

import os
import pickle
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from searcher import checkpoint
from searcher.checkpoint import STATE, read_log, resume, save, write_log

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


def test_the_random_state_comes_back(tmp_path: Path) -> None:
    torch.manual_seed(5)
    torch.rand(3)
    save(tmp_path, state(), KEY)
    expected = torch.rand(4)
    torch.manual_seed(99)
    resume(tmp_path, KEY)
    assert torch.equal(torch.rand(4), expected)


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

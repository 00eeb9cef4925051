"""Several processes: two with half the batch are one with the whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("rank.py")


def run(folder: Path, ranks: int, batch: int) -> list[dict[str, Any]]:
    """What each of ``ranks`` processes leaves."""
    folder.mkdir()
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command = [*torchrun, f"--nproc-per-node={ranks}", str(SCRIPT), str(folder), str(batch)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    return [torch.load(folder / f"rank{i}.pt", weights_only=True) for i in range(ranks)]


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """One process with batches of four, then two with batches of two."""
    folder = tmp_path_factory.mktemp("ranks")
    found = [*run(folder / "one", 1, 4), *run(folder / "two", 2, 2)]
    files = {p.name for p in (folder / "two" / "train").iterdir()}
    assert "weights.safetensors" in files
    return found


def test_both_end_with_the_same_weights(ranks: list[dict[str, Any]]) -> None:
    _, one, other = ranks
    for part in ("network", "supernet"):
        for name, tensor in one[part].items():
            assert torch.equal(tensor, other[part][name]), name
    assert one["scores"] == other["scores"]


def test_they_learn_what_one_learns_from_the_double_batch(ranks: list[dict[str, Any]]) -> None:
    alone, one, _ = ranks
    for name, tensor in alone["network"].items():
        torch.testing.assert_close(tensor, one["network"][name], rtol=0, atol=1e-5)
    assert alone["scores"] == pytest.approx(one["scores"], abs=1e-5)


def test_every_validation_image_is_counted_once(ranks: list[dict[str, Any]]) -> None:
    alone, one, other = ranks
    assert int(alone["confusion"].sum()) == int(one["confusion"].sum())
    assert torch.equal(one["confusion"], other["confusion"])

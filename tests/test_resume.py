"""Killed at any moment and run again, a build ends as if it had never been killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from files import sha256
from searcher.cost import read_cost

ROOT = Path(__file__).parent.parent
RECIPE = """
system: auto_deeplab
out: {out}
data: {{name: streets, size: [64, 96], train: 16, val: 2}}
search: {{epochs: 4, warmup: 1, batch: 2, size: [32, 48], layers: 3, nodes: 2, lr: 0.05,
  sizes: {{width: 2, stem: 4, head: 8}}}}
train: {{epochs: 6, batch: 4, sizes: {{width: 4}}, validate_every: 2}}
compute: {{precision: auto, device: cpu, threads: 1, checkpoint_minutes: 0.001}}
"""
RESULTS = (
    "search/genotype.json",
    "search/trials.jsonl",
    "search/architecture.jsonl",
    "search/history.png",
    "search/settling.html",
    "search/weights-cell.png",
    "search/weights-path.png",
    "train/network.json",
    "train/weights.safetensors",
    "train/metrics.jsonl",
)
"""Every final file but ``cost.json``, which says how long it took: twice is never the same."""


def start(command: str, recipe: Path) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "segnas", command, str(recipe)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL)


def finish(command: str, recipe: Path) -> None:
    assert start(command, recipe).wait(timeout=300) == 0


def results(recipe: Path) -> dict[str, str]:
    run = recipe.parent / "run"
    assert not list(run.rglob("*.part"))
    return {name: sha256(run / name) for name in RESULTS}


def kill_after(process: subprocess.Popen[bytes], log: Path, lines: int, wait: float) -> bool:
    """Kill -9 ``wait`` seconds after the log has ``lines`` lines; whether it was still running."""
    while process.poll() is None:
        if log.exists() and len(log.read_text().splitlines()) >= lines:
            time.sleep(wait)
            process.send_signal(signal.SIGKILL)
            return process.wait() == -signal.SIGKILL
        time.sleep(0.01)
    return False


@pytest.fixture
def recipes(tmp_path: Path) -> tuple[Path, Path]:
    paths = []
    for name in ("whole", "killed"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "recipe.yaml").write_text(RECIPE.format(out=folder / "run"))
        paths.append(folder / "recipe.yaml")
    return paths[0], paths[1]


def test_kill_minus_nine_changes_nothing(recipes: tuple[Path, Path]) -> None:
    whole, killed = recipes
    rng = random.Random(20261124)
    for command, log in (("search", "search/trials.jsonl"), ("train", "train/metrics.jsonl")):
        finish(command, whole)
        process = start(command, killed)
        assert kill_after(process, killed.parent / "run" / log, 2, rng.uniform(0, 0.3))
        finish(command, killed)
    assert results(killed) == results(whole)
    for stage in ("search", "train"):
        costs = [read_cost(recipe.parent / "run" / stage) for recipe in (whole, killed)]
        assert [cost["sessions"] for cost in costs] == [1, 2]
        assert all(min(cost["cpu_s"], cost["wall_s"]) > 0 for cost in costs)

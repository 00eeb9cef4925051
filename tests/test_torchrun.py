"""Two processes started by torchrun run the commands as one job, however one of them ends."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from files import sha256

ROOT = Path(__file__).parent.parent
RECIPE = """
system: darts
out: {out}
data: {{name: streets, size: [32, 48], train: 12, val: 4}}
search: {{epochs: 3, warmup: 1, batch: 2, layers: 2, nodes: 1, sizes: {{width: 2, head: 4}}}}
train: {{epochs: 12, batch: 2, drop_path: 0.2, ema: 0.9, validate_every: 3}}
compute: {{precision: fp32, device: cpu, threads: 1, checkpoint_minutes: 0.0001}}
"""
"""Who goes on after the third epoch validates for the first time where a whole run has before."""
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
RESULTS = ("network.json", "weights.safetensors", "metrics.jsonl")


def start(command: str, run: Path) -> subprocess.Popen[str]:
    words = [*TORCHRUN, "-m", "segnas", command, str(run.parent / "recipe.yaml")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def done(command: str, run: Path) -> str:
    """What a command that must succeed printed."""
    process = start(command, run)
    printed, _ = process.communicate(timeout=240)
    assert process.returncode == 0, printed
    return printed


def results(run: Path) -> dict[str, str]:
    return {name: sha256(run / "train" / name) for name in RESULTS}


def children(process: subprocess.Popen[str]) -> list[int]:
    """The two processes, the first one first."""
    ranks = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        with suppress(OSError):
            ours = f"PPid:\t{process.pid}\n" in status.read_text()
            environment = (status.parent / "environ").read_bytes().decode() if ours else ""
            if rank := re.search(r"(?:^|\0)RANK=(\d)", environment):
                ranks[int(rank[1])] = int(status.parent.name)
    return [ranks[0], ranks[1]]


def wait_for_lines(log: Path, count: int) -> None:
    while not log.exists() or len(log.read_text().splitlines()) < count:
        time.sleep(0.01)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run that two processes searched, and what was printed."""
    run = tmp_path_factory.mktemp("searched") / "run"
    (run.parent / "recipe.yaml").write_text(RECIPE.format(out=run))
    return run, done("search", run)


def copy_of(run: Path, folder: Path) -> Path:
    shutil.copytree(run, folder / "run")
    (folder / "recipe.yaml").write_text(RECIPE.format(out=folder / "run"))
    return folder / "run"


@pytest.fixture
def begun(searched: tuple[Path, str], tmp_path: Path) -> Path:
    """A copy of it."""
    return copy_of(searched[0], tmp_path)


@pytest.fixture(scope="module")
def whole(searched: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What two processes that nobody disturbs leave."""
    run = copy_of(searched[0], tmp_path_factory.mktemp("whole"))
    done("train", run)
    return results(run)


def test_the_first_process_alone_speaks_and_writes(searched: tuple[Path, str]) -> None:
    run, printed = searched
    assert printed.count("search 3/3") == 1
    written = re.findall(r"wrote (\S+)", printed)
    assert len(written) == len(set(written)) >= 3
    assert len((run / "search" / "trials.jsonl").read_text().splitlines()) == 3
    assert len(list((run / "search" / "events").iterdir())) == 1


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_ends_the_job_which_goes_on_exactly(
    begun: Path, whole: dict[str, str], rank: int
) -> None:
    process = start("train", begun)
    wait_for_lines(begun / "train" / "metrics.jsonl", 3)
    os.kill(children(process)[rank], signal.SIGKILL)
    killed = time.monotonic()
    printed, _ = process.communicate(timeout=60)
    assert time.monotonic() - killed < 30
    assert process.returncode != 0
    assert not (begun / "train" / "weights.safetensors").exists()
    assert printed.count("Traceback (most recent call last)") == 1, "torchrun's, and none of ours"
    done("train", begun)
    assert results(begun) == whole


def test_a_stopped_job_goes_on_exactly(begun: Path, whole: dict[str, str]) -> None:
    process = start("train", begun)
    wait_for_lines(begun / "train" / "metrics.jsonl", 3)
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "stopped, the state is saved" in printed
    done("train", begun)
    assert results(begun) == whole


def test_the_rest_of_a_build_is_for_one_process(begun: Path) -> None:
    process = start("export", begun)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert f"one process is enough from here: 'segnas build {begun}' goes on" in printed

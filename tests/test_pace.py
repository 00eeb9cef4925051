"""The pace: a job saves in time, and one that is asked to stop does so between two batches."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pace import SIGNALS, Pace, Stop, StoppedError, heeding
from searcher.checkpoint import read

ROOT = Path(__file__).parent.parent
RECIPE = """
system: darts
out: {out}
data: {{name: streets, size: [32, 48], train: 12, val: 2}}
search: {{epochs: {epochs}, warmup: 1, batch: 2, layers: 2, nodes: 1,
  sizes: {{width: 2, head: 4}}}}
train: {{epochs: {epochs}, batch: 2, validate_every: 1000}}
compute: {{precision: fp32, device: cpu, threads: 1}}
"""


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_state_is_due_after_so_many_minutes() -> None:
    clock = Clock()
    pace = Pace(minutes=2, clock=clock)
    clock.now += 119
    assert not pace.due
    clock.now += 1
    assert pace.due
    pace.saved()
    assert not pace.due


def test_who_is_asked_saves_first_and_then_stops() -> None:
    pace = Pace()
    with pace.stop.looked_for():
        pace.stop.ask(signal.SIGTERM)
        assert pace.due
        pace.saved()
        with pytest.raises(StoppedError, match="the state is saved: the same command") as caught:
            pace.heed()
    assert caught.value.signum == signal.SIGTERM


def test_who_does_not_look_is_interrupted_and_so_is_who_is_asked_twice() -> None:
    stop = Stop()
    with pytest.raises(StoppedError, match="what was saved before is kept"):
        stop.ask(signal.SIGINT)
    stop = Stop()
    with stop.looked_for():
        stop.ask(signal.SIGINT)
        with pytest.raises(StoppedError):
            stop.ask(signal.SIGINT)


def test_after_the_block_signals_do_what_they_did() -> None:
    before = [signal.getsignal(signum) for signum in SIGNALS]
    with pytest.raises(StoppedError), heeding(Stop()):
        signal.raise_signal(signal.SIGTERM)
    assert [signal.getsignal(signum) for signum in SIGNALS] == before


def start(command: str, folder: Path) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "segnas", command, str(folder / "recipe.yaml")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True)


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 300
    while not path.exists():
        assert process.poll() is None, process.communicate()
        if time.monotonic() > until:
            process.kill()
            pytest.fail(f"{path} was never written: {process.communicate()}")
        time.sleep(0.01)


def stopped(process: subprocess.Popen[str], signum: int) -> str:
    """What a command says when it gets a signal; a busy machine may take its time."""
    process.send_signal(signum)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 128 + signum
    return said.splitlines()[-1]


@pytest.mark.parametrize("signum", SIGNALS)
def test_a_signal_stops_a_command_between_two_batches(signum: int, tmp_path: Path) -> None:
    """That the state is the last batch's is shown by the tests of training."""
    (tmp_path / "recipe.yaml").write_text(RECIPE.format(out=tmp_path / "run", epochs=100_000))
    state = tmp_path / "run/search/state.pt"
    process = start("search", tmp_path)
    wait_for(state, process)
    sentence = stopped(process, signum)
    assert sentence == "segnas: stopped, the state is saved: the same command goes on from there"
    assert read(state)["strategy"]["epoch"] >= 1
    assert not list(tmp_path.rglob("*.part"))


def test_a_signal_while_nothing_is_learned_stops_as_well(tmp_path: Path) -> None:
    recipe = RECIPE.replace("train: 12", "train: 100000").format(out=tmp_path / "run", epochs=2)
    (tmp_path / "recipe.yaml").write_text(recipe)
    process = start("build", tmp_path)
    wait_for(tmp_path / "run/.lock", process)
    assert "what was saved before is kept" in stopped(process, signal.SIGTERM)

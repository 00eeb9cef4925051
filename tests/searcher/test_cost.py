"""The cost of a job: counted over its sessions, left beside its state, and read as a sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pace import Pace
from searcher.checkpoint import Job
from searcher.cost import COST, Meter, duration, read_cost, spent


def clock(*seconds: float) -> Callable[[], float]:
    """A clock that says these numbers, one after the other."""
    left = list(seconds)
    return lambda: left.pop(0)


def burn() -> None:
    """Keep a CPU busy for some hundredths of a second."""
    sum(i * i for i in range(1_000_000))


def test_a_meter_goes_on_where_the_session_before_was_saved() -> None:
    first = Meter(clock(100.0, 110.0, 130.0), "a")
    assert first.read()["wall_s"] == 10
    saved = first.read()
    assert saved["wall_s"] == 30
    second = Meter(clock(7.0, 12.0), "b")
    second.resume(saved)
    found = second.read()
    assert found["wall_s"] == 35
    assert found["sessions"] == 2
    assert found["machines"] == ["a", "b"]
    assert found["cpu_s"] >= saved["cpu_s"]


def test_work_takes_cpu_seconds_and_waiting_takes_none() -> None:
    idle, busy = Meter(clock(0.0, 50.0), ""), Meter(clock(0.0, 50.0), "")
    waited = idle.read()["cpu_s"]
    burn()
    assert waited < 1
    assert busy.read()["cpu_s"] > waited


def test_a_job_leaves_its_cost_with_every_state(tmp_path: Path) -> None:
    times = clock(0.0, 0.0, 5.0, 5.0, 9.0, 9.0)
    job = Job(tmp_path, {}, Pace(clock=times, machine="here"))
    job.save({"n": 1})
    found = read_cost(tmp_path)
    assert (found["wall_s"], found["sessions"], found["machines"]) == (5, 1, ["here"])
    again = Job(tmp_path, {}, Pace(clock=clock(0.0, 0.0, 2.0, 2.0), machine="here"))
    assert again.resume() == {"n": 1}
    again.save({"n": 2})
    found = read_cost(tmp_path)
    assert (found["wall_s"], found["sessions"], found["machines"]) == (7, 2, ["here"])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (52, "52 s"), (250, "4 min 10 s"), (3600, "1 h"), (93784, "1 d 2 h")],
)
def test_a_duration_has_two_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_sentence(tmp_path: Path) -> None:
    assert spent("searched", tmp_path) == ""
    (tmp_path / COST).write_text('{"wall_s": 250.2, "cpu_s": 422.0, "sessions": 1}')
    assert spent("searched", tmp_path) == "searched in 4 min 10 s (7 min 2 s of CPU)"
    (tmp_path / COST).write_text('{"wall_s": 250.2, "cpu_s": 422.0, "sessions": 3}')
    assert spent("trained", tmp_path) == "trained in 4 min 10 s (7 min 2 s of CPU, 3 sessions)"


@pytest.mark.parametrize("damage", ["", "{", "[1]", '{"wall_s": 1}'])
def test_a_damaged_cost_is_none(tmp_path: Path, damage: str) -> None:
    (tmp_path / COST).write_text(damage)
    assert spent("searched", tmp_path) == ""

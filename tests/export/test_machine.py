"""The machine: its name, and a container's share of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from export import machine


def test_this_machine_has_a_name_and_a_core() -> None:
    assert machine.cpu_model()
    assert machine.usable_cores() >= 1
    assert machine.peak_rss_mb() > 1


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("max 100000\n", 1 << 16), ("200000 100000\n", 2), ("150000 100000\n", 1), ("5 10\n", 0)],
)
def test_a_containers_share_is_read(
    quota: str, cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(machine, "QUOTA", tmp_path / "cpu.max")
    assert machine.container_share() == cores
    assert 1 <= machine.usable_cores() <= max(1, cores)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("AMD EPYC", "AMD EPYC (family 25, model 17)"),
        ("Intel Xeon Processor @ 2.60GHz", "Intel Xeon Processor @ 2.60GHz (family 25, model 17)"),
        ("AMD EPYC 9654 96-Core Processor", "AMD EPYC 9654 96-Core Processor"),
    ],
)
def test_a_processor_whose_number_is_hidden_is_told_from_others(
    name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A latency table is for one processor: two of one name may differ threefold in INT8."""
    (tmp_path / "cpuinfo").write_text(f"cpu family\t: 25\nmodel\t: 17\nmodel name\t: {name}\n")
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
    assert machine.cpu_model() == said


def test_arm_says_less_about_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nFeatures\t: fp asimddp\n\nprocessor\t: 1\n")
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
    assert machine.cpuinfo()["Features"] == "fp asimddp"
    assert machine.cpu_model()


def test_without_linux_there_is_still_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CPUINFO", "QUOTA", "STATUS"):
        monkeypatch.setattr(machine, name, tmp_path / "absent")
    assert machine.cpu_model()
    assert machine.usable_cores() >= 1
    assert machine.peak_rss_mb() > 0

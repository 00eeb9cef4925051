"""How numbers moved: a line a benchmark, beside what was measured, and never inside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from export.benchmark import history
from export.benchmark.reports import BenchmarkReport, merged
from export.benchmark.timing import Samples
from export.bundle import Bundle
from export.runtimes import Facts

FACTS = Facts("onnxruntime", "none", "fp32", "this one", 1, "1.0", "fp32")


def report(ms: float, device: str = "this one", noisy: bool = False) -> BenchmarkReport:
    cpu = (ms, 3 * ms) if noisy else (ms, ms)
    facts = replace(FACTS, device=device)
    return replace(merged([Samples(facts, 1, (8, 8), (ms, ms), cpu, 1.0, 1.0)]), miou=0.5)


def told(source: Path, reports: Sequence[BenchmarkReport]) -> list[dict[str, str]]:
    for day, one in enumerate(reports, 1):
        history.remember(source, [one], datetime(2026, 3, day, 12, 30, tzinfo=UTC))
    rows = history.moved(history.recalled(source))
    return [dict(zip(history.HEADERS, row, strict=True)) for row in rows]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "a.onnx").write_bytes(b"a network")
    return tmp_path / "a.onnx"


def test_a_change_is_against_the_last_number(file: Path) -> None:
    found = told(file, [report(10), report(12, noisy=True), report(11)])
    assert [row["ms"] for row in found] == ["10.00", "-", "11.00"]
    assert [row["Change"] for row in found] == ["-", "-", "+10.0 %"]
    assert [row["Note"] for row in found] == ["", "not quiet", ""]
    assert found[0]["When"] == "2026-03-01 12:30"
    assert (found[0]["FPS"], found[0]["mIoU"]) == ("100.0", "0.500")


def test_another_machine_or_network_is_said(file: Path) -> None:
    assert told(file, [report(10), report(20, device="that one")])[1]["Note"] == "other machine"
    file.write_bytes(b"another network")
    last = told(file, [report(20, device="that one")])[-1]
    assert last["Note"] == "other network"
    newer = replace(report(20, device="that one"), versions={"onnxruntime": "2.0"})
    assert told(file, [newer])[-1]["Note"] == "other versions"


def test_it_lies_beside_a_bundle_which_stays_sealed(bundle_path: Path) -> None:
    path = history.remember(bundle_path, [report(10)])
    assert path == bundle_path.parent / "benchmarks.jsonl"
    Bundle.load(bundle_path)
    assert len(history.recalled(bundle_path)) == 1
    path.unlink()


def test_every_source_hears_of_itself_alone(file: Path) -> None:
    other = file.with_name("b.onnx")
    other.write_bytes(b"b")
    told(other, [report(1)])
    assert len(told(file, [report(10)])) == 1
    with pytest.raises(ValueError, match=r"has no line about c\.onnx"):
        history.recalled(file.with_name("c.onnx"))


def test_no_history_and_a_bad_line_are_named(file: Path) -> None:
    with pytest.raises(ValueError, match="is not there: nothing was measured yet"):
        history.recalled(file)
    told(file, [report(10)])
    for broken in ("{", "[]", '{"name": "a.onnx"}'):
        path = history.path_of(file)
        whole = path.read_text()
        path.write_text(f"{whole}{broken}\n")
        with pytest.raises(ValueError, match=r"benchmarks\.jsonl, line 2, is not a benchmark"):
            history.recalled(file)
        path.write_text(whole)

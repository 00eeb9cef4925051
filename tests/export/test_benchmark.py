"""The benchmark measures what it says, in a process of its own, and only right answers."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Self

import numpy as np
import pytest

from export.benchmark import (
    BenchmarkReport,
    Comparison,
    Job,
    Samples,
    alternated,
    benchmark,
    benchmark_bundle,
    check_labels,
    example,
    main,
    measure,
    merged,
)
from export.bundle import Artifact, Bundle
from export.runtimes import Facts, Labels, Pixels

ROOT = Path(__file__).parents[2]
WITHOUT_TORCH = """
import importlib, sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "models", "searcher"):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Block())
for name in sys.argv[1:]:
    importlib.import_module(name)
"""
FACTS = Facts("fake", "none", "fp32", "a test", 1, "1.0", "fp32")
PIXELS = np.zeros((2, 8, 8, 3), np.uint8)


class Fake:
    """An engine that takes a known time; ``spent`` are the milliseconds of each call."""

    facts = FACTS

    def __init__(self, sleep: float, work: float) -> None:
        self.sleep, self.work = sleep, work
        self.spent: list[float] = []

    def __call__(self, pixels: Pixels) -> Labels:
        start, busy = time.perf_counter(), time.process_time()
        time.sleep(self.sleep)
        while time.process_time() - busy < self.work:
            pass
        self.spent.append(1e3 * (time.perf_counter() - start))
        return pixels[..., 0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None: ...


def test_five_milliseconds_of_sleep_are_five_milliseconds() -> None:
    engine = Fake(sleep=0.005, work=0)
    report = benchmark(engine, PIXELS, warmup=3, iterations=20)
    truth = float(np.median(engine.spent[3:]))
    assert len(engine.spent) == 23
    assert 5 <= truth <= report.wall_ms.p50 <= 1.05 * truth + 0.1
    assert report.cpu_ms.p50 < 2.5
    assert report.fps == pytest.approx(1e3 * 2 / report.wall_ms.p50)


def test_work_counts_as_processor_time() -> None:
    report = benchmark(Fake(sleep=0, work=0.004), PIXELS, warmup=1, iterations=10)
    assert 4 <= report.cpu_ms.p50 < 8


def test_percentiles_are_ordered_and_named() -> None:
    report = benchmark(Fake(sleep=0.0005, work=0), PIXELS, warmup=0, iterations=30)
    for timing in (report.wall_ms, report.cpu_ms):
        assert 0 <= timing.p50 <= timing.p90 <= timing.p99
    row = json.loads(json.dumps(report.row()))
    wanted = "runtime provider precision device threads batch size wall_ms cpu_ms fps peak_rss_mb"
    assert {*wanted.split(), "versions", "iterations"} <= set(row)
    assert set(row["wall_ms"]) == set(row["cpu_ms"]) == {"p50", "p90", "p99", "mean", "std"}
    assert (row["batch"], row["size"]) == (2, [8, 8])


def test_rounds_are_merged() -> None:
    quick = Samples(FACTS, (1, 8, 8, 3), (1.0, 1.0), (1.0, 1.0), 50.0)
    slow = replace(quick, wall_ms=(3.0, 3.0), peak_rss_mb=60.0)
    report = merged([quick, slow])
    assert (report.iterations, report.wall_ms.mean, report.peak_rss_mb) == (4, 2.0, 60.0)
    assert report.cv == pytest.approx(0.5)


def test_jobs_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    order = []

    def note(job: Job) -> Samples:
        order.append(job.runtime)
        return Samples(FACTS, (1, 8, 8, 3), (1.0,), (1.0,), 1.0)

    monkeypatch.setattr("export.benchmark.run", note)
    jobs = [Job("", name, "fp32", 1, 1, 1, "") for name in "abc"]
    assert [len(samples) for samples in alternated(jobs, 2)] == [2, 2, 2]
    assert "".join(order) == "abccba"


def test_memory_is_the_engines_own(bundle_path: Path) -> None:
    ballast = np.ones(400 << 20, np.uint8)
    report = measure(bundle_path, "onnxruntime", iterations=5, warmup=1)
    assert report.provider == "CPUExecutionProvider"
    assert report.iterations == 5
    assert 20 < report.peak_rss_mb < ballast.nbytes / 1e6 / 1.5


def test_what_cannot_run_is_skipped_with_a_reason(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = "torch is not installed: pip install 'segnas[train]'"
    monkeypatch.setattr("export.benchmark.missing", {"torch": absent, "onnxruntime": None}.get)
    comparison = benchmark_bundle(bundle_path, threads=(1,), iterations=3, warmup=0, rounds=1)
    assert isinstance(comparison, Comparison)
    assert [report.runtime for report in comparison.reports] == ["onnxruntime"]
    assert comparison.skipped == {"torch": absent}
    assert all(isinstance(report, BenchmarkReport) for report in comparison.reports)


def test_wrong_labels_get_no_numbers(bundle_path: Path, other_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "building"
    folder.mkdir()
    shutil.copy(bundle_path / "model.onnx", folder)
    shutil.copy(other_model, folder / "wrong.onnx")
    first = Bundle.load(bundle_path).manifest.artifacts[0]
    wrong = Artifact(runtime="onnxruntime", file="wrong.onnx", precision="int8", built_on="x")
    fields = Bundle.load(bundle_path).manifest.model_dump(exclude={"files", "artifacts"})
    Bundle.seal(folder, {**fields, "artifacts": [first, wrong]}, tmp_path / "bundle")
    with pytest.raises(ValueError, match=r"\(int8\) was not measured.*% of the pixels otherwise"):
        benchmark_bundle(tmp_path / "bundle", iterations=1, warmup=0, rounds=1)


def test_one_percent_is_the_limit(tmp_path: Path) -> None:
    labels = np.zeros((1, 10, 100), np.uint8)
    check_labels(labels, tmp_path / "labels.npy", 0.01)
    labels[0, 0, :10] = 1
    check_labels(labels, tmp_path / "labels.npy", 0.01)
    labels[0, 0, :11] = 1
    with pytest.raises(ValueError, match=r"1\.1% of the pixels otherwise"):
        check_labels(labels, tmp_path / "labels.npy", 0.01)


def test_a_process_that_fails_says_why(bundle_path: Path) -> None:
    with pytest.raises(ValueError, match=r"onnxruntime \(int8\) was not measured.*has nothing for"):
        measure(bundle_path, "onnxruntime", precision="int8")


def test_a_process_that_hangs_is_ended(bundle_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.benchmark.PROCESS_LIMIT", 0.05)
    with pytest.raises(ValueError, match=r"was not measured: it took more than 0\.05 s"):
        measure(bundle_path, "onnxruntime")


def test_one_line_for_the_parent(bundle_path: Path, tmp_path: Path) -> None:
    job = Job(str(bundle_path), "onnxruntime", "fp32", 1, 2, 0, str(tmp_path / "labels.npy"))
    sink = io.StringIO()
    assert main(io.StringIO(json.dumps(asdict(job))), sink) == 0
    assert sink.getvalue().count("\n") == 1
    assert len(json.loads(sink.getvalue())["wall_ms"]) == 2


def test_the_example_is_the_bundles_own_or_noise(bundle_path: Path, pixels: Pixels) -> None:
    bundle = Bundle.load(bundle_path)
    np.testing.assert_array_equal(example(bundle), pixels[:1])
    bare = Bundle(bundle_path, bundle.manifest.model_copy(update={"files": {}}))
    np.testing.assert_array_equal(example(bare), example(bare))
    assert example(bare).shape == (1, 32, 48, 3)


def test_what_is_deployed_does_not_import_torch(tmp_path: Path) -> None:
    names = ["bundle", "runtimes", "runtimes.onnxruntime", "benchmark", "report", "doctor"]
    modules = [f"export.{name}" for name in names]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", WITHOUT_TORCH]
    subprocess.run([*command, *modules], check=True, cwd=tmp_path, env=environment)
    blocked = subprocess.run(
        [*command, "export.runtimes.torch"],
        check=False,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        encoding="utf-8",
    )
    assert "torch is blocked" in blocked.stderr

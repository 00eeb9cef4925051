"""The benchmark measures what it says, in a process of its own, and only right answers."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.assembly import Contents, Description, make_bundle
from export.benchmark import isolated, jobs, nvml, rounds
from export.benchmark.isolated import Unfit, answer, ask
from export.benchmark.jobs import Order, check, differing, measured, megabytes, perform
from export.benchmark.peak import peak_gflops
from export.benchmark.reports import CV_LIMIT, judged, merged, steady
from export.benchmark.rounds import Settings, alternated, benchmark, jobs_of, settled
from export.benchmark.subjects import Job, Source, examples, opened
from export.benchmark.timing import Samples, Timing, sampled, side_by_side
from export.bundle import Artifact, Bundle
from export.runtimes import Facts, Pixels
from export.verify import Pair
from models.network import Network

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
FACTS = Facts("onnxruntime", "none", "fp32", "a test", 1, "1.0", "fp32")
STEADY = Samples(FACTS, 1, (8, 8), (1.0,) * 9 + (1.2,), (1.0,) * 10, 50.0, 2.5)
NOISY = replace(STEADY, wall_ms=(1.0, 3.0) * 5)
QUICK = Settings(iterations=3, warmup=0, streams=1)
FIRST = Job("", "onnxruntime", "fp32", 1)


class Fake:
    """A call that takes a known time; ``spent`` are the milliseconds of each."""

    def __init__(self, sleep: float, work: float) -> None:
        self.sleep, self.work = sleep, work
        self.spent: list[float] = []

    def __call__(self) -> None:
        start, busy = time.perf_counter(), time.process_time()
        time.sleep(self.sleep)
        while time.process_time() - busy < self.work:
            pass
        self.spent.append(1e3 * (time.perf_counter() - start))


def test_five_milliseconds_of_sleep_are_five_milliseconds() -> None:
    call = Fake(sleep=0.005, work=0)
    wall, cpu = sampled(call, warmup=3, iterations=20)
    truth = float(np.median(call.spent[3:]))
    assert (len(call.spent), len(wall), len(cpu)) == (23, 20, 20)
    assert 5 <= truth <= Timing.of(wall).p50 <= 1.05 * truth + 0.1
    assert Timing.of(cpu).p50 < 2.5


def test_work_counts_as_processor_time() -> None:
    _, cpu = sampled(Fake(sleep=0, work=0.004), warmup=1, iterations=10)
    assert 4 <= Timing.of(cpu).p50 < 8


def test_engines_side_by_side_run_at_once() -> None:
    meeting, ran = Barrier(3, timeout=60), []

    def call() -> None:
        ran.append(1)
        if len(ran) > 3:  # the first of each is uncounted, and alone
            meeting.wait()

    rate, cores = side_by_side([call] * 3, 5)
    assert rate > 0
    assert cores >= 0
    assert len(ran) == 3 + 3 * 5


@given(st.lists(st.floats(0.01, 1e4), min_size=1, max_size=50))
def test_percentiles_are_ordered(ms: list[float]) -> None:
    timing = Timing.of(ms)
    assert min(ms) <= timing.p50 <= timing.p90 <= timing.p99 <= max(ms)
    assert timing.cv >= 0


@pytest.mark.parametrize(
    ("calls", "believed"),
    [
        ([[1.0, 1.0, 1.0]], True),
        ([[1.0, 2.0, 3.0]], False),
        ([[1.0, 9.0], [1.0, 1.0]], True),
        ([[1.0, 1.0], [2.0, 2.0]], False),
    ],
    ids=["quiet", "noisy", "one round of two is quiet", "quiet rounds of two speeds"],
)
def test_a_clock_that_varies_has_no_number(calls: list[list[float]], believed: bool) -> None:
    timing, cv = judged(calls, [Timing.of(one).cv <= CV_LIMIT for one in calls])
    assert (timing is not None) is believed
    assert (cv <= CV_LIMIT) is believed
    if timing is not None:
        assert timing.p50 == 1.0, "the noisy round does not count"


@given(st.lists(st.lists(st.floats(0.1, 10), min_size=2, max_size=9), min_size=1, max_size=5))
def test_what_is_printed_varied_by_ten_per_cent_at_most(calls: list[list[float]]) -> None:
    timing, cv = judged(calls, [True] * len(calls))
    if timing is not None:
        assert timing.cv == cv <= CV_LIMIT


def test_each_clock_is_judged_by_itself() -> None:
    report = merged([NOISY, NOISY])
    assert report.wall_ms is None
    assert report.cpu_ms is not None
    assert (report.fps, report.latency, report.iterations) == (None, 1.0, 20)
    assert report.refusals == ["onnxruntime (fp32), 1 thread: wall time varied by 50% (limit 10%)"]
    row = json.loads(json.dumps(report.row()))
    assert row["wall_ms"] is row["fps"] is None
    assert row["cv"]["wall_ms"] == pytest.approx(0.5)


def test_wall_time_that_others_had_has_no_number() -> None:
    shared = replace(STEADY, wall_ms=(3.0,) * 10)
    report = merged([shared])
    assert (report.wall_ms, report.fps) == (None, None)
    assert report.refusals == [
        "onnxruntime (fp32), 1 thread: wall time went to others, 67% of it (limit 10%)"
    ]
    on_gpu = replace(FACTS, runtime="tensorrt")
    report = merged([replace(shared, facts=on_gpu)])
    assert report.wall_ms is not None, "a processor that waits for a GPU has nothing to do"
    assert report.latency == 3.0
    two = replace(STEADY, cpu_ms=(1.9,) * 10)
    assert merged([two]).wall_ms is not None, "two threads are two seconds a second"


def test_rounds_are_merged() -> None:
    report = merged([STEADY, replace(STEADY, peak_rss_mb=60.0, batch=2, file_mb=9.0)])
    assert (report.iterations, report.peak_rss_mb, report.file_mb) == (20, 60.0, 2.5)
    row = json.loads(json.dumps(report.row()))
    wanted = "runtime provider precision device threads batch size wall_ms cpu_ms fps peak_rss_mb"
    assert {*wanted.split(), "versions", "iterations", "macs", "roofline", "gpu"} <= set(row)
    assert set(row["wall_ms"]) == {"p50", "p90", "p99", "mean", "std"}
    assert report.fps == pytest.approx(1000)


def test_the_throughput_of_rounds_that_differ_is_not_printed() -> None:
    assert steady([100.0, 101.0, 99.0]) == 100.0
    assert steady([100.0, 150.0]) is None
    assert steady([]) is None


def test_gflops_are_two_a_multiply_add_and_the_roof_is_for_fp32() -> None:
    report = replace(merged([STEADY]), macs=5_000_000, peak_gflops=40.0)
    assert report.gflops == pytest.approx(10)
    assert report.roofline == pytest.approx(0.25)
    assert replace(report, precision="int8").roofline is None
    assert replace(report, precision="fp16, computed in fp32").roofline == pytest.approx(0.25)
    assert replace(report, macs=None).gflops is None
    assert replace(report, cpu_ms=None).gflops is None


def run_all(
    monkeypatch: pytest.MonkeyPatch, names: str, found: Sequence[Samples | Unfit], count: int
) -> tuple[str, list[list[Samples]], dict[str, str]]:
    """Alternate orders whose measurements are ``found``, in turn."""
    ran, answers = [], iter([*found, *[STEADY] * 99])

    def note(order: Order) -> Samples:
        ran.append(order.job.runtime)
        one = next(answers)
        if isinstance(one, Unfit):
            raise one
        return one

    monkeypatch.setattr(rounds, "measured", note)
    orders = [Order(replace(FIRST, runtime=name), 1, 1, "") for name in names]
    samples, unfit = alternated(orders, count)
    return "".join(ran), samples, unfit


def test_jobs_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    order, samples, _ = run_all(monkeypatch, "abc", [], 2)
    assert order == "abccba"
    assert [len(one) for one in samples] == [2, 2, 2]


def test_noisy_rounds_are_run_again_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    order, samples, _ = run_all(monkeypatch, "ab", [NOISY], 2)
    assert order == "abbaa"
    assert samples[0][0] is NOISY
    assert settled(samples[0], 2)
    order, samples, _ = run_all(monkeypatch, "a", [NOISY] * 99, 3)
    assert order == "a" * 6
    assert merged(samples[0]).wall_ms is None


def test_what_does_not_fit_is_not_asked_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    order, samples, unfit = run_all(monkeypatch, "ab", [Unfit("too large")], 2)
    assert order == "abb"
    assert len(samples) == 1
    assert unfit == {"a (fp32), 1 thread": "a (fp32), 1 thread: too large"}


def test_few_calls_are_one_round() -> None:
    assert [Settings(iterations=n).rounds for n in (3, 19, 20, 30, 600)] == [1, 1, 2, 3, 3]


def test_memory_is_the_engines_own(bundle_path: Path, tmp_path: Path) -> None:
    ballast = np.ones(400 << 20, np.uint8)
    job = replace(FIRST, source=str(bundle_path))
    found = measured(Order(job, 1, 5, str(tmp_path / "answers.npz"), streams=2))
    assert found.facts.provider == "CPUExecutionProvider"
    assert len(found.wall_ms) == len(found.cpu_ms) == 5
    assert 20 < found.peak_rss_mb < ballast.nbytes / 1e6 / 1.5
    assert found.streams == 2
    assert found.streams_fps is None or found.streams_fps > 0
    assert found.file_mb == (bundle_path / "model.onnx").stat().st_size / 1e6
    assert found.gpu is None


@pytest.mark.parametrize(
    ("runtime", "cores", "fps"),
    [("onnxruntime", 1.9, 400.0), ("onnxruntime", 0.7, None), ("tensorrt", 0.1, 400.0)],
)
def test_a_throughput_on_cores_that_others_had_is_none(
    bundle_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    runtime: str,
    cores: float,
    fps: float | None,
) -> None:
    monkeypatch.setattr(jobs, "usable_cores", lambda: 2)
    monkeypatch.setattr(jobs, "side_by_side", lambda calls, _: (100.0 * len(calls), cores))
    order = Order(replace(FIRST, source=str(bundle_path)), 0, 1, "", streams=2)
    with opened(order.job) as subject:
        facts = replace(subject.facts, runtime=runtime)
        found = jobs.streaming(order, replace(subject, facts=facts, batch=2))
    assert found == fps


def test_a_bundle_is_measured_with_its_costs(bundle_path: Path) -> None:
    found = benchmark(Source(bundle_path, "onnxruntime"), QUICK)
    (report,) = found.reports
    manifest = Bundle.load(bundle_path).manifest
    assert manifest.costs == {"macs": 3 * 9 * 8 * 16 * 24 + 8 * 4 * 16 * 24, "parameters": 268}
    assert (report.macs, report.parameters) == tuple(manifest.costs.values())
    assert report.peak_gflops is not None
    assert report.peak_gflops > 0.1
    assert (report.iterations % 3, report.batch, report.size) == (0, 1, (32, 48))


def test_every_format_of_a_bundle_is_measured(
    tmp_path: Path,
    description: Description,
    pairs: list[Pair],
    make_network: Callable[[int], Network],
    tiny_weights: None,
) -> None:
    pytest.importorskip("openvino")
    contents = Contents(pairs, ("onnx", "onnx-fp16", "openvino"))
    bundle = make_bundle(make_network(0), tmp_path / "bundle", description, contents)
    assert {a.runtime for a in bundle.manifest.artifacts} == {"onnxruntime", "torch", "openvino"}
    found = benchmark(Source(bundle.path, precision="fp16"), QUICK)
    (report,) = found.reports
    assert report.precision == "fp16, computed in fp32"
    found = benchmark(Source(bundle.path, "openvino"), QUICK)
    (report,) = found.reports
    assert (report.provider, report.precision) == ("CPU", "fp32")
    file = bundle.path / "openvino.xml"
    assert report.file_mb == (file.stat().st_size + file.with_suffix(".bin").stat().st_size) / 1e6


def test_an_old_bundle_is_counted_from_its_file(bundle_path: Path, tmp_path: Path) -> None:
    old = resealed(bundle_path, tmp_path / "old")
    assert old.manifest.costs == {}
    macs, parameters = rounds.costs_of(Source(old.path), None)
    assert macs == 3 * 9 * 8 * 16 * 24 + 8 * 4 * 16 * 24
    assert parameters is not None
    assert abs(parameters - 268) < 20, "batch norm is folded, and resizing has scales"


def resealed(bundle_path: Path, path: Path, *more: Artifact, file: Path | None = None) -> Bundle:
    """A bundle with the same first artifact and others, as versions before costs wrote it."""
    folder = path.with_name("building")
    folder.mkdir()
    shutil.copy(bundle_path / "model.onnx", folder)
    if file is not None:
        shutil.copy(file, folder / "other.onnx")
    manifest = Bundle.load(bundle_path).manifest
    fields = manifest.model_dump(exclude={"files", "artifacts", "costs"})
    return Bundle.seal(folder, {**fields, "artifacts": [manifest.artifacts[0], *more]}, path)


def test_what_is_not_installed_is_skipped_with_the_reason(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = "torch is not installed: pip install 'segnas[train]'"
    monkeypatch.setattr(rounds, "missing", {"torch": absent, "onnxruntime": None}.get)
    found, skipped = jobs_of(Source(bundle_path), Settings(threads=(1, 2), batches=(1, 4)))
    assert [(job.runtime, job.threads, job.batch) for job in found] == [
        ("onnxruntime", threads, batch) for threads in (1, 2) for batch in (1, 4)
    ]
    assert skipped == {"torch": absent}
    with pytest.raises(ValueError, match=r"has nothing for .*:int8; it has onnxruntime \(fp32\)"):
        jobs_of(Source(bundle_path, precision="int8"), Settings())


def test_a_batch_that_a_file_does_not_read_has_no_row(bundle_path: Path) -> None:
    settings = replace(QUICK, batches=(1, 2))
    found = benchmark(Source(bundle_path, "onnxruntime"), settings)
    assert [report.batch for report in found.reports] == [1]
    assert list(found.skipped.values()) == [
        "onnxruntime (fp32), 1 thread, batch 2: model.onnx reads 1 image at a time, not 2"
    ]
    with pytest.raises(ValueError, match=r"nothing of .* can be measured: .*not 2"):
        benchmark(Source(bundle_path, "onnxruntime"), replace(QUICK, batches=(2,)))


def test_wrong_labels_get_no_numbers(bundle_path: Path, other_model: Path, tmp_path: Path) -> None:
    wrong = Artifact(runtime="onnxruntime", file="other.onnx", precision="int8", built_on="x")
    bundle = resealed(bundle_path, tmp_path / "bundle", wrong, file=other_model)
    with pytest.raises(ValueError, match=r"\(int8\), 1 thread was not measured.*% of the pixels"):
        benchmark(Source(bundle.path), QUICK)


def test_one_percent_is_the_limit(tmp_path: Path) -> None:
    labels, file = np.zeros((1, 10, 100), np.uint8), tmp_path / "answers.npz"
    check([labels], file, 0.01)
    labels[0, 0, :10] = 1
    check([labels], file, 0.01)
    labels[0, 0, :11] = 1
    with pytest.raises(ValueError, match=r"1\.1% of the pixels otherwise"):
        check([labels], file, 0.01)
    with pytest.raises(ValueError, match=r"100\.0% of the pixels otherwise"):
        check([], file, 0.01)


def test_what_is_not_a_number_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="infinite or none at all"):
        check([np.array([1.0, np.nan])], tmp_path / "answers.npz", 0.01)


def test_real_numbers_may_be_rounded_otherwise() -> None:
    logits = np.random.default_rng(0).standard_normal((1, 4, 8, 8)).astype(np.float32)
    assert differing(logits * 1.001 + 0.001, logits) == 0
    assert differing(logits + 0.5, logits) > 0.9
    assert differing(logits[:, :2], logits) == 1


def test_a_process_that_fails_says_why(bundle_path: Path, tmp_path: Path) -> None:
    job = replace(FIRST, source=str(bundle_path), precision="int8")
    with pytest.raises(ValueError, match=r"onnxruntime \(int8\).* was not measured.*has nothing"):
        measured(Order(job, 0, 1, str(tmp_path / "answers.npz")))
    with pytest.raises(
        ValueError, match=r"the moon was not measured: .*No module named export.moo"
    ):
        ask("export.moon", {}, "the moon")


def test_a_process_that_hangs_is_ended(bundle_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated, "PROCESS_LIMIT", 0.05)
    with pytest.raises(ValueError, match=r"was not measured: it took more than 0\.05 s"):
        measured(Order(replace(FIRST, source=str(bundle_path)), 0, 1, ""))


def test_one_line_for_the_parent(bundle_path: Path, tmp_path: Path) -> None:
    order = Order(replace(FIRST, source=str(bundle_path)), 0, 2, str(tmp_path / "answers.npz"))
    sink = io.StringIO()
    assert answer(perform, io.StringIO(json.dumps(asdict(order))), sink) == 0
    assert sink.getvalue().count("\n") == 1
    assert len(json.loads(sink.getvalue())["wall_ms"]) == 2


def test_the_examples_are_the_bundles_own_or_noise(bundle_path: Path, pixels: Pixels) -> None:
    bundle = Bundle.load(bundle_path)
    np.testing.assert_array_equal(examples(bundle, 4), pixels[[0, 1, 2, 0]])
    bare = Bundle(bundle_path, bundle.manifest.model_copy(update={"files": {}}))
    np.testing.assert_array_equal(examples(bare), examples(bare))
    assert examples(bare, 2).shape == (2, 32, 48, 3)


def test_the_weights_beside_a_file_count_too(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_bytes(b"x" * 1000)
    assert megabytes(tmp_path / "a.xml") == 1e-3
    (tmp_path / "a.bin").write_bytes(b"x" * 2000)
    assert megabytes(tmp_path / "a.xml") == 3e-3


def test_the_peak_is_of_the_threads_asked_for() -> None:
    assert 0.1 < peak_gflops(1) < 10_000


class Library:
    """What pynvml says of one hot GPU; it is not installed where these tests were written."""

    class NVMLError(Exception): ...

    NVML_CLOCK_GRAPHICS, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 0, 2, 0
    nvmlClocksThrottleReasonSwPowerCap = 4
    nvmlClocksThrottleReasonSwThermalSlowdown = 32
    nvmlClocksThrottleReasonHwThermalSlowdown = 64
    nvmlClocksThrottleReasonHwPowerBrakeSlowdown = 128

    @staticmethod
    def nvmlDeviceGetCurrentClocksThrottleReasons(_: object) -> int:
        return 4 | 64

    @staticmethod
    def nvmlDeviceGetClockInfo(_: object, kind: int) -> int:
        return 1980 if kind == 0 else 2619

    @staticmethod
    def nvmlDeviceGetPowerUsage(_: object) -> int:
        return 310_400

    @staticmethod
    def nvmlDeviceGetTemperature(_: object, kind: int) -> int:
        return 71


def test_a_gpu_says_what_slows_it() -> None:
    gpu = nvml.read(Library, object())
    assert gpu.throttled_by == ("power", "heat, in hardware")
    words = "GPU at 1980 MHz (memory 2619), 310 W, 71 C, throttled by power, heat, in hardware"
    assert str(gpu) == words
    assert str(replace(gpu, throttled_by=())).endswith("71 C, not throttled")


def test_without_pynvml_or_a_gpu_nothing_is_said() -> None:
    assert nvml.snapshot() is None


def test_what_is_deployed_does_not_import_torch(tmp_path: Path) -> None:
    names = ["bundle", "runtimes", "runtimes.onnxruntime", "report", "tables", "plot", "doctor"]
    parts = [path.stem for path in (ROOT / "export/benchmark").glob("*.py")]
    modules = [f"export.{name}" for name in [*names, *(f"benchmark.{part}" for part in parts)]]
    modules = [name.removesuffix(".__init__") for name in modules]
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

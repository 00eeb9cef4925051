"""The benchmark measures what it says, in a process of its own, and only right answers."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from export.assembly import Contents, Description, make_bundle
from export.benchmark import isolated, jobs, rounds
from export.benchmark.isolated import answer, ask
from export.benchmark.jobs import Order, check, differing, measured, megabytes, perform
from export.benchmark.opening import examples, opened
from export.benchmark.peak import peak_gflops
from export.benchmark.rounds import Settings, benchmark, jobs_of
from export.benchmark.subjects import Job, Source
from export.bundle import Artifact, Bundle
from export.runtimes import Pixels
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
QUICK = Settings(iterations=3, warmup=0, streams=1)
FIRST = Job("", "onnxruntime", "fp32", 1)


def test_a_gpu_has_two_engines_side_by_side_however_many_cores_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rounds, "usable_cores", lambda: 64)
    on_gpu = [replace(FIRST, runtime=name) for name in ("onnxruntime-cuda", "tensorrt")]
    assert [Settings().streams_of(job) for job in (FIRST, *on_gpu)] == [64, 2, 2]
    assert [Settings(streams=3).streams_of(job) for job in (FIRST, *on_gpu)] == [3, 3, 3]


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

"""Whether 'segnas bench' can be believed: its own cost, and its agreement.  One JSON line.

python benchmarks/bench_overhead.py runs/camvid_pyramid/bundle [--iterations 60]: one thread.
Four numbers: what timing adds to a call; FPS and processor time against a plain loop in Python over
the same file, as anybody's; two runs of the benchmark; and what is beside inference for a picture
of 480 x 360 as JPEG and as PNG.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort

import images
from export.benchmark.jobs import Order, measured
from export.benchmark.opening import examples
from export.benchmark.reports import EndToEnd, merged
from export.benchmark.rounds import Settings, benchmark
from export.benchmark.subjects import Job, Source
from export.benchmark.timing import Samples, sampled
from export.bundle import Bundle
from export.machine import cpu_model
from serve.stopwatch import end_to_end

EMPTY, ROUNDS = 20_000, 4
SIZE = (360, 480)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--iterations", type=int, default=60)
    asked = parser.parse_args()
    bundle = Bundle.load(asked.bundle)
    plain, ours = beside_a_loop(bundle.path / "model.onnx", asked.iterations // ROUNDS)
    call = float(np.median([ms for one in ours for ms in one.cpu_ms]))
    row = {
        "device": cpu_model(),
        "threads": 1,
        "size": bundle.manifest.size,
        "call_cpu_ms": round(call, 2),
        "overhead_us": round(overhead_us(), 2),
        "overhead": round(overhead_us() / 1e3 / call, 6),
        "beside_plain_loop": agreement(plain, ours),
        "two_runs": two_runs(asked.bundle, asked.iterations),
        "end_to_end": around(bundle),
    }
    print(json.dumps(row))


def overhead_us() -> float:
    """Microseconds of processor time that timing adds to a call that does nothing."""

    def nothing() -> None: ...

    def timed() -> None:
        sampled(nothing, 0, EMPTY)

    def bare() -> None:
        for _ in range(EMPTY):
            nothing()

    return 1e6 * (spent(timed) - spent(bare)) / EMPTY


def spent(call: Callable[[], None]) -> float:
    """Seconds of processor time, the least of five."""
    found = []
    for _ in range(5):
        start = time.process_time()
        call()
        found.append(time.process_time() - start)
    return min(found)


def beside_a_loop(path: Path, calls: int) -> tuple[list[tuple[float, float]], list[Samples]]:
    """A loop as anybody writes it, and our measuring process, in turn.

    Of the loop wall and processor milliseconds a call, of all calls together.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    fed = {given.name: np.random.default_rng(0).integers(0, 256, given.shape, np.uint8)}
    plain, ours = [], []
    with tempfile.TemporaryDirectory() as folder:
        job = Job(str(path), "onnxruntime", "fp32", 1)
        order = Order(job, 5, calls, str(Path(folder) / "answers.npz"))
        for _ in range(ROUNDS):
            for _ in range(5):
                session.run(None, fed)
            wall, cpu = time.perf_counter(), time.process_time()
            for _ in range(calls):
                session.run(None, fed)
            took = time.perf_counter() - wall, time.process_time() - cpu
            plain.append((1e3 * took[0] / calls, 1e3 * took[1] / calls))
            ours.append(measured(order))
    return plain, ours


def agreement(plain: list[tuple[float, float]], ours: list[Samples]) -> dict[str, float]:
    """Our time over the loop's, both means over the round, as the median of the rounds."""
    walls = [np.mean(one.wall_ms) / wall for one, (wall, _) in zip(ours, plain, strict=True)]
    cpus = [np.mean(one.cpu_ms) / cpu for one, (_, cpu) in zip(ours, plain, strict=True)]
    return {
        "wall_ratio": round(float(np.median(walls)), 4),
        "cpu_ratio": round(float(np.median(cpus)), 4),
        "waited": round(merged(ours).waited, 3),
    }


def two_runs(path: Path, iterations: int) -> dict[str, object]:
    """The median processor time of two benchmarks of the same bundle."""
    settings = Settings(iterations=iterations, streams=1)
    runs = [benchmark(Source(path, "onnxruntime", "fp32"), settings).reports[0] for _ in range(2)]
    ms = [None if run.cpu_ms is None else round(run.cpu_ms.p50, 3) for run in runs]
    ratio = None if None in ms else round(float(ms[1] or 0) / float(ms[0] or 1), 4)
    return {"cpu_ms": ms, "ratio": ratio}


def around(bundle: Bundle) -> dict[str, object]:
    """By the kind of file: processor milliseconds of each stage, and what is beside inference."""
    shown = images.resize(examples(bundle)[0], SIZE)
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind, encode in (("jpg", images.encode_jpeg), ("png", images.encode_png)):
            picture = Path(folder) / f"picture.{kind}"
            picture.write_bytes(encode(shown))
            timed = end_to_end(bundle, "onnxruntime", "fp32", 1, picture=picture, iterations=30)
            found[kind] = shares(timed)
    return found


def shares(timed: EndToEnd) -> dict[str, float] | str:
    if timed.cpu_ms is None:
        return f"not quiet: {timed.cv['cpu_ms']:.0%}"
    p50 = {stage: times.p50 for stage, times in timed.cpu_ms.items()}
    beside = {"beside_inference": (p50["total"] - p50["infer"]) / p50["infer"]}
    drawn = {"resize_and_draw": (p50["resize"] + p50["draw"]) / p50["infer"]}
    return {name: round(value, 3) for name, value in {**p50, **beside, **drawn}.items()}


if __name__ == "__main__":
    main()

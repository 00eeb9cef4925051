"""Requests a second of a served bundle against its bare engine in a loop.  One JSON line.

python benchmarks/serve_load.py runs/quickstart/bundle [--clients 16] [--seconds 10] [--rounds 3]

Rounds alternate: the engine alone, in a process of its own with as many threads, is given the same
pixels again and again; then as many clients as asked, in another process, send the bundle's first
example as a JPEG of the network's size to 'segnas serve', each as soon as it has its answer.  What
the clients and the server take of the processor comes on top of the engine: on two cores an engine
with one thread leaves room for that, one with two does not.  Beside other work compare processor
milliseconds: what the server takes for a picture, the engine's share included, and the engine.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import psutil

import images
from benchmarks.served import Served, serving
from export.bundle import Bundle
from export.machine import cpu_model, usable_cores
from export.runtimes import load


def bare(bundle_path: str, runtime: str, threads: int, seconds: float) -> tuple[float, float]:
    """Pictures a second of the engine alone, whose pixels are there; processor ms of one."""
    bundle = Bundle.load(Path(bundle_path))
    with load(runtime, bundle, threads=threads) as engine:
        pixels = images.decode(picture(bundle))[None]
        for _ in range(5):
            engine(pixels)
        count, start, busy = 0, time.perf_counter(), time.process_time()
        while time.perf_counter() - start < seconds:
            engine(pixels)
            count += 1
        took, busy = time.perf_counter() - start, time.process_time() - busy
        return count / took, 1000 * busy / count


def picture(bundle: Bundle) -> bytes:
    """The first example as a JPEG of the network's size."""
    first = min((bundle.path / "examples").iterdir())
    return images.encode_jpeg(images.resize(images.read(first), bundle.manifest.size))


def load_it(host: str, port: int, data: bytes, clients: int, seconds: float) -> dict[str, Any]:
    """Let clients ask for a while; their statuses, and milliseconds of those with 200."""
    until, took, statuses = time.perf_counter() + seconds, list[float](), list[int]()

    def client() -> None:
        connection = http.client.HTTPConnection(host, port, timeout=120)
        while (start := time.perf_counter()) < until:
            connection.request("POST", "/v1/segment", data)
            answer = connection.getresponse()
            answer.read()
            statuses.append(answer.status)
            took.append(1000 * (time.perf_counter() - start))
        connection.close()

    threads = [threading.Thread(target=client) for _ in range(clients)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = statuses.count(200) / (time.perf_counter() - start)
    refused = len(statuses) - statuses.count(200)
    return {"rate": rate, "took": took, "refused": refused}


def apart(work: Any, *words: object) -> Any:
    """The result of a function in a fresh process, so that none pays for another's threads."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, words)


def round_of(served: Served, data: bytes, options: argparse.Namespace) -> dict[str, Any]:
    words = str(options.bundle), options.runtime, options.threads, options.seconds
    alone, engine_ms = apart(bare, *words)
    before = processor_ms(served)
    found = apart(load_it, served.host, served.port, data, options.clients, options.seconds)
    served_ms = (processor_ms(served) - before) / max(1, len(found["took"]))
    return {"bare": alone, "engine_ms": engine_ms, "served_ms": served_ms, **found}


def processor_ms(served: Served) -> float:
    """What the server has taken of the processor so far."""
    times = psutil.Process(served.process.pid).cpu_times()
    return 1000 * float(times.user + times.system)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runtime", default="onnxruntime")
    options = parser.parse_args()
    words = options.bundle, "--threads", options.threads, "--runtime", options.runtime
    with tempfile.TemporaryDirectory() as folder, serving(*words, temporary=Path(folder)) as served:
        data = picture(Bundle.load(options.bundle))
        apart(load_it, served.host, served.port, data, options.clients, 1.0)
        rounds = [round_of(served, data, options) for _ in range(options.rounds)]
    sys.stdout.write(json.dumps(summary(rounds, options)) + "\n")


def summary(rounds: list[dict[str, Any]], options: argparse.Namespace) -> dict[str, Any]:
    took = sorted(ms for one in rounds for ms in one["took"])
    service = 1000 / statistics.median(one["rate"] for one in rounds)
    return {
        "bare_per_s": [round(one["bare"], 1) for one in rounds],
        "served_per_s": [round(one["rate"], 1) for one in rounds],
        "share": round(statistics.median(one["rate"] / one["bare"] for one in rounds), 3),
        "engine_cpu_ms": [round(one["engine_ms"], 2) for one in rounds],
        "served_cpu_ms": [round(one["served_ms"], 2) for one in rounds],
        "p50_ms": round(statistics.median(took), 1),
        "p99_ms": round(took[len(took) * 99 // 100], 1),
        "bound_ms": round((options.clients + 1) * service, 1),
        "refused": sum(one["refused"] for one in rounds),
        "clients": options.clients,
        "runtime": options.runtime,
        "threads": options.threads,
        "precision": "fp32",
        "device": cpu_model(),
        "cores": usable_cores(),
    }


if __name__ == "__main__":
    main()

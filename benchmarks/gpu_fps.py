"""What a bundle's network does on an NVIDIA GPU: eager, and as a CUDA graph in each precision.

``python benchmarks/gpu_fps.py BUNDLE`` prints one JSON line.  ``ms`` is from pixels on the host to
labels on the host, by the runtime's own call; ``gpu_ms`` is the network alone, by CUDA events, with
pixels and labels on the GPU.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from export.benchmark.opening import examples
from export.bundle import Bundle
from export.runtimes import Pixels
from export.runtimes.torch_cuda import KINDS, Engine, OnGpu

BATCHES = (1, 8)
WARM_UP, CALLS = 10, 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("bundle", type=Path)
    bundle = Bundle.load(parser.parse_args().bundle)
    if not torch.cuda.is_available():
        raise SystemExit("gpu_fps needs an NVIDIA GPU, and torch finds none")
    weights = bundle.file(bundle.artifact("torch"))
    rows = [*eager_rows(bundle, weights), *graph_rows(bundle, weights)]
    about = {"gpu": torch.cuda.get_device_name(), "torch": torch.__version__}
    cost = {**bundle.manifest.costs, "size": bundle.manifest.size}
    print(json.dumps({"bundle": bundle.manifest.name, **about, **cost, "rows": rows}))


def eager_rows(bundle: Bundle, weights: Path) -> Iterator[dict[str, Any]]:
    """The network without a graph, in fp32."""
    network = OnGpu(weights.parent, torch.float32)
    for batch in BATCHES:
        pixels = examples(bundle, batch)
        seen = torch.from_numpy(pixels).cuda()

        def call(pixels: Pixels = pixels) -> object:
            return network(torch.from_numpy(pixels).cuda()).cpu().numpy()

        def alone(seen: torch.Tensor = seen) -> object:
            return network(seen)

        yield row("torch eager", "fp32", batch, call, alone)


def graph_rows(bundle: Bundle, weights: Path) -> Iterator[dict[str, Any]]:
    """The runtime ``torch-cuda`` in every precision."""
    for precision in KINDS:
        with Engine(weights, precision, 0) as engine:
            for batch in BATCHES:
                pixels = examples(bundle, batch)
                replay = engine.graph(pixels.shape).graph.replay

                def call(engine: Engine = engine, pixels: Pixels = pixels) -> object:
                    return engine(pixels)

                yield row("torch-cuda", precision, batch, call, replay)


def row(
    runtime: str,
    precision: str,
    batch: int,
    call: Callable[[], object],
    alone: Callable[[], object],
) -> dict[str, Any]:
    """Milliseconds a batch of ``call``, by the wall, and of ``alone``, by the GPU."""
    ms, gpu_ms = walled(call), evented(alone)
    p50 = float(np.median(ms))
    return {
        "runtime": runtime,
        "precision": precision,
        "batch": batch,
        "p50_ms": round(p50, 4),
        "p90_ms": round(float(np.percentile(ms, 90)), 4),
        "gpu_ms": round(float(np.median(gpu_ms)), 4),
        "fps": round(1e3 * batch / p50, 1),
    }


def walled(call: Callable[[], object]) -> Sequence[float]:
    """Milliseconds of each call, which ends when its labels are on the host."""
    for _ in range(WARM_UP):
        call()
    found = []
    for _ in range(CALLS):
        start = time.perf_counter_ns()
        call()
        found.append((time.perf_counter_ns() - start) / 1e6)
    return found


def evented(call: Callable[[], object]) -> Sequence[float]:
    """Milliseconds of each call between two events on the GPU's stream."""
    call()
    found = []
    for _ in range(CALLS):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        end.record()
        end.synchronize()
        found.append(start.elapsed_time(end))
    return found


if __name__ == "__main__":
    main()

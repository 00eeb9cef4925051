"""The most that this machine computes: a product of matrices in fp32, as many threads as asked."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from export.benchmark.isolated import answer, ask

SIDE, REPEATS = 1024, 12
LIBRARIES = ("OPENBLAS", "OMP", "MKL", "VECLIB")


def peak_gflops(threads: int) -> float:
    """10^9 operations a processor second, the best of :data:`REPEATS` products."""
    limits = {f"{name}_NUM_THREADS": str(threads) for name in LIBRARIES}
    return float(ask("export.benchmark.peak", {}, "the machine's peak", **limits))


def perform(_: Mapping[str, Any]) -> float:
    """Two operations a multiply-add; the threads are those of the environment."""
    matrix = np.random.default_rng(0).random((SIDE, SIDE), np.float32)
    product, spent = np.empty_like(matrix), []
    for _repeat in range(REPEATS):
        start = time.process_time()
        np.matmul(matrix, matrix, out=product)
        spent.append(time.process_time() - start)
    return 2 * SIDE**3 / min(spent) / 1e9


if __name__ == "__main__":
    sys.exit(answer(perform, sys.stdin, sys.stdout))

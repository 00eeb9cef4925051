"""Measuring a latency table: every op in a small graph of its own kind, and a few whole networks.

What an op costs alone is not what it costs in a network: batch norm becomes part of a convolution,
a ReLU and the sum of a node part of their neighbours, and equal pools of one map are computed
once.  So an op is measured as it stands: ``COPIES`` branches of a 1x1 convolution and the op, added
up, less the same graph without the op.  Whole networks then say by how much every op is dearer
among others than in the small graph, and what the rest costs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from export.formats.int8 import int8_from_onnx
from export.formats.onnx import onnx_from_network
from export.machine import cpu_model
from export.runtimes import missing
from export.small_graphs import COPIES, Side, frame, split
from models.genotype import Genotype
from models.latency import LatencyTable
from models.network import PixelsToLabels, build
from models.places import OpKey, stands

REFERENCE = OpKey("conv_3x3", 32, 1, 48, 64)
"""What every call is compared with: two milliseconds of one thread, where this was written."""
QUIET = 5
"""The per cent of the reference's calls that are taken for those of a quiet machine."""

Call = Callable[[], object]
Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True)
class Conditions:
    """How a table is measured, and for which networks."""

    runtime: str
    precision: str
    threads: int
    size: tuple[int, int]
    classes: int
    rounds: int = 40
    told: Callable[[float], object] = lambda share: None
    """Called with the share of the work that is done: the first half makes what the other times."""


def measured(
    keys: Sequence[OpKey],
    networks: Sequence[Genotype],
    conditions: Conditions,
    others: Sequence[Genotype] = (),
) -> tuple[LatencyTable, tuple[float, ...]]:
    """The table of ``keys``, from small graphs and from ``networks``; the milliseconds of others.

    All are timed in one session, in which the machine is as quiet for one as for the other, and
    the table knows nothing of ``others``.  ``ValueError`` where the runtime is not here.
    """
    if reason := missing(conditions.runtime):
        raise ValueError(reason)
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        calls: dict[OpKey | int, Call] = {}
        calls.update(enumerate(network_calls([*networks, *others], conditions)))
        for key, call in op_calls(sorted({*keys, *map(frame, keys)}), conditions).items():
            calls[key] = call
        ms = timed(calls, conditions)
    costs, rest = prices(keys, networks, ms, conditions.size)
    table = LatencyTable(
        cpu_model(),
        conditions.runtime,
        import_module(conditions.runtime).__version__,
        conditions.precision,
        conditions.threads,
        conditions.size,
        costs,
        rest,
    )
    return table, tuple(ms[len(networks) + i] for i in range(len(others)))


def prices(
    keys: Sequence[OpKey],
    networks: Sequence[Genotype],
    ms: Mapping[OpKey | int, float],
    size: tuple[int, int],
) -> tuple[dict[OpKey, float], float]:
    """Milliseconds of every op, and of the rest of a network, from those of all calls."""
    alone = {key: max(ms[key] - ms[frame(key)], 0.0) / COPIES for key in keys}
    beside = [
        ms[i] - sum(alone[x.key(x.slot.edge.op)] for x in stands(genotype, size))
        for i, genotype in enumerate(networks)
    ]
    rest, more = fitted(beside, [volumes(genotype, size) for genotype in networks])
    return {k: max(x + more.get(k.op, 0.0) * volume(k), 0.0) for k, x in alone.items()}, rest


def volumes(genotype: Genotype, size: tuple[int, int]) -> dict[str, float]:
    """Millions of numbers that each op of a network reads, in all its places together."""
    found: dict[str, float] = {}
    for stand in stands(genotype, size):
        op = stand.slot.edge.op
        found[op] = found.get(op, 0.0) + volume(stand.key(op))
    return found


def volume(key: OpKey) -> float:
    """Millions of numbers that an op reads."""
    return key.channels * key.height * key.width / 1e6


def fitted(
    beside: Sequence[float], read: Sequence[Mapping[str, float]], trust: float = 0.03
) -> tuple[float, dict[str, float]]:
    """The rest, and what each op costs more for a million numbers that it reads.

    ``beside`` are the milliseconds of networks that small graphs do not explain, ``read`` their
    :func:`volumes`.  Least squares, in which ``trust`` holds what an op costs more near 0, so that
    networks that hardly have it say nothing of it.
    """
    ops = sorted({op for volumes in read for op in volumes})
    table = np.array([[1.0, *(volumes.get(op, 0.0) for op in ops)] for volumes in read])
    usual = float(np.mean([sum(volumes.values()) for volumes in read]))
    pull = np.hstack([np.zeros((len(ops), 1)), trust * usual * np.eye(len(ops))])
    found, *_ = np.linalg.lstsq(
        np.vstack([table, pull]), np.concatenate([beside, np.zeros(len(ops))]), rcond=None
    )
    rest, *more = map(float, found)
    return max(rest, 0.0), dict(zip(ops, more, strict=True))


def timed(calls: Mapping[Name, Call], conditions: Conditions) -> dict[Name, float]:
    """Milliseconds of processor time of each call, all threads together, on a quiet machine.

    A neighbour on the other half of a core makes everything slower for a while.  So each call is
    compared with the :data:`REFERENCE` just before and after it; every round makes every call once
    in another order, and the median of its ratios counts.  The reference itself is called so often
    that its fast calls are those of a quiet machine.
    """
    rng = np.random.default_rng(0)
    names = list(calls)
    ratios: dict[Name, list[float]] = {name: [] for name in names}
    reference = op_calls([REFERENCE], conditions)[REFERENCE]
    with torch_threads(conditions.threads):
        references = [clocked(reference)]
        for done in range(conditions.rounds):
            conditions.told(0.5 + 0.5 * done / conditions.rounds)
            for i in rng.permutation(len(names)):
                spent = clocked(calls[names[i]])
                references.append(clocked(reference))
                ratios[names[i]].append(2 * spent / sum(references[-2:]))
    quiet = float(np.percentile(references, QUIET))
    return {name: quiet * float(np.median(found)) for name, found in ratios.items()}


def clocked(call: Call) -> float:
    """Milliseconds of processor time of the second of two calls: the first fills the caches."""
    call()
    start = time.process_time_ns()
    call()
    return (time.process_time_ns() - start) / 1e6


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Torch on so many threads in this block: they belong to the process."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def op_calls(keys: Sequence[OpKey], conditions: Conditions) -> Mapping[OpKey, Call]:
    """A call of the small graph of each key."""
    side = Side(keys).eval()
    maps = tuple(torch.randn(1, k.channels, k.height, k.width) for k in keys)
    if conditions.runtime == "torch":
        pairs = zip(side.graphs, maps, strict=True)
        return dict(zip(keys, (partial(inferred, graph, x) for graph, x in pairs), strict=True))
    models = split(side, maps)
    return {
        key: session_call(model, conditions.threads, x.numpy())
        for key, model, x in zip(keys, models, maps, strict=True)
    }


def network_ms(networks: Sequence[Genotype], conditions: Conditions) -> list[float]:
    """Milliseconds of each network, as it is shipped; ``ValueError`` without the runtime."""
    if reason := missing(conditions.runtime):
        raise ValueError(reason)
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        ms = timed(dict(enumerate(network_calls(networks, conditions))), conditions)
    return [ms[i] for i in range(len(networks))]


def network_calls(networks: Sequence[Genotype], conditions: Conditions) -> list[Call]:
    """A call of each network, as it is shipped, with fresh weights and a noisy image."""
    height, width = conditions.size
    image = torch.randint(0, 256, (1, height, width, 3), dtype=torch.uint8)
    made = [build(genotype, conditions.classes) for genotype in networks]
    if conditions.runtime == "torch":
        return [partial(inferred, PixelsToLabels(network).eval(), image) for network in made]
    calls = []
    with TemporaryDirectory() as folder:
        for done, network in enumerate(made):
            conditions.told(0.5 * done / len(made))
            path = onnx_from_network(network, conditions.size, Path(folder) / "model.onnx")
            if conditions.precision == "int8":
                path = int8_from_onnx(path, Path(folder) / "int8.onnx", image.numpy())
            calls.append(session_call(path.read_bytes(), conditions.threads, image.numpy()))
    return calls


@torch.inference_mode()
def inferred(module: nn.Module, x: Tensor) -> Tensor:
    """Any shape, as the module."""
    return module(x)


def session_call(model: bytes, threads: int, x: NDArray[Any]) -> Call:
    """A call of an ONNX model of one input."""
    from export.runtimes.onnxruntime import opened

    session = opened(model, threads)
    return partial(session.run, None, {session.get_inputs()[0].name: x})

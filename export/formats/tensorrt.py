"""Engines of TensorRT and of TensorRT for RTX, which have the same names for everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import onnx

from export.machine import no_gpu
from export.runtimes import module_of
from export.sidecar import Sidecar
from files import sha256, write_bytes
from lengths import Shape

AHEAD = "tensorrt-rtx"
"""The runtime that builds for GPUs that are not there."""


@dataclass(frozen=True)
class Order:
    """How an engine is to be built.  Its precision is that of the ONNX file."""

    runtime: str = AHEAD
    format: str = AHEAD
    """The name under which ``segnas export`` builds it."""
    capabilities: tuple[str, ...] = ()
    """Of the GPUs to build for, such as ``8.6``; none for this machine's own."""
    shapes: tuple[Shape, Shape, Shape] | None = None
    """Smallest, usual and largest pixels, where the ONNX file leaves a length open."""
    workspace_mb: int = 0
    """The most scratch memory; 0 for all that the GPU has."""
    level: int = 3
    """0 to 5: the higher, the longer it looks for fast kernels."""


def engine_from_onnx(source: Path, path: Path, order: Order) -> Path:
    """Build the engine of the ONNX file at ``source`` and write it and its side-car to ``path``.

    With capabilities it is built ahead of time and no GPU is needed.  ``ValueError`` where there is
    no GPU and none is named, for a capability that the library does not build for, for what its
    parser refuses, and where the build fails.
    """
    check_target(order)
    library = import_module(module_of(order.runtime))
    builder = library.Builder(log_of(order.runtime))
    network = parsed(library, builder, source, order)
    config = builder.create_builder_config()
    configure(library, config, order)
    if (shapes := shapes_of(source, order)) is not None:
        profile = builder.create_optimization_profile()
        profile.set_shape("pixels", *shapes)
        config.add_optimization_profile(profile)
    with_capabilities(library, config, order)
    log_of(order.runtime).said.clear()
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise ValueError(f"{described(library, order)} cannot build {source.name}: {reason(order)}")
    write_bytes(path, bytes(plan))
    sidecar(library, source, order).save(path)
    return path


def check_target(order: Order) -> None:
    """``ValueError`` unless there is a GPU to build on, or one to build for.

    Before any object of the library is made: without a driver some of them end the process.
    """
    if order.capabilities and order.runtime != AHEAD:
        raise ValueError(
            f"{order.runtime} builds for this machine's GPU only: leave export.capabilities out, "
            f"or choose {AHEAD}"
        )
    if not order.capabilities and (why := no_gpu()):
        raise ValueError(
            f"{order.runtime} builds on a GPU, and here is none ({why}): name GPUs to build for "
            f"with --set 'export.capabilities=[\"8.6\"]' and format {AHEAD}"
        )


def parsed(library: ModuleType, builder: Any, source: Path, order: Order) -> Any:
    """The network in an ONNX file; ``ValueError`` says what the parser refuses."""
    typed = getattr(library.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if typed is None else 1 << int(typed))
    parser = library.OnnxParser(network, log_of(order.runtime))
    if not parser.parse(source.read_bytes()):
        error = parser.get_error(0)
        words = " ".join(error.desc().splitlines()[:2])
        where = f"{error.node_operator()} {error.node_name()}"
        raise ValueError(f"{described(library, order)} cannot read {source.name}: {where}: {words}")
    return network


def configure(library: ModuleType, config: Any, order: Order) -> None:
    """Scratch memory and effort."""
    if order.workspace_mb:
        pool = library.MemoryPoolType.WORKSPACE
        config.set_memory_pool_limit(pool, order.workspace_mb * 1_000_000)
    config.builder_optimization_level = order.level


def with_capabilities(library: ModuleType, config: Any, order: Order) -> None:
    """Build for GPUs that are not there; ``ValueError`` for one that the library does not know."""
    if not order.capabilities:
        return
    config.num_compute_capabilities = len(order.capabilities)
    known = capabilities(library)
    for index, name in enumerate(order.capabilities):
        kind = known.get(name)
        if kind is None or not config.set_compute_capability(kind, index):
            raise ValueError(
                f"{described(library, order)} does not build for compute capability {name}: "
                f"choose from {', '.join(known)}"
            )


def capabilities(library: ModuleType) -> Mapping[str, Any]:
    """What can be built for, by names such as ``8.6``."""
    members = library.ComputeCapability.__members__
    numbers = {name[2:]: kind for name, kind in members.items() if name.startswith("SM")}
    return {f"{int(n[:-1])}.{n[-1]}": numbers[n] for n in sorted(numbers, key=int)}


def shapes_of(source: Path, order: Order) -> Sequence[Shape] | None:
    """The profile that an open length needs; ``ValueError`` where it is missing."""
    sides = onnx.load(source).graph.input[0].type.tensor_type.shape.dim
    if all(side.HasField("dim_value") for side in sides):
        return None
    if order.shapes is None:
        raise ValueError(f"{source.name} leaves a length open: say which lengths it may have")
    return order.shapes


def sidecar(library: ModuleType, source: Path, order: Order) -> Sidecar:
    gpu, own = ("", order.capabilities) if order.capabilities else this_gpu()
    return Sidecar(
        order.runtime,
        library.__version__,
        own,
        gpu,
        order.format,
        source.name,
        sha256(source),
    )


def this_gpu() -> tuple[str, tuple[str, ...]]:
    """The name and the compute capability of the GPU that is used."""
    from export.cuda import gpu

    name, capability = gpu()
    return name, (capability,)


def described(library: ModuleType, order: Order) -> str:
    return f"{order.runtime} {library.__version__}"


def reason(order: Order) -> str:
    """The first thing that the library complained about."""
    said: list[str] = log_of(order.runtime).said
    return said[0] if said else "it does not say why"


@cache
def log_of(runtime: str) -> Any:
    """The one log of a library, which it keeps for ever; it remembers errors and prints nothing."""
    library = import_module(module_of(runtime))

    serious = (library.ILogger.ERROR, library.ILogger.INTERNAL_ERROR)

    def start(self: Any) -> None:
        library.ILogger.__init__(self)
        self.said = []

    def log(self: Any, severity: Any, message: str) -> None:
        if severity in serious:
            self.said.append(" ".join(message.split()))

    return type("Log", (library.ILogger,), {"__init__": start, "log": log})()

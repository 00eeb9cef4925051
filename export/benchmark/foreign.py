"""Any ONNX file with one picture as its input, in ONNX Runtime and in OpenVINO, on noise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.benchmark.isolated import Unfit
from export.benchmark.subjects import Job, Subject
from export.machine import cpu_model
from export.runtimes import Facts, missing

KINDS: Mapping[str, np.dtype[Any]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(uint8)": np.dtype(np.uint8),
    "f32": np.dtype(np.float32),
    "f16": np.dtype(np.float16),
    "u8": np.dtype(np.uint8),
}
"""What an input may hold, by the names of ONNX Runtime and of OpenVINO."""
CHANNELS = (1, 3, 4)
FOREIGN = ("onnxruntime", "openvino")
"""The runtimes that read a file which is not ours."""


@dataclass(frozen=True)
class Input:
    """The one input of a file; None is a length that it leaves open."""

    name: str
    shape: tuple[int | None, ...]
    kind: np.dtype[Any]

    @property
    def channels_last(self) -> bool:
        """Whether it is [B, H, W, C]; where nothing tells, it is [B, C, H, W] as is usual."""
        return self.shape[1] not in CHANNELS and self.shape[3] in CHANNELS


def filled(given: Input, batch: int, size: tuple[int, int] | None) -> tuple[int, ...]:
    """The shape with what is open filled in; ``ValueError`` says which option is missing.

    :class:`Unfit` where the file reads other batches, ``ValueError`` where it reads another size.
    """
    height, width = size or (None, None)
    wanted = (batch, height, width, 3) if given.channels_last else (batch, 3, height, width)
    if given.shape[0] not in (None, batch):
        raise Unfit(f"the file reads batches of {given.shape[0]}, not of {batch}")
    pairs = zip(given.shape[1:], wanted[1:], strict=True)
    lengths = [asked if fixed is None else fixed for fixed, asked in pairs]
    shape = (batch, *(length for length in lengths if length is not None))
    if len(shape) < len(given.shape):
        raise ValueError("the file leaves its height and width open: add --size 360x480")
    if size not in (None, sides(shape, given.channels_last)):
        reads = "x".join(map(str, sides(shape, given.channels_last)))
        raise ValueError(f"the file reads {reads} only: leave out --size")
    return shape


def sides(shape: Sequence[int], channels_last: bool) -> tuple[int, int]:
    """Height and width."""
    return (shape[1], shape[2]) if channels_last else (shape[2], shape[3])


def noise(shape: tuple[int, ...], kind: np.dtype[Any]) -> NDArray[Any]:
    """The same numbers always: 0..255 for bytes, standard normal for others."""
    rng = np.random.default_rng(0)
    if kind == np.uint8:
        return rng.integers(0, 256, shape, dtype=np.uint8)
    return rng.standard_normal(shape, dtype=np.float32).astype(kind)


@contextmanager
def of_file(path: Path, job: Job) -> Iterator[Subject]:
    """An ONNX file in the job's runtime; ``ValueError`` where it is not one with a picture."""
    if reason := missing(job.runtime):
        raise Unfit(reason)
    given, run, facts = (in_onnxruntime if job.runtime == "onnxruntime" else in_openvino)(path, job)
    fed = noise(filled(given, job.batch, job.size), given.kind)
    size = sides(fed.shape, given.channels_last)
    yield Subject(facts, job.batch, size, lambda: run(fed), path)


def the_input(path: Path, inputs: Sequence[tuple[str, Sequence[object], str]]) -> Input:
    """The input of a file from name, shape and type of each; ``ValueError`` unless it is one."""
    reads = ", ".join(f"{kind} {list(shape)}" for _, shape, kind in inputs)
    if len(inputs) != 1 or len(inputs[0][1]) != 4 or inputs[0][2] not in KINDS:
        raise ValueError(f"{path} does not read one picture, but {reads}: it cannot be measured")
    name, shape, kind = inputs[0]
    lengths = tuple(n if isinstance(n, int) and n > 0 else None for n in shape)
    return Input(name, lengths, KINDS[kind])


def in_onnxruntime(path: Path, job: Job) -> tuple[Input, Any, Facts]:
    import onnxruntime

    from export.runtimes.onnxruntime import COMPUTES, PROVIDER, active, opened

    session = opened(path, job.threads)
    given = the_input(path, [(i.name, i.shape, i.type) for i in session.get_inputs()])
    provider = active(session, PROVIDER)
    version = onnxruntime.__version__
    computes = COMPUTES.get(job.precision, job.precision)
    facts = Facts(job.runtime, provider, job.precision, cpu_model(), job.threads, version, computes)
    return given, lambda fed: session.run(None, {given.name: fed}), facts


def in_openvino(path: Path, job: Job) -> tuple[Input, Any, Facts]:
    """Compiled for the one shape; what it cannot read is :class:`Unfit`: ONNX Runtime judges."""
    import openvino

    from export.runtimes.openvino import DEVICE, compiled, computes, last, read

    try:
        model = read(path)
        given = the_input(path, [described(one) for one in model.inputs])
        model.reshape(list(filled(given, job.batch, job.size)))
        ready = compiled(model, "fp32", job.threads)
    except (RuntimeError, ValueError) as error:
        raise Unfit(f"OpenVINO does not run it: {last(error)}") from None
    request, outputs = ready.create_infer_request(), range(len(ready.outputs))
    version = openvino.__version__.partition("-")[0]
    facts = Facts(
        job.runtime, DEVICE, job.precision, cpu_model(), job.threads, version, computes(ready)
    )

    def run(fed: NDArray[Any]) -> list[NDArray[Any]]:
        request.infer([fed], share_inputs=False)
        return [request.get_output_tensor(index).data.copy() for index in outputs]

    return given, run, facts


def described(given: Any) -> tuple[str, list[object], str]:
    """Name, shape and type of one of OpenVINO's inputs."""
    shape = [None if side.is_dynamic else side.get_length() for side in given.partial_shape]
    return given.any_name, shape, given.element_type.get_type_name()

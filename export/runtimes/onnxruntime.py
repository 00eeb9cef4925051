"""ONNX Runtime, on the processor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import onnxruntime as ort

from export.machine import cpu_model, usable_cores
from export.runtimes import Facts, Labels, Length, Pixels, check_pixels, labelled
from lengths import spans_of

PROVIDER = "CPUExecutionProvider"
COMPUTES = {"fp32": "fp32", "fp16": "fp32", "int8": "int8"}
"""What the processor computes in by what the file stores: it casts every fp16 to fp32 and back."""


class Engine:
    """An ONNX file in ONNX Runtime.  Reads the batches and sizes the file was made for."""

    def __init__(self, path: Path, precision: str, threads: int) -> None:
        """``threads`` 0 takes the cores this process may use; ``ValueError`` for a broken file."""
        if precision not in COMPUTES:
            raise ValueError(
                f"ONNX Runtime runs {', '.join(COMPUTES)} on a processor, not {precision}"
            )
        threads = threads or usable_cores()
        self.session = opened(path, threads)
        self.shape = lengths(self.session)
        provider = active(self.session, PROVIDER)
        self.facts = Facts(
            "onnxruntime",
            provider,
            precision,
            cpu_model(),
            threads,
            ort.__version__,
            COMPUTES[precision],
        )

    def __call__(self, pixels: Pixels) -> Labels:
        """uint8 [B, H, W, 3] -> uint8 [B, H, W]."""
        check_pixels(pixels, self.shape)
        return labelled(self.session.run(None, {"pixels": pixels})[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        del self.session


def opened(
    model: Path | bytes, threads: int, providers: Sequence[object] = (PROVIDER,)
) -> ort.InferenceSession:
    """A session over a file, or over one in memory, with ``threads`` threads.

    Threads spin while they wait, as is ONNX Runtime's default: latency before processor time.
    Measured with two threads on two cores, milliseconds a call with and without spinning: 3.6 and
    4.8 one after another; 4 and 8 where calls come 20 ms apart, for 29 and 9 of processor time.
    Without ``enable_fallback`` 0 it changes the provider when a call fails, and prints about it.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    source = model if isinstance(model, bytes) else str(model)
    try:
        return ort.InferenceSession(source, options, [*providers], enable_fallback=0)
    except Exception as error:  # its exceptions share no base but this
        name = "the model" if isinstance(model, bytes) else model
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"{name} is not a model that ONNX Runtime {ort.__version__} reads: {reason}"
        ) from None


def lengths(session: ort.InferenceSession) -> tuple[Length, ...]:
    """What the model reads: the spans of lengths that are open stand in what it says of itself."""
    said = session.get_modelmeta().custom_metadata_map
    spans = spans_of(said.get("dynamic", ""))
    shape = session.get_inputs()[0].shape
    return tuple(n if isinstance(n, int) else spans.get(n) for n in shape)


def active(session: ort.InferenceSession, wanted: str) -> str:
    """The provider that runs ``session``; ``ValueError`` unless it is the one asked for."""
    provider: str = session.get_providers()[0]
    if provider != wanted:
        raise ValueError(
            f"ONNX Runtime runs on {provider}, not on {wanted} as asked. 'segnas doctor' says why."
        )
    return provider

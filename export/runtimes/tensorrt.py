"""TensorRT, and TensorRT for RTX, on an NVIDIA GPU.

Written against what both libraries say of themselves on a machine without a GPU, where engines are
built and nothing can be run: see decision 0021.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Self

import numpy as np

from export.cuda import Buffer, Stream, gpu
from export.machine import no_gpu
from export.runtimes import Facts, Labels, Pixels, check_pixels, labelled, module_of
from export.sidecar import Sidecar

KINDS: Mapping[str, type[np.generic]] = {"labels": np.uint8, "logits": np.float32}
"""What an output holds."""


class Engine:
    """An engine with its own buffers; where no length is open its work is one CUDA graph."""

    def __init__(self, path: Path, precision: str, threads: int) -> None:
        """``threads`` means nothing to a GPU.

        ``ValueError`` without a GPU, before any object of the library is made, and with the
        command that rebuilds where the engine is for another machine.
        """
        if reason := no_gpu():
            raise ValueError(f"{path.name} needs an NVIDIA GPU: {reason}")
        sidecar = Sidecar.load(path)
        library = import_module(module_of(sidecar.runtime))
        name, capability = gpu()
        sidecar.check(path, library.__version__, capability, name)
        self.stream = Stream()
        engine = deserialized(library, path)
        self.context = engine.create_execution_context()
        self.shape = spans(engine)
        self.output = engine.get_tensor_name(1)
        largest = tuple(high for _, high in self.shape)
        self.context.set_input_shape("pixels", largest)
        self.buffers = {
            tensor: Buffer(tuple(self.context.get_tensor_shape(tensor)), kind, self.stream)
            for tensor, kind in (("pixels", np.uint8), (self.output, KINDS[self.output]))
        }
        for tensor, buffer in self.buffers.items():
            self.context.set_tensor_address(tensor, buffer.device.value)
        self.step()  # what the library sets up at the first call must not be recorded
        fixed = all(low == high for low, high in self.shape)
        self.graph = self.stream.recorded(self.enqueue) if fixed else None
        how = "CUDA graph" if fixed else "CUDA stream"
        self.facts = Facts(sidecar.runtime, how, precision, name, 0, library.__version__, precision)

    def enqueue(self) -> None:
        """Pixels to the GPU, the network, labels back."""
        self.buffers["pixels"].send()
        if not self.context.execute_async_v3(self.stream.handle.value):
            raise ValueError("the engine did not start: build it again with 'segnas export RUN'")
        self.buffers[self.output].fetch()

    def step(self) -> None:
        self.enqueue()
        self.stream.wait()

    def __call__(self, pixels: Pixels) -> Labels:
        """uint8 [B, H, W, 3] -> uint8 [B, H, W]."""
        check_pixels(pixels, self.shape)
        if self.graph is None:
            self.context.set_input_shape("pixels", pixels.shape)
            for tensor, buffer in self.buffers.items():
                buffer.shaped(tuple(self.context.get_tensor_shape(tensor)))
        self.buffers["pixels"].host[...] = pixels
        (self.enqueue if self.graph is None else self.graph.launch)()
        self.stream.wait()
        return labelled(self.buffers[self.output].host.copy())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        del self.context
        if self.graph is not None:
            self.graph.close()
        for buffer in self.buffers.values():
            buffer.close()
        self.stream.close()


def deserialized(library: Any, path: Path) -> Any:
    """The engine in a file; ``ValueError`` where it is none."""
    runtime = library.Runtime(library.Logger(library.Logger.ERROR))
    engine = runtime.deserialize_cuda_engine(path.read_bytes())
    if engine is None:
        raise ValueError(f"{path} is not an engine that {library.__name__} reads: build it again")
    return engine


def spans(engine: Any) -> list[tuple[int, int]]:
    """The least and the most of every length of the pixels, the same where it is fixed."""
    shape = tuple(engine.get_tensor_shape("pixels"))
    if min(shape) > 0:
        return [(length, length) for length in shape]
    least, _, most = engine.get_tensor_profile_shape("pixels", 0)
    return [*zip(tuple(least), tuple(most), strict=True)]

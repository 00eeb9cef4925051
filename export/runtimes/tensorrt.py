"""TensorRT, and TensorRT for RTX, on an NVIDIA GPU.

Written against what both libraries say of themselves on a machine without a GPU, where engines are
built and nothing can be run: see decision 0021.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, Self

from export.cuda import Buffer, Stream, gpu
from export.machine import no_gpu
from export.runtimes import Facts, Labels, Pixels, check_pixels, module_of
from export.sidecar import Sidecar


class Engine:
    """An engine with its own buffers, its work recorded as one CUDA graph."""

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
        self.context = context(library, path)
        self.buffers = {
            tensor: Buffer(tuple(self.context.get_tensor_shape(tensor)), self.stream)
            for tensor in ("pixels", "labels")
        }
        for tensor, buffer in self.buffers.items():
            self.context.set_tensor_address(tensor, buffer.device.value)
        self.step()  # what the library sets up at the first call must not be recorded
        self.graph = self.stream.recorded(self.enqueue)
        self.facts = Facts(
            sidecar.runtime, "CUDA graph", precision, name, 0, library.__version__, precision
        )

    def enqueue(self) -> None:
        """Pixels to the GPU, the network, labels back."""
        self.buffers["pixels"].send()
        if not self.context.execute_async_v3(self.stream.handle.value):
            raise ValueError("the engine did not start: build it again with 'segnas export RUN'")
        self.buffers["labels"].fetch()

    def step(self) -> None:
        self.enqueue()
        self.stream.wait()

    def __call__(self, pixels: Pixels) -> Labels:
        """uint8 [B, H, W, 3] -> uint8 [B, H, W]."""
        check_pixels(pixels, self.buffers["pixels"].host.shape)
        self.buffers["pixels"].host[...] = pixels
        self.graph.launch()
        self.stream.wait()
        return self.buffers["labels"].host.copy()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        del self.context
        self.graph.close()
        for buffer in self.buffers.values():
            buffer.close()
        self.stream.close()


def context(library: Any, path: Path) -> Any:
    """What executes the engine in a file; ``ValueError`` where it is none."""
    runtime = library.Runtime(library.Logger(library.Logger.ERROR))
    engine = runtime.deserialize_cuda_engine(path.read_bytes())
    if engine is None:
        raise ValueError(f"{path} is not an engine that {library.__name__} reads: build it again")
    return engine.create_execution_context()

"""PyTorch on an NVIDIA GPU: the network is recorded as a CUDA graph once, and replayed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from export.runtimes import Facts, Labels, Pixels, check_pixels
from models.network import PixelsToLabels
from models.weights import load

KINDS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
"""What convolutions compute in; pixels and maps are normalised by numbers of fp32 always."""
WARM_UP = 3
"""Calls before the recording, in which cuDNN tries its algorithms and memory is taken."""
KEPT = 8
"""How many shapes keep their graphs, and the memory that belongs to them."""

Run = Callable[[Tensor], Tensor]
"""uint8 [B, H, W, 3] -> uint8 [B, H, W], both on the GPU."""


class Engine:
    """``weights.safetensors`` and the ``network.json`` beside it.  Reads any batch and size.

    The first call of a shape records its graph; the shape whose graph is oldest makes room.
    """

    def __init__(self, path: Path, precision: str, threads: int) -> None:
        """``threads`` means nothing to a GPU; ``ValueError`` without one, or for a broken file."""
        if precision not in KINDS:
            raise ValueError(f"torch-cuda runs {', '.join(KINDS)}, not {precision}")
        if not torch.cuda.is_available():
            raise ValueError(
                f"torch-cuda needs an NVIDIA GPU, and torch {torch.__version__} finds none: "
                "'segnas doctor' says more"
            )
        self.network = OnGpu(path.parent, KINDS[precision])
        self.graphs: dict[tuple[int, ...], Replay] = {}
        name, version = torch.cuda.get_device_name(), torch.__version__
        self.facts = Facts("torch-cuda", "CUDA graph", precision, name, 0, version, precision)

    def __call__(self, pixels: Pixels) -> Labels:
        """uint8 [B, H, W, 3] -> uint8 [B, H, W]."""
        check_pixels(pixels, (None, None, None, 3))
        return self.graph(pixels.shape)(pixels)

    def graph(self, shape: tuple[int, ...]) -> Replay:
        """The graph of a shape; ``ValueError`` where it cannot be recorded."""
        if shape not in self.graphs:
            while len(self.graphs) >= KEPT:
                del self.graphs[next(iter(self.graphs))]
            self.graphs[shape] = recorded(self.network, shape)
        return self.graphs[shape]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.graphs.clear()
        del self.network
        torch.cuda.empty_cache()


class OnGpu:
    """A trained network on the GPU, channels last, its convolutions in one precision."""

    def __init__(self, folder: Path, kind: torch.dtype) -> None:
        network = load(folder).cuda()
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.to(kind)
        convert_conv2d_weight_memory_format(network, torch.channels_last)
        self.kind = kind
        self.module: Run = PixelsToLabels(network).eval()

    def __call__(self, pixels: Tensor) -> Tensor:
        """uint8 [B, H, W, 3] -> uint8 [B, H, W].  What is fp32 is not rounded to TF32."""
        with (
            torch.inference_mode(),
            torch.autocast("cuda", self.kind, self.kind != torch.float32, cache_enabled=False),
            torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False),
        ):
            return self.module(pixels)


class Replay:
    """A recorded call for one shape, with the arrays of host and GPU that it reads and writes."""

    def __init__(self, run: Run, shape: tuple[int, ...]) -> None:
        """``shape`` is [B, H, W, 3]."""
        self.pixels, self.labels = (
            torch.zeros(part, dtype=torch.uint8).pin_memory() for part in (shape, shape[:3])
        )
        self.seen = torch.zeros(shape, dtype=torch.uint8, device="cuda")
        self.stream = torch.cuda.Stream()
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            for _ in range(WARM_UP):
                run(self.seen)
        self.stream.synchronize()
        self.graph = torch.cuda.CUDAGraph()
        # Other threads may own engines, whose calls must not spoil what is recorded here.
        with torch.cuda.graph(self.graph, stream=self.stream, capture_error_mode="thread_local"):
            self.found = run(self.seen)

    def __call__(self, pixels: Pixels) -> Labels:
        """uint8 [B, H, W, 3] -> uint8 [B, H, W]: to the GPU, the graph, back, and wait."""
        self.pixels.numpy()[...] = pixels
        with torch.cuda.stream(self.stream):
            self.seen.copy_(self.pixels, non_blocking=True)
            self.graph.replay()
            self.labels.copy_(self.found, non_blocking=True)
        self.stream.synchronize()
        return self.labels.numpy().copy()


def recorded(run: Run, shape: tuple[int, ...]) -> Replay:
    """``run`` for [B, H, W, 3]; ``ValueError`` where the GPU lacks memory, or refuses."""
    try:
        return Replay(run, shape)
    except torch.OutOfMemoryError:
        batch = f"{shape[0]} images of {shape[1]}x{shape[2]}"
        raise ValueError(f"the GPU lacks memory for {batch}: choose a smaller batch") from None
    except RuntimeError as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(
            f"torch {torch.__version__} does not record this network as a CUDA graph ({reason}): "
            "choose another runtime"
        ) from None

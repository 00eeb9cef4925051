"""CUDA's driver, as far as an engine needs it: a context, a stream, memory and a recorded graph."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from ctypes import byref, c_int, c_size_t, c_void_p
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.machine import no_gpu

MAJOR, MINOR = 75, 76
"""The driver's numbers for the two halves of a compute capability."""
RELAXED = 2
"""Record what this thread does, whatever others do."""


@cache
def driver() -> Any:
    """The driver, started; ``ValueError`` where there is none."""
    if reason := no_gpu():
        raise ValueError(f"this needs an NVIDIA GPU: {reason}. 'segnas doctor' says more.")
    return ctypes.CDLL("libcuda.so.1")


def call(name: str, *words: object) -> None:
    """Call a function of the driver; ``ValueError`` with its code where it fails."""
    if code := getattr(driver(), name)(*words):
        raise ValueError(f"CUDA refuses {name}: error {code}")


def gpu(index: int = 0) -> tuple[str, str]:
    """The name of a GPU and its compute capability, such as ``8.6``."""
    device, name, part = c_int(), ctypes.create_string_buffer(256), c_int()
    call("cuDeviceGet", byref(device), index)
    call("cuDeviceGetName", name, 256, device)
    halves = []
    for half in (MAJOR, MINOR):
        call("cuDeviceGetAttribute", byref(part), half, device)
        halves.append(str(part.value))
    return name.value.decode(), ".".join(halves)


class Stream:
    """The first GPU's own context, and one stream in it."""

    def __init__(self) -> None:
        device, context, self.handle = c_int(), c_void_p(), c_void_p()
        call("cuDeviceGet", byref(device), 0)
        call("cuDevicePrimaryCtxRetain", byref(context), device)
        call("cuCtxSetCurrent", context)
        call("cuStreamCreate", byref(self.handle), 1)

    def wait(self) -> None:
        """Until everything that was asked for has happened."""
        call("cuStreamSynchronize", self.handle)

    def recorded(self, work: Callable[[], None]) -> Graph:
        """What ``work`` asks for on this stream, to be launched as one."""
        graph, ready = c_void_p(), c_void_p()
        call("cuStreamBeginCapture_v2", self.handle, RELAXED)
        work()
        call("cuStreamEndCapture", self.handle, byref(graph))
        call("cuGraphInstantiateWithFlags", byref(ready), graph, ctypes.c_ulonglong(0))
        call("cuGraphDestroy", graph)
        return Graph(ready, self)

    def close(self) -> None:
        call("cuStreamDestroy_v2", self.handle)


class Graph:
    """Work that was recorded."""

    def __init__(self, handle: c_void_p, stream: Stream) -> None:
        self.handle, self.stream = handle, stream

    def launch(self) -> None:
        call("cuGraphLaunch", self.handle, self.stream.handle)

    def close(self) -> None:
        call("cuGraphExecDestroy", self.handle)


class Buffer:
    """An array that stays where it is in memory, and as much memory on the GPU."""

    def __init__(self, shape: tuple[int, ...], kind: type[np.generic], stream: Stream) -> None:
        """``shape`` is the largest that it will have."""
        self.room: NDArray[Any] = np.zeros(math.prod(shape), kind)
        self.host = self.room.reshape(shape)
        self.stream, self.device = stream, c_void_p()
        call("cuMemHostRegister_v2", self.address, self.size, 0)
        call("cuMemAlloc_v2", byref(self.device), self.size)

    def shaped(self, shape: tuple[int, ...]) -> None:
        """Let ``host`` be the beginning of the array, with ``shape``."""
        self.host = self.room[: math.prod(shape)].reshape(shape)

    @property
    def size(self) -> c_size_t:
        """The bytes that are sent and fetched."""
        return c_size_t(self.host.nbytes)

    @property
    def address(self) -> c_void_p:
        """Where the array is."""
        return c_void_p(self.host.ctypes.data)

    def send(self) -> None:
        """From the host to the GPU."""
        call("cuMemcpyHtoDAsync_v2", self.device, self.address, self.size, self.stream.handle)

    def fetch(self) -> None:
        """From the GPU to the host."""
        call("cuMemcpyDtoHAsync_v2", self.address, self.device, self.size, self.stream.handle)

    def close(self) -> None:
        call("cuMemFree_v2", self.device)
        call("cuMemHostUnregister", self.address)

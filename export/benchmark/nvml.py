"""What an NVIDIA GPU does while it is measured, where ``pynvml`` is installed.

Written against the library's own description: where it was written there was no GPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

THROTTLES = {
    "power": "nvmlClocksThrottleReasonSwPowerCap",
    "heat": "nvmlClocksThrottleReasonSwThermalSlowdown",
    "heat, in hardware": "nvmlClocksThrottleReasonHwThermalSlowdown",
    "power brake": "nvmlClocksThrottleReasonHwPowerBrakeSlowdown",
}
"""Why a clock is lower than it could be, by the names of the library's bits."""


@dataclass(frozen=True)
class Gpu:
    """The first GPU at one moment."""

    clock_mhz: int
    memory_clock_mhz: int
    power_w: float
    temperature_c: int
    throttled_by: tuple[str, ...]

    def __str__(self) -> str:
        slowed = (
            f"throttled by {', '.join(self.throttled_by)}" if self.throttled_by else "not throttled"
        )
        return (
            f"GPU at {self.clock_mhz} MHz (memory {self.memory_clock_mhz}), {self.power_w:.0f} W, "
            f"{self.temperature_c} C, {slowed}"
        )


def snapshot() -> Gpu | None:
    """The first GPU now; None where there is no GPU, no driver or no ``pynvml``."""
    if find_spec("pynvml") is None:
        return None
    nvml = import_module("pynvml")
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return None
    try:
        return read(nvml, nvml.nvmlDeviceGetHandleByIndex(0))
    except nvml.NVMLError:  # a card may not know one of its numbers
        return None
    finally:
        nvml.nvmlShutdown()


def read(nvml: Any, device: Any) -> Gpu:
    reasons = nvml.nvmlDeviceGetCurrentClocksThrottleReasons(device)
    return Gpu(
        nvml.nvmlDeviceGetClockInfo(device, nvml.NVML_CLOCK_GRAPHICS),
        nvml.nvmlDeviceGetClockInfo(device, nvml.NVML_CLOCK_MEM),
        nvml.nvmlDeviceGetPowerUsage(device) / 1000,
        nvml.nvmlDeviceGetTemperature(device, nvml.NVML_TEMPERATURE_GPU),
        tuple(word for word, bit in THROTTLES.items() if reasons & getattr(nvml, bit)),
    )

"""A GPU says how fast and hot it is and what slows it, where there is one."""

from __future__ import annotations

from dataclasses import replace

from export.benchmark import nvml


class Library:
    """What pynvml says of one hot GPU; it is not installed where these tests were written."""

    class NVMLError(Exception): ...

    NVML_CLOCK_GRAPHICS, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 0, 2, 0
    nvmlClocksThrottleReasonSwPowerCap = 4
    nvmlClocksThrottleReasonSwThermalSlowdown = 32
    nvmlClocksThrottleReasonHwThermalSlowdown = 64
    nvmlClocksThrottleReasonHwPowerBrakeSlowdown = 128

    @staticmethod
    def nvmlDeviceGetCurrentClocksThrottleReasons(_: object) -> int:
        return 4 | 64

    @staticmethod
    def nvmlDeviceGetClockInfo(_: object, kind: int) -> int:
        return 1980 if kind == 0 else 2619

    @staticmethod
    def nvmlDeviceGetPowerUsage(_: object) -> int:
        return 310_400

    @staticmethod
    def nvmlDeviceGetTemperature(_: object, kind: int) -> int:
        return 71


def test_a_gpu_says_what_slows_it() -> None:
    gpu = nvml.read(Library, object())
    assert gpu.throttled_by == ("power", "heat, in hardware")
    words = "GPU at 1980 MHz (memory 2619), 310 W, 71 C, throttled by power, heat, in hardware"
    assert str(gpu) == words
    assert str(replace(gpu, throttled_by=())).endswith("71 C, not throttled")


def test_without_pynvml_or_a_gpu_nothing_is_said() -> None:
    assert nvml.snapshot() is None

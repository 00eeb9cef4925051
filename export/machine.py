"""The machine a number was measured on: its processor, and the cores this process may use."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Mapping
from pathlib import Path

import psutil

CPUINFO = Path("/proc/cpuinfo")
QUOTA = Path("/sys/fs/cgroup/cpu.max")
STATUS = Path("/proc/self/status")


def cpu_model() -> str:
    """The processor's name, such as ``AMD EPYC 9654 96-Core Processor``.

    Rented machines often hide the number.  Then it is the family and model that tell one with VNNI
    from one without: ``AMD EPYC (family 25, model 17)``.
    """
    known = cpuinfo()
    name = known.get("model name") or platform.processor() or platform.machine()
    numbered = any(letter.isdigit() for letter in name.partition("@")[0])
    if numbered or not {"cpu family", "model"} <= known.keys():
        return name
    return f"{name} (family {known['cpu family']}, model {known['model']})"


def cpuinfo() -> Mapping[str, str]:
    """What Linux says about the first core; empty elsewhere."""
    if not CPUINFO.exists():
        return {}
    first = CPUINFO.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def usable_cores() -> int:
    """Physical cores that this process may run on, at most its container's share, at least one."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    physical = psutil.cpu_count(logical=False) or psutil.cpu_count() or 1
    return max(1, min(allowed or 1, physical, container_share()))


def container_share() -> int:
    """How many cores the control group grants: a very large number where it sets no limit."""
    quota, _, period = QUOTA.read_text().partition(" ") if QUOTA.exists() else ("max", "", "")
    return 1 << 16 if quota == "max" else int(quota) // int(period)


def no_gpu() -> str | None:
    """Why CUDA cannot be used here, None where it can.

    Asked before any object of TensorRT is made: without a driver that ends the process.
    """
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "no driver: libcuda.so.1 was not found"
    code = driver.cuInit(0)
    return f"the driver does not start: error {code}" if code else None


def peak_rss_mb() -> float:
    """The most memory this process ever held, in MB (10^6 bytes).

    Linux's VmHWM starts anew with every program, unlike ``ru_maxrss``, which a child inherits from
    the process that started it.
    """
    if STATUS.exists():
        lines = STATUS.read_text().splitlines()
        kib = next(line for line in lines if line.startswith("VmHWM:")).split()[1]
        return int(kib) * 1024 / 1e6
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6  # bytes, on the one system of interest without /proc: macOS

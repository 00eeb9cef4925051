"""The doctor: what this machine can run, and what to install for the rest."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import psutil

from export.machine import cpu_model, cpuinfo, usable_cores

State = Literal["works", "missing", "fault"]
"""``missing`` is a choice that installing changes; ``fault`` is wrong and must be repaired."""


@dataclass(frozen=True)
class Finding:
    """One thing about this machine.  ``remedy`` is empty where it works."""

    subject: str
    state: State
    detail: str
    remedy: str = ""


@dataclass(frozen=True)
class Engine:
    """An engine or page that an extra brings: its module, and the distributions that hold it."""

    module: str
    distributions: tuple[str, ...]
    extra: str


ENGINES = (
    Engine("onnxruntime", ("onnxruntime", "onnxruntime-gpu"), "cpu"),
    Engine("torch", ("torch",), "train"),
    Engine("openvino", ("openvino",), "openvino"),
    Engine("tensorrt", ("tensorrt-cu13", "tensorrt"), "tensorrt"),
    Engine("tensorrt_rtx", ("tensorrt-rtx-cu13",), "tensorrt-rtx"),
    Engine("gradio", ("gradio",), "serve"),
)
FLOORS: Mapping[str, tuple[tuple[int, int], str]] = {
    "torch": ((2, 10), "train"),
    "onnx": ((1, 21), "train"),
    "pillow": ((12, 2), "cpu"),
    "gradio": ((6, 22), "serve"),
}
"""Older versions have known holes: the lowest safe one, and the extra that installs it."""
INSTRUCTIONS: Mapping[str, tuple[str, ...]] = {
    "AVX-512": ("avx512f",),
    "VNNI (fast INT8)": ("avx512_vnni", "avx_vnni", "asimddp"),
    "BF16": ("avx512_bf16", "amx_bf16", "bf16"),
}
"""What the engines gain most from, and Linux's names for it on x86 and Arm."""
PROBE_LIMIT = 60
"""Seconds an import may take."""
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


def diagnose() -> list[Finding]:
    """Everything this machine can and cannot run.  Takes the time that importing the engines takes.

    Engines are imported in processes of their own: what crashes there is a finding here.
    """
    return [
        *machine(),
        gpu(),
        *engines(),
        *both_onnxruntimes(),
        *(floor(name) for name in FLOORS if installed(name)),
        browser(),
    ]


def machine() -> list[Finding]:
    """Processor, cores, memory and instruction sets."""
    memory = psutil.virtual_memory().total / 1e9
    info = cpuinfo()
    flags = {*info.get("flags", "").split(), *info.get("Features", "").split()}
    have = [name for name, marks in INSTRUCTIONS.items() if flags.intersection(marks)]
    return [
        Finding("processor", "works", f"{cpu_model()}, {usable_cores()} cores usable"),
        Finding("memory", "works", f"{memory:.1f} GB"),
        Finding("instructions", "works", ", ".join(have) or "none of " + ", ".join(INSTRUCTIONS)),
    ]


def gpu() -> Finding:
    """Whether NVIDIA's driver is there and starts."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return Finding(
            "NVIDIA GPU", "missing", "no driver: libcuda.so.1 was not found", "Install its driver."
        )
    if code := driver.cuInit(0):
        remedy = "Check 'nvidia-smi'; in a container, start it with '--gpus all'."
        return Finding("NVIDIA GPU", "fault", f"the driver does not start: error {code}", remedy)
    count = ctypes.c_int()
    driver.cuDeviceGetCount(ctypes.byref(count))
    return Finding("NVIDIA GPU", "works", f"{count.value} found")


def engines() -> list[Finding]:
    """For each engine its version, and whether it really loads."""
    present = [engine for engine in ENGINES if find_spec(engine.module)]
    probes = {engine.module: start_import(engine.module) for engine in present}
    return [
        loaded(engine, probes[engine.module])
        if engine in present
        else Finding(
            engine.module, "missing", "not installed", f"pip install 'segnas[{engine.extra}]'"
        )
        for engine in ENGINES
    ]


def start_import(module: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-P", "-c", f"import {module}"]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8"
    )


def loaded(engine: Engine, probe: subprocess.Popen[str]) -> Finding:
    """What became of importing ``engine``."""
    versions = [f"{name} {v}" for name in engine.distributions if (v := installed(name))]
    name = ", ".join(versions) or "installed without metadata"
    remedy = f"pip install --force-reinstall 'segnas[{engine.extra}]'"
    try:
        _, complaint = probe.communicate(timeout=PROBE_LIMIT)
    except subprocess.TimeoutExpired:
        probe.kill()
        probe.communicate()
        detail = f"{name}; importing it took more than {PROBE_LIMIT} s"
        return Finding(engine.module, "fault", detail, remedy)
    if probe.returncode == 0:
        return Finding(engine.module, "works", name)
    reason = complaint.strip().rpartition("\n")[2] or f"exit code {probe.returncode}"
    return Finding(engine.module, "fault", f"{name}; does not load: {reason}", remedy)


def both_onnxruntimes() -> list[Finding]:
    """The two distributions own the same folder: with both, the GPU vanishes without a word."""
    if not (installed("onnxruntime") and installed("onnxruntime-gpu")):
        return []
    detail = "onnxruntime and onnxruntime-gpu are both installed and overwrite each other"
    remedy = (
        "pip uninstall -y onnxruntime onnxruntime-gpu, then "
        "pip install 'segnas[gpu]' (or 'segnas[cpu]')"
    )
    return [Finding("onnxruntime twice", "fault", detail, remedy)]


def floor(distribution: str) -> Finding:
    """Whether an installed distribution is new enough to be safe."""
    lowest, extra = FLOORS[distribution]
    have = installed(distribution) or "0"
    wanted = ".".join(str(part) for part in lowest)
    subject = f"{distribution} >= {wanted}"
    if numbers(have) >= lowest:
        return Finding(subject, "works", have)
    remedy = f"pip install --upgrade 'segnas[{extra}]'"
    return Finding(subject, "fault", f"{have} has known holes", remedy)


def numbers(version_text: str) -> tuple[int, ...]:
    """The first two numbers of a version, such as (2, 13) of ``2.13.0+cpu``."""
    return tuple(int(part) for part in re.findall(r"\d+", version_text)[:2])


def installed(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def browser() -> Finding:
    """The browser that the page's tests drive."""
    found = next((place for name in CHROMIUM if (place := shutil.which(name))), None)
    if found is None:
        return Finding(
            "chromium",
            "missing",
            "not found; only the page's tests need it",
            "apt install chromium",
        )
    return Finding("chromium", "works", str(Path(found)))

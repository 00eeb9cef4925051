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

from export.machine import cpu_model, cpuinfo, no_gpu, usable_cores
from export.proofs import OTHERS, proof
from export.runtimes import EXTRAS, missing, module_of

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
ALONE = "tensorrt"
"""The engine that can do nothing without a GPU."""
PROBE_LIMIT = 120
"""Seconds a proof may take, imports and a compiler included."""
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


def diagnose() -> list[Finding]:
    """Everything this machine can and cannot run.  Takes the time that importing the engines takes.

    Engines run a tiny model in processes of their own: what crashes there is a finding here.
    """
    return [
        *machine(),
        gpu(),
        *engines(),
        *other_ways(),
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
    """For each engine its version, and whether it computes."""
    reason = no_gpu()
    present = [e for e in ENGINES if find_spec(e.module) and not (e.module == ALONE and reason)]
    probes = {engine.module: start(proof(engine.module, reason is None)) for engine in present}
    return [
        proved(engine, probes[engine.module]) if engine in present else absent(engine, reason)
        for engine in ENGINES
    ]


def other_ways() -> list[Finding]:
    """For each other way to run the files of torch and ONNX Runtime, whether it computes."""
    lacking = {name: missing(name) for name in OTHERS}
    probes = {name: start(OTHERS[name]) for name, reason in lacking.items() if reason is None}
    return [
        proved(way(name), probes[name]) if reason is None else lacks(name, reason)
        for name, reason in lacking.items()
    ]


def way(name: str) -> Engine:
    """A runtime by its name, with the distributions that hold its engine."""
    distributions = next(e.distributions for e in ENGINES if e.module == module_of(name))
    return Engine(name, distributions, EXTRAS[name])


def lacks(name: str, reason: str) -> Finding:
    """Why a runtime cannot be used here, and what to install: both sides of the reason's colon."""
    if "needs an NVIDIA GPU" in reason:
        return Finding(name, "missing", reason, "Install a GPU and its driver.")
    detail, _, remedy = reason.partition(": ")
    return Finding(name, "missing", detail, remedy)


def absent(engine: Engine, reason: str | None) -> Finding:
    """What is missing for ``engine``: its extra, or a GPU, for the ``reason``."""
    if find_spec(engine.module) and reason is not None:
        detail = f"{named(engine)}; needs an NVIDIA GPU: {reason}"
        return Finding(engine.module, "missing", detail, "Install a GPU and its driver.")
    remedy = f"pip install 'segnas[{engine.extra}]'"
    return Finding(engine.module, "missing", "not installed", remedy)


def start(program: str) -> subprocess.Popen[str]:
    """An interpreter that runs ``program``."""
    return subprocess.Popen(
        [sys.executable, "-P", "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def proved(engine: Engine, probe: subprocess.Popen[str]) -> Finding:
    """What became of the proof of ``engine``."""
    name = named(engine)
    remedy = f"pip install --force-reinstall 'segnas[{engine.extra}]'"
    try:
        said, complaint = probe.communicate(timeout=PROBE_LIMIT)
    except subprocess.TimeoutExpired:
        probe.kill()
        probe.communicate()
        detail = f"{name}; a tiny model took more than {PROBE_LIMIT} s"
        return Finding(engine.module, "fault", detail, remedy)
    if probe.returncode == 0:
        return Finding(engine.module, "works", f"{name}; {last_line(said)}")
    reason = last_line(complaint) or f"exit code {probe.returncode}"
    return Finding(engine.module, "fault", f"{name}; does not work: {reason}", remedy)


def named(engine: Engine) -> str:
    """The distributions of ``engine`` that are installed, with their versions."""
    versions = [f"{name} {v}" for name in engine.distributions if (v := installed(name))]
    return ", ".join(versions) or "installed without metadata"


def last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2]


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

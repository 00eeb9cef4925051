"""The doctor tells what works from what does not, and what to do about it."""

from __future__ import annotations

import base64
import ctypes
import json
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest

from export import doctor
from export.doctor import Engine, Finding
from export.proofs import MODEL, OTHERS, proof
from export.runtimes import READS

HERE = "export.doctor.installed"
SAID = {
    "onnxruntime": "runs on CPUExecutionProvider",
    "torch": "runs on cpu",
    "torch-compiled": "compiles for cpu",
    "openvino": "runs on CPU",
    "tensorrt_rtx": "builds",
    "gradio": "lays out a page",
}
"""What the proofs of this machine's engines say."""


DIAGNOSE = """
import json, sys
from dataclasses import asdict
from export.doctor import diagnose
findings = [asdict(finding) for finding in diagnose()]
print(json.dumps({"findings": findings, "torch": "torch" in sys.modules}))
"""


@pytest.fixture(scope="module")
def diagnosis() -> dict[str, Any]:
    """What a process that imported nothing else finds."""
    root = Path(__file__).parents[2]
    output = subprocess.check_output([sys.executable, "-c", DIAGNOSE], cwd=root)
    return json.loads(output)


@pytest.fixture(scope="module")
def findings(diagnosis: dict[str, Any]) -> dict[str, Finding]:
    return {finding["subject"]: Finding(**finding) for finding in diagnosis["findings"]}


def versions(**installed: str) -> Callable[[str], str | None]:
    return {name.replace("_", "-"): version for name, version in installed.items()}.get


def probe(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def test_this_machine_is_described(findings: dict[str, Finding]) -> None:
    assert {"processor", "memory", "instructions", "NVIDIA GPU", "chromium"} < set(findings)
    assert {engine.module for engine in doctor.ENGINES} < set(findings)
    assert set(OTHERS) == set(READS) < set(findings)
    for module, said in SAID.items():
        if find_spec(module.partition("-")[0]):
            assert findings[module].state == "works", findings[module]
            assert said in findings[module].detail
    assert "AzureExecutionProvider" not in findings["onnxruntime"].detail.partition("; not on")[0]


def test_whatever_does_not_work_has_a_remedy(findings: dict[str, Finding]) -> None:
    for finding in findings.values():
        assert (finding.state == "works") == (finding.remedy == "")
        assert finding.detail


def test_diagnosing_does_not_import_torch(diagnosis: dict[str, Any]) -> None:
    assert diagnosis["torch"] is False


def test_an_engine_that_is_absent_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "find_spec", lambda _: None)
    absent = {finding.subject: finding for finding in doctor.engines()}
    assert {finding.state for finding in absent.values()} == {"missing"}
    assert absent["torch"].remedy == "pip install 'segnas[train]'"
    assert absent["tensorrt_rtx"].remedy == "pip install 'segnas[tensorrt-rtx]'"


def test_another_way_to_run_a_file_is_missing_by_its_own_reason() -> None:
    finding = doctor.lacks("torch-cuda", "torch-cuda needs an NVIDIA GPU: no driver")
    assert finding.remedy == "Install a GPU and its driver."
    finding = doctor.lacks("onnxruntime-cuda", "onnxruntime-cuda needs x: pip install y")
    assert (finding.detail, finding.remedy) == ("onnxruntime-cuda needs x", "pip install y")
    assert finding.state == "missing"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise ImportError('libnvinfer.so.10 is missing')", "libnvinfer.so.10 is missing"),
        ("import os; os.kill(os.getpid(), 11)", "exit code -11"),
    ],
)
def test_an_engine_that_does_not_load_is_a_fault(code: str, reason: str) -> None:
    finding = doctor.proved(Engine("torch", ("torch",), "train"), probe(code))
    assert finding.state == "fault"
    assert reason in finding.detail
    assert "segnas[train]" in finding.remedy


WRONG = {
    "onnxruntime": "class SessionOptions: pass\ndef get_available_providers(): return ['None']\n",
    "torch": "raise ImportError('libc10.so is missing')\n",
    "openvino": "class Core:\n    def read_model(self, model): raise RuntimeError('no frontend')\n",
    "tensorrt_rtx": "class Logger:\n    ERROR = 1\n    def __init__(self, x): raise OSError(x)\n",
    "gradio": "def Blocks(**_): raise TypeError('no theme')\n",
}
"""Modules that can be imported, or not, and do not work."""


@pytest.mark.parametrize("module", WRONG)
def test_what_imports_and_does_not_compute_is_a_fault(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"{module}.py").write_text(WRONG[module])
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    engine = next(engine for engine in doctor.ENGINES if engine.module == module)
    finding = doctor.proved(engine, doctor.start(proof(module, gpu=False)))
    assert finding.state == "fault", finding
    assert "does not work" in finding.detail
    assert finding.remedy


def test_the_model_of_the_proofs_is_sound() -> None:
    onnx.checker.check_model(onnx.load_from_string(base64.b64decode(MODEL)), full_check=True)


def test_an_engine_for_gpus_alone_is_not_said_to_work_without_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doctor, "no_gpu", lambda: "no driver")
    monkeypatch.setattr(doctor, "find_spec", lambda name: name == "tensorrt" or None)
    found = {finding.subject: finding for finding in doctor.engines()}
    assert found["tensorrt"].state == "missing"
    assert "needs an NVIDIA GPU: no driver" in found["tensorrt"].detail


def test_an_import_that_hangs_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PROBE_LIMIT", 0.2)
    hanging = probe("import time; time.sleep(60)")
    finding = doctor.proved(Engine("torch", ("torch",), "train"), hanging)
    assert finding.state == "fault"
    assert hanging.returncode is not None


def test_both_onnxruntimes_are_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HERE, versions(onnxruntime="1.31.1"))
    assert doctor.both_onnxruntimes() == []
    monkeypatch.setattr(HERE, versions(onnxruntime="1.31.1", onnxruntime_gpu="1.31.1"))
    (finding,) = doctor.both_onnxruntimes()
    assert finding.state == "fault"
    assert "pip uninstall -y onnxruntime onnxruntime-gpu" in finding.remedy


@pytest.mark.parametrize(
    ("version", "state"),
    [("2.9.1", "fault"), ("2.10.0", "works"), ("2.13.0+cpu", "works"), ("3.0", "works")],
)
def test_floors_compare_numbers_not_text(
    version: str, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HERE, versions(torch=version))
    assert doctor.floor("torch").state == state


def test_a_driver_that_does_not_start_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(cuInit=lambda _: 100))
    assert doctor.gpu().state == "fault"
    assert "error 100" in doctor.gpu().detail


def test_no_driver_is_a_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", absent)
    assert doctor.gpu().state == "missing"

"""What is deployed works where torch is not: bench, predict, doctor and the predictor itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from export.bundle import Bundle

ROOT = Path(__file__).parent.parent


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment in which ``import torch`` fails, in child processes too."""
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError('no torch here', name='torch')\n")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}


def run(environment: dict[str, str], *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, words)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT)


def test_the_predictor_imports(environment: dict[str, str]) -> None:
    assert run(environment, "-c", "import serve.predictor, serve.server").returncode == 0
    assert run(environment, "-c", "import models.network").returncode != 0


def test_the_commands_run(environment: dict[str, str], tiny_bundle: Bundle, tmp_path: Path) -> None:
    rows = tmp_path / "rows.json"
    words = ["-m", "segnas", "bench", tiny_bundle.path, "--iterations", 3, "--json", rows]
    ran = run(environment, *words)
    assert ran.returncode == 0, ran.stderr
    assert {row["runtime"] for row in json.loads(rows.read_text())} == {"onnxruntime"}
    photo = tiny_bundle.path / "examples/street.png"
    ran = run(environment, "-m", "segnas", "predict", tiny_bundle.path, photo, "--out", tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "street.label.png").exists()
    ran = run(environment, "-m", "segnas", "zoo")
    assert ran.returncode == 0, ran.stderr


def test_what_needs_torch_says_what_to_install(environment: dict[str, str]) -> None:
    ran = run(environment, "-m", "segnas", "search", "recipes/quickstart.yaml")
    assert ran.returncode == 2
    assert ran.stderr == "segnas: torch is not installed: pip install 'segnas[train]'\n"

"""No damaged file is read; a small version of the campaign in ``benchmarks/reliability``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROGRAM = ROOT / "benchmarks/reliability/mutations.py"


@pytest.mark.parametrize("naive", [False, True], ids=["as the program reads", "without hashes"])
def test_a_mutated_file_is_refused_by_name(naive: bool) -> None:
    words = ["--mutations", "30", *(["--naive"] if naive else [])]
    ran = subprocess.run(
        [sys.executable, PROGRAM, *words],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    row = json.loads(ran.stdout)
    silent = sum(found.get("silent", 0) for found in row["found"].values())
    if naive:
        assert silent > 0, "the campaign sees what is read without a hash"
        return
    assert (ran.returncode, row["bad"]) == (0, 0), row
    assert {"genotype", "recipe", "state", "weights", "onnx", "manifest"} <= set(row["found"])

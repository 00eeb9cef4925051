"""Files made to do harm are refused and do none; a reader that trusts them is found out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def campaign(*words: str) -> tuple[int, dict[str, object]]:
    program = ROOT / "benchmarks/reliability/malicious.py"
    ran = subprocess.run([sys.executable, program, *words], capture_output=True, text=True)
    return ran.returncode, json.loads(ran.stdout)


def test_every_one_is_refused_and_the_canary_lives() -> None:
    code, row = campaign()
    assert row["others"] == {}
    assert row["found"] == {"refused": row["files"]}
    assert code == 0


def test_a_reader_that_trusts_an_archive_is_found_out() -> None:
    code, row = campaign("--naive")
    assert row["others"] == {"naive": "harmed"}
    assert code == 1

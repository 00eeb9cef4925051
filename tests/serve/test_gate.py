"""The gate: what of the page is reached, and a whole campaign of prying into it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from starlette.types import Scope

import images
from export.bundle import Bundle
from serve.gate import is_open

ROOT = Path(images.__file__).parent
PROGRAM = ROOT / "benchmarks/reliability/prying.py"


def scope(method: str, path: str, root_path: str = "") -> Scope:
    return {"type": "http", "method": method, "path": path, "root_path": root_path}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/gradio_api/component_server"),
        ("POST", "/gradio_api/run/show"),
        ("POST", "/gradio_api/vibe-edit/"),
        ("GET", "/gradio_api/proxy=http://x/"),
        ("GET", "/gradio_api/dev/reload"),
        ("GET", "/monitoring"),
        ("PUT", "/gradio_api/upload"),
        ("GET", "/gradio_api"),
    ],
)
def test_what_no_page_needs_is_not_reached(method: str, path: str) -> None:
    assert not is_open(scope(method, path))
    assert not is_open(scope(method, "/seg" + path, "/seg"))


def test_a_root_path_is_cut_off_once() -> None:
    assert is_open(scope("GET", "/seg/config", "/seg"))
    assert is_open(scope("GET", "/config", "/seg"))
    assert is_open(scope("GET", "/seg", "/seg"))
    assert not is_open(scope("GET", "/seg/config"))
    assert is_open(scope("DELETE", "/v1/segment"))


def test_no_route_gives_away_what_is_not_the_pages(tiny_bundle: Bundle) -> None:
    """A run of ``--expose`` shows that the program notices a page that does."""
    ran = subprocess.run(
        [sys.executable, str(PROGRAM), str(tiny_bundle.path)],
        capture_output=True,
        text=True,
        timeout=900,
    )
    row = json.loads(ran.stdout)
    assert row["probes"] >= 200
    assert (ran.returncode, row["holds"]) == (0, True), row["faults"]

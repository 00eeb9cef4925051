"""The command that measures: what it prints, writes, remembers and refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import measuring
from export.bundle import MANIFEST, Bundle
from files import sha256

Run = Callable[..., tuple[int, str, str]]
QUICK = ("--threads", 1, "--streams", 1, "--iterations", 3)


@pytest.fixture
def bundle(tiny_bundle: Bundle, tmp_path: Path) -> Path:
    """A copy in a run of its own."""
    return shutil.copytree(tiny_bundle.path, tmp_path / "run" / "bundle")


def refused(ran: tuple[int, str, str], *words: str) -> None:
    code, _, err = ran
    assert code == 2, err
    assert [line[:8] for line in err.splitlines() if line != "measuring"] == ["segnas: "]
    for word in words:
        assert word in err


def test_numbers_are_printed_written_and_remembered(
    bundle: Path, tmp_path: Path, segnas_once: Run
) -> None:
    out = tmp_path / "numbers"
    code, said, err = segnas_once("bench", bundle, *QUICK, "--out", out)
    assert code == 0, err
    assert "onnxruntime" in said
    assert "End to end: street.png (120 x 200)" in said
    (row,) = json.loads((out / "benchmark.json").read_text())["rows"]
    assert (row["runtime"], row["precision"], row["batch"]) == ("onnxruntime", "fp32", 1)
    assert row["macs"] == 48 * 64 * 3 * 4, "counted in a file that was sealed without costs"
    assert row["end_to_end"]["size"] == [120, 200]
    assert "**Speed**" in (out / "benchmark.md").read_text()
    assert "<title>" in (out / "report.html").read_text()
    Bundle.load(bundle)
    (line,) = (bundle.parent / "benchmarks.jsonl").read_text().splitlines()
    assert json.loads(line)["name"] == "bundle"

    code, said, err = segnas_once("bench", "--history", bundle)
    assert code == 0, err
    assert sha256(bundle / MANIFEST)[:8] in said


def test_a_file_that_is_not_ours(bundle: Path, segnas_once: Run) -> None:
    file = shutil.copy(bundle / "model.onnx", bundle.parent / "third.onnx")
    code, said, err = segnas_once("bench", f"{file}:onnxruntime", *QUICK, "--json", "-")
    assert code == 0, err
    (row,) = json.loads(said)
    assert (row["runtime"], row["size"], row["miou"]) == ("onnxruntime", [48, 64], None)
    refused(segnas_once("bench", file, "--picture", file), "--picture is for bundles")
    refused(segnas_once("bench", file, *QUICK, "--size", "40x40"), "reads 48x64 only")


def test_two_are_compared(bundle: Path, segnas_once: Run) -> None:
    code, said, err = segnas_once("bench", "--compare", bundle, f"{bundle}:fp32", *QUICK)
    assert code == 0, err
    assert "A / B in processor time: " in said
    assert "A and B agree on 100.00% of the pixels." in said
    words = ("bench", "--compare", bundle, bundle / "model.onnx", *QUICK, "--json", "-")
    code, said, err = segnas_once(*words)
    assert code == 0, err
    found = json.loads(said)
    assert found["pairs"] == 30
    assert found["same_answers"] is None
    assert set(found["ratios"]["cpu_ms"]) == {"median", "low", "high"}


def test_what_is_typed_wrongly(bundle: Path, tmp_path: Path, segnas_once: Run) -> None:
    refused(segnas_once("bench", tmp_path / "nothing"), "neither a bundle's folder nor an ONNX")
    refused(segnas_once("bench", bundle, bundle), "two with --compare")
    refused(segnas_once("bench", "--compare", bundle), "--compare takes two")
    refused(segnas_once("bench", "--history", bundle), "nothing was measured yet")
    refused(segnas_once("bench", f"{bundle}:int8"), "has nothing for", "onnxruntime (fp32)")
    refused(segnas_once("bench", bundle, "--size", "big"), "HEIGHTxWIDTH")
    assert not (bundle.parent / "benchmarks.jsonl").exists()


def test_scores_are_those_of_this_very_bundle(bundle: Path) -> None:
    loaded = Bundle.load(bundle)
    file = bundle / measuring.BENCHMARK
    assert measuring.scored(loaded) == {}
    rows = [
        {"runtime": "onnxruntime", "stored": "fp32", "miou": 0.5},
        {"runtime": "torch", "stored": "fp32", "miou": None},
    ]
    document = {"key": {"bundle": sha256(bundle / MANIFEST)}, "rows": rows}
    file.write_text(json.dumps(document))
    assert measuring.scored(loaded) == {"onnxruntime fp32": 0.5}
    others: list[object] = [{**document, "key": {"bundle": "another"}}, {"rows": rows}, [], "{"]
    for other in others:
        file.write_text(json.dumps(other))
        assert measuring.scored(loaded) == {}


def test_where_nothing_may_be_written_the_numbers_are_printed_all_the_same(
    tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    measuring.keep(tmp_path / "file" / "a.onnx", [], quiet=True)
    assert "not remembered in" in capsys.readouterr().err


def test_options_become_settings() -> None:
    found = measuring.settings(None, [1, 8], 3, 30, "64x96")
    assert found == replace(found, threads=(1, 2), batches=(1, 8), streams=3, size=(64, 96))

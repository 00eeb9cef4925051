"""``segnas show``: a recipe's defaults, or an architecture's numbers and drawing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import images
from models import published, weights
from models.genotype import Edge, Genotype
from models.network import build, parameters

Run = Callable[..., tuple[int, str, str]]
PAPER = "published/auto_deeplab"
PYRAMID = Genotype(
    "pyramid",
    {"stages": (Edge(16, 17, "conv_3x3"), Edge(32, 33, "skip_connect"))},
    {"widths": (4, 6, 8), "head": 4},
)


@pytest.fixture
def shown(segnas_once: Run) -> Callable[..., dict[str, Any]]:
    """What ``segnas show ... --json`` prints."""

    def run(*words: object) -> dict[str, Any]:
        code, out, err = segnas_once("show", *words, "--json")
        assert code == 0, err
        document: dict[str, Any] = json.loads(out)
        return document

    return run


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    PYRAMID.save(tmp_path / "genotype.json")
    return tmp_path / "genotype.json"


def test_a_published_one_has_its_numbers_and_its_source(shown: Callable[..., Any]) -> None:
    found = shown(PAPER)
    assert found["parameters"] == {
        "total": 10_147_427,
        "without_auxiliary": 10_147_427,
        "encoder": 7_030_832,
        "head": 3_116_595,
        "auxiliary": 0,
    }
    assert found["macs"] / 1e9 == pytest.approx(320.45, rel=1e-3)
    assert (found["classes"], found["size"], found["output_stride"]) == (19, "1025x2049", 8)
    assert "1901.02985" in found["source"]
    genotype = published.load(PAPER).genotype
    document = json.loads(genotype.to_json())
    assert {key: found[key] for key in ("family", "graphs", "sizes")} == {
        key: document[key] for key in ("family", "graphs", "sizes")
    }
    assert found["fingerprint"] == genotype.fingerprint
    assert found["picture"] is None


def test_sizes_classes_and_the_image_may_be_others(shown: Callable[..., Any]) -> None:
    words = ["--set", "sizes.width=32", "--set", "sizes.head=128", "--classes", 4]
    found = shown(PAPER, *words, "--size", "64x96")
    genotype = published.load(PAPER).genotype.resized(width=32, head=128)
    assert found["parameters"]["total"] == parameters(build(genotype, 4))
    assert found["fingerprint"] == genotype.fingerprint
    assert (found["classes"], found["size"]) == (4, "64x96")
    assert 0 < found["macs"] < 5e9


def test_a_genotype_s_file(shown: Callable[..., Any], stored: Path) -> None:
    found = shown(stored, "--size", "32x64", "--set", "sizes.widths=4,8,16,16")
    other = PYRAMID.resized(widths=(4, 8, 16, 16))
    assert found["parameters"]["total"] == parameters(build(other, 19))
    assert found["output_stride"] == 16
    assert found["sizes"]["widths"] == [4, 8, 16, 16]
    assert found["source"] is None


def test_a_run_knows_its_classes_and_its_size(shown: Callable[..., Any], tmp_path: Path) -> None:
    """Before it is trained it is what was found, afterwards what was trained."""
    (tmp_path / "recipe.yaml").write_text(f"system: darts\nout: {tmp_path}\n")
    (tmp_path / "search").mkdir()
    (tmp_path / "train").mkdir()
    PYRAMID.save(tmp_path / "search/genotype.json")
    found = shown(tmp_path)
    assert (found["classes"], found["size"], found["sizes"]["head"]) == (19, "192x256", 4)
    weights.save(build(PYRAMID.resized(head=8), 3), tmp_path / "train")
    found = shown(tmp_path)
    assert (found["classes"], found["size"], found["sizes"]["head"]) == (3, "192x256", 8)


def test_a_run_that_found_nothing_yet_is_its_recipe(segnas_once: Run, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(f"system: darts\nout: {tmp_path}\n")
    code, out, err = segnas_once("show", tmp_path)
    assert code == 0, err
    assert "system: darts" in out
    assert "validate_every: 5" in out


def test_a_recipe_as_json(shown: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("system: darts\nout: run\n")
    found = shown(tmp_path / "recipe.yaml", "--set", "train.epochs=3")
    assert (found["system"], found["train"]["epochs"]) == ("darts", 3)


def test_it_is_told_and_drawn(
    segnas_once: Run, stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = segnas_once("show", "genotype.json", "--size", "64x64")
    assert code == 0, err
    drawing = tmp_path / "runs/architectures" / f"{PYRAMID.fingerprint}.png"
    assert images.read(drawing).shape[1] > 300
    for word in (f"{parameters(build(PYRAMID, 19)):,}", "multiply-adds", "output stride 8"):
        assert word in out
    assert f"wrote runs/architectures/{PYRAMID.fingerprint}.png" in out
    assert "search.genotype=genotype.json" in out


def test_it_is_drawn_and_written_where_one_says(
    segnas_once: Run, stored: Path, tmp_path: Path
) -> None:
    words = ["--to", tmp_path / "new/drawing.png", "--json", tmp_path / "found.json"]
    code, out, err = segnas_once("show", stored, "--size", "64x64", *words)
    assert code == 0, err
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["picture"] == str(tmp_path / "new/drawing.png")
    assert images.read(tmp_path / "new/drawing.png").shape[1] > 300
    assert out.startswith(f"wrote {tmp_path / 'found.json'} (")


def test_a_dash_prints_as_it_does_elsewhere(segnas_once: Run, stored: Path) -> None:
    words = ["show", stored, "--size", "64x64", "--json"]
    assert segnas_once(*words, "-") == segnas_once(*words)

"""What a change touches is made again, from whole files alone, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from files import sha256
from models.genotype import Edge, Genotype

Run = Callable[..., tuple[int, str, str]]
PYRAMID = Genotype(
    "pyramid", {"stages": (Edge(16, 17, "conv_3x3"),)}, {"widths": (4, 6, 8), "head": 4}
)
RECIPE = """
system: given
out: {out}
data: {{name: streets, size: [48, 64], train: 6, val: 4}}
search: {{genotype: {genotype}}}
train: {{epochs: 1, batch: 2, lr: 0.004}}
export: {{examples: 2}}
bench: {{threads: [1], iterations: 3, warmup: 1}}
compute: {{precision: fp32, device: cpu, threads: 1}}
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("given")
    PYRAMID.save(folder / "mine.json")
    path = folder / "recipe.yaml"
    path.write_text(RECIPE.format(out=folder / "run", genotype=folder / "mine.json"))
    return path


@pytest.fixture(scope="module")
def built(recipe: Path, segnas_once: Run) -> Path:
    """The folder of a finished run."""
    code, _, err = segnas_once("build", recipe)
    assert code == 0, err
    return recipe.parent / "run"


def test_a_changed_recipe_is_refused_with_the_difference(
    built: Path, recipe: Path, segnas_once: Run
) -> None:
    code, _, err = segnas_once("build", recipe, "--set", "train.lr=0.5")
    assert code == 2
    assert "train.lr: 0.004 -> 0.5" in err
    assert err.count("\n") == 1


def test_an_export_that_changes_trains_nothing(built: Path, segnas_once: Run) -> None:
    before = sha256(built / "train/weights.safetensors")
    code, _, err = segnas_once("export", built, "--set", "export.examples=3")
    assert code == 0, err
    assert len(list((built / "bundle/examples").iterdir())) == 3
    assert sha256(built / "train/weights.safetensors") == before


def test_a_damaged_bundle_is_made_again(built: Path, segnas_once: Run) -> None:
    model = built / "bundle/model.onnx"
    whole = damaged(model)
    assert segnas_once("predict", built / "bundle", model, "--out", built / "masks")[0] == 2
    code, _, err = segnas_once("export", built, "--set", "export.examples=3")
    assert code == 0, err
    assert model.read_bytes() == whole


def test_changed_weights_are_not_exported(built: Path, segnas_once: Run) -> None:
    file = built / "train/weights.safetensors"
    whole = damaged(file)
    code, _, err = segnas_once("export", built)
    assert code == 2
    assert f"'segnas train {built}' mends it" in err
    code, _, err = segnas_once("train", built)
    assert code == 0, err
    assert file.read_bytes() == whole


def test_another_bundle_is_measured_again(built: Path, recipe: Path, segnas_once: Run) -> None:
    assert not (built / "bundle/benchmark.json").exists(), "it was of the bundle before"
    code, _, err = segnas_once("build", recipe)
    assert code == 0, err
    assert len(list((built / "bundle/examples").iterdir())) == 2, "as the recipe says"
    document = json.loads((built / "bundle/benchmark.json").read_text())
    assert {row["runtime"] for row in document["rows"]} == {"onnxruntime", "torch"}
    assert len((built / "benchmarks.jsonl").read_text().splitlines()) == 2, "the first build's too"


def damaged(file: Path) -> bytes:
    """What ``file`` held before its last byte was changed."""
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    return whole

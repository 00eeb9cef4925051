"""A run whose engine gives logits and leaves lengths open: exported, laid out, checked, used."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import images
from export.bundle import Bundle
from export.runtimes import load
from models.genotype import Edge, Genotype

Run = Callable[..., tuple[int, str, str]]
PYRAMID = Genotype(
    "pyramid",
    {"stages": (Edge(16, 17, "conv_3x3"), Edge(32, 33, "pool_grid_2"))},
    {"widths": (4, 6, 8), "head": 4},
)
RECIPE = """
system: given
out: {out}
data: {{name: streets, size: [48, 64], train: 6, val: 2}}
search: {{genotype: {genotype}}}
train: {{epochs: 1, batch: 2}}
export: {{examples: 2}}
compute: {{precision: fp32, device: cpu, threads: 1}}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, segnas_once: Run) -> Path:
    """A trained run, exported as typed."""
    folder = tmp_path_factory.mktemp("given")
    PYRAMID.save(folder / "mine.json")
    recipe, run = folder / "recipe.yaml", folder / "run"
    recipe.write_text(RECIPE.format(out=run, genotype=folder / "mine.json"))
    for command in ("search", "train"):
        code, _, err = segnas_once(command, recipe)
        assert code == 0, err
    spans = "batch=1:2,height=48:96"
    words = ("--output", "logits", "--dynamic", spans, "--layout", "triton")
    code, out, err = segnas_once("export", run, *words)
    assert code == 0, err
    assert f"wrote {run / 'triton/run'}" in out
    return run


def test_what_was_typed_is_kept(run: Path, segnas_once: Run) -> None:
    manifest = Bundle.load(run / "bundle").manifest
    assert (manifest.output, manifest.dynamic.open) == (
        "logits",
        {"batch": (1, 2), "height": (48, 96)},
    )
    code, out, err = segnas_once("export", run)
    assert code == 0, err
    assert "nothing to do" in out


def test_an_export_with_nothing_to_do_sweeps_all_the_same(run: Path, segnas_once: Run) -> None:
    killed = run / ".bundle.killed.building"
    killed.mkdir()
    assert "nothing to do" in segnas_once("export", run)[1]
    assert not killed.exists()


def test_the_layout_holds_the_file_of_the_bundle(run: Path) -> None:
    model = run / "triton/run"
    assert (model / "1/model.onnx").read_bytes() == (run / "bundle/model.onnx").read_bytes()
    text = (model / "config.pbtxt").read_text()
    assert "max_batch_size: 2" in text
    assert 'name: "pixels" data_type: TYPE_UINT8 dims: [ -1, 64, 3 ]' in text
    classes = len(Bundle.load(run / "bundle").manifest.classes)
    assert f'name: "logits" data_type: TYPE_FP32 dims: [ {classes}, -1, 64 ]' in text


def test_a_layout_does_not_replace_another(run: Path, segnas_once: Run) -> None:
    code, _, err = segnas_once("export", run, "--layout", "triton")
    assert code == 2
    assert f"{run / 'triton'} is not empty" in err.splitlines()[-1]


def test_the_bundle_is_verified(run: Path, segnas_once: Run) -> None:
    code, out, err = segnas_once("bundle", "verify", run / "bundle")
    assert code == 0, err
    assert out.count("agrees") == 2


def test_predict_eval_and_bench_see_labels(run: Path, tmp_path: Path, segnas_once: Run) -> None:
    bundle = Bundle.load(run / "bundle")
    photo = bundle.path / "examples/00.png"
    code, _, err = segnas_once("predict", bundle.path, photo, "--out", tmp_path)
    assert code == 0, err
    with load("torch", bundle, threads=1) as engine:
        labels = engine(images.read(photo)[None])[0]
    found = images.read_labels(tmp_path / "00.label.png")
    assert np.mean(found == labels) > 0.999
    data = ("--data", "streets", "--set", "val=2", "--json", tmp_path / "scores.json")
    code, _, err = segnas_once("eval", bundle.path, *data)
    assert code == 0, err
    assert json.loads((tmp_path / "scores.json").read_text())["images"] == 2
    rows = tmp_path / "rows.json"
    words = ("--threads", 1, "--iterations", 3, "--json", rows)
    code, _, err = segnas_once("bench", bundle.path, *words)
    assert code == 0, err
    assert {row["runtime"] for row in json.loads(rows.read_text())} == {"onnxruntime", "torch"}


def test_a_changed_genotype_is_not_trained(run: Path, segnas_once: Run) -> None:
    path = run / "search/genotype.json"
    whole = path.read_text()
    path.write_text(whole.replace('"head": 4', '"head": 5'))
    code, _, err = segnas_once("train", run)
    path.write_text(whole)
    assert code == 2
    assert f"{path} was changed since it was found: 'segnas search {run}' mends it" in err

"""Every system, from a recipe to labels: search, train, export, measure, score and predict."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import images
from export.bundle import Bundle
from export.runtimes import load
from files import sha256
from models import weights
from models.network import PixelsToLabels
from searcher.systems import SYSTEMS
from serve.predictor import Predictor

Run = Callable[..., tuple[int, str, str]]

TRYING = ("dpc", "fast_nas", "realtime")


@pytest.fixture(scope="module", params=list(SYSTEMS))
def system(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def recipe(
    system: str, small_recipe: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return small_recipe(system, tmp_path_factory.mktemp(system))


@pytest.fixture(scope="module")
def built(recipe: Path, segnas_once: Run) -> Path:
    """The folder of a finished run."""
    code, out, err = segnas_once("build", recipe)
    assert code == 0, err
    assert "report.html" in out
    assert f"serve {recipe.parent / 'run' / 'bundle'}" in out
    return recipe.parent / "run"


def test_the_run_holds_what_was_promised(built: Path, system: str) -> None:
    genotype = json.loads((built / "search/genotype.json").read_text())
    assert genotype["graphs"]
    ops = [op for edges in genotype["graphs"].values() for *_, op in edges]
    assert "none" not in ops or system == "fast_nas", "which may choose it"
    trials = [json.loads(x) for x in (built / "search/trials.jsonl").read_text().splitlines()]
    assert len(trials) == 2
    if system == "cas":
        assert all(x["macs_decoded"] > 0 and 0 <= x["macs_share"] <= 1 for x in trials)
    metrics = [json.loads(x) for x in (built / "train/metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in metrics] == [1, 2]
    assert all(np.isfinite(line["loss"]) and 0 <= line["miou"] <= 1 for line in metrics)
    (tried if system in TRYING else relaxed)(built, trials, genotype["graphs"])
    assert "Searched in " in (built / "bundle/report.html").read_text()
    for picture in ("search/architecture.png", "search/history.png", "train/history.png"):
        assert images.read(built / picture).shape[1] > 300
    manifest = Bundle.load(built / "bundle").manifest
    assert manifest.system == system
    assert {"about/architecture.png", "about/training.jsonl"} < set(manifest.files)


def tried(built: Path, trials: list[dict[str, float]], graphs: dict[str, object]) -> None:
    """Candidates leave what they cost."""
    assert all(x["mparams"] > 0 and x["gmacs"] > 0 for x in trials)
    assert images.read(built / "search/fronts.png").shape[1] > 300


def relaxed(built: Path, trials: list[dict[str, float]], graphs: dict[str, object]) -> None:
    """A supernet leaves how its weights settled."""
    lines = (built / "search/architecture.jsonl").read_text().splitlines()
    assert [sorted(json.loads(line)["weights"]) for line in lines] == [sorted(graphs)] * len(trials)
    assert "epoch 2" in (built / "search/settling.html").read_text()
    assert "How the architecture settled" in (built / "bundle/report.html").read_text()
    for graph in graphs:
        assert images.read(built / f"search/weights-{graph}.png").shape[1] > 300


def test_every_artifact_has_times_and_a_score_of_its_own(built: Path) -> None:
    document = json.loads((built / "bundle/benchmark.json").read_text())
    rows = document["rows"]
    assert {row["runtime"] for row in rows} == {"onnxruntime", "torch"}
    for row in rows:
        keys = "runtime provider precision device threads batch size wall_ms cpu_ms fps peak_rss_mb"
        assert set(keys.split()) <= set(row)
        for times in (row["wall_ms"], row["cpu_ms"]):
            if times is not None:  # a clock that was not quiet has no numbers
                assert set(times) == {"p50", "p90", "p99", "mean", "std"}
                assert 0 < times["p50"] <= times["p90"] <= times["p99"]
        assert row["macs"] > row["parameters"] > 0
        assert row["miou"] == pytest.approx(document["scores"]["miou"], abs=0.005)


def test_the_engine_says_what_the_network_says(built: Path) -> None:
    bundle = Bundle.load(built / "bundle")
    network = PixelsToLabels(weights.load(built / "train"))
    pixels = np.stack([images.read(p) for p in sorted((bundle.path / "examples").iterdir())])
    with torch.inference_mode():
        expected = network(torch.from_numpy(pixels)).numpy()
    for runtime in ("onnxruntime", "torch"):
        with load(runtime, bundle, threads=1) as engine:
            labels = np.concatenate([engine(image[None]) for image in pixels])
        assert labels.dtype == np.uint8
        assert (labels == expected).mean() >= 0.999


def test_a_finished_build_does_nothing_and_says_so(
    built: Path, recipe: Path, segnas_once: Run
) -> None:
    files = [p for p in built.rglob("*") if p.is_file() and p.name != ".lock"]
    before = {p: (sha256(p), p.stat().st_mtime_ns) for p in files}
    code, out, _ = segnas_once("build", recipe)
    assert code == 0
    assert "nothing to do" in out
    assert {p: (sha256(p), p.stat().st_mtime_ns) for p in files} == before


def test_predict_eval_and_predictor_agree(built: Path, tmp_path: Path, segnas_once: Run) -> None:
    bundle = Bundle.load(built / "bundle")
    photo = tmp_path / "photo.jpg"
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (70, 111, 3), np.uint8)).resize((222, 140)).save(photo)
    code, _, err = segnas_once("predict", bundle.path, photo, "--out", tmp_path / "out")
    assert code == 0, err
    labels = images.read_labels(tmp_path / "out/photo.label.png")
    with load("onnxruntime", bundle) as engine:
        predictor = Predictor(bundle, engine)
        assert np.array_equal(labels, predictor(images.read(photo)))
        assert np.array_equal(labels, predictor.predict(photo).labels)
    assert labels.shape == (140, 222)
    assert images.read(tmp_path / "out/photo.overlay.png").shape == (140, 222, 3)

    root = tmp_path / "data"
    for folder in ("val", "valannot"):
        (root / folder).mkdir(parents=True)
    Image.fromarray(images.read(photo)).save(root / "val/photo.png")
    Image.fromarray(labels).save(root / "valannot/photo.png")
    scores = tmp_path / "scores.json"
    code, _, err = segnas_once("eval", bundle.path, "--data", f"camvid={root}", "--json", scores)
    assert code == 0, err
    found = json.loads(scores.read_text())
    assert found["miou"] == found["pixel_accuracy"] == 1.0
    assert found["images"] == 1
    assert found["mean_accuracy"] == found["frequency_weighted_iou"] == found["boundary_iou"] == 1.0
    kept = {"miou", "pixel_accuracy", "iou", "images", "runtime", "split"}
    assert set(found) - kept == {"mean_accuracy", "frequency_weighted_iou", "boundary_iou", "mode"}
    assert list(found["iou"]) == list(bundle.manifest.classes)

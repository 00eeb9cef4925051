"""``segnas eval``: its numbers, its ways to look, and what it leaves to look at."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import images
from evaluate import Method, evaluate, examine
from evidence import draw_confusion
from export.bundle import Bundle
from export.runtimes import Runtime
from models import weights
from models.network import build
from searcher.data import DataSet
from searcher.data.catalogue import open_data
from searcher.data.pairs import rainbow
from searcher.spaces.darts import Darts
from sections import Data
from serve.predictor import Predictor

Run = Callable[..., tuple[int, str, str]]

COLOURS = np.array([(70, 130, 180), (128, 64, 128), (34, 139, 34), (0, 0, 142)], np.uint8)
"""Of the classes of the tiny bundle, by which its engine knows them."""
NAMES = ("sky", "road", "tree", "car")
SHAPE = (60, 90)
WHOLE = ["--set", "val_images=images", "--set", "val_masks=masks"]


def save(root: Path, name: str, truth: NDArray[np.uint8], seen: NDArray[np.uint8]) -> None:
    """An image in which the engine sees ``seen``, and its mask."""
    Image.fromarray(COLOURS[seen]).save(root / f"images/{name}.png")
    Image.fromarray(truth).save(root / f"masks/{name}.png")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve images; of image ``i`` the engine sees ``i`` times 4 columns as cars."""
    root = tmp_path_factory.mktemp("data")
    (root / "images").mkdir()
    (root / "masks").mkdir()
    (root / "classes.txt").write_text("\n".join(NAMES))
    for i in range(12):
        truth = np.zeros(SHAPE, np.uint8)
        truth[30:], truth[20:40, 10:30] = 1, 2
        seen = truth.copy()
        seen[:, : 4 * i] = 3
        truth[:, 84:] = 255
        save(root, f"image_{i:02d}", truth, seen)
    return root


def opened(root: Path) -> DataSet:
    data = Data(name="folder", root=root, size=(48, 64), val_images="images", val_masks="masks")
    return open_data(data)


def test_the_numbers_are_those_of_what_predict_answers(
    tiny_bundle: Bundle, tiny_runtime: Runtime, root: Path, tmp_path: Path, segnas_once: Run
) -> None:
    file = tmp_path / "scores.json"
    words = ["eval", tiny_bundle.path, "--data", f"folder={root}", *WHOLE, "--json", file]
    code, out, err = segnas_once(*words)
    assert code == 0, err
    scores = json.loads(file.read_text())
    predictor = Predictor(tiny_bundle, tiny_runtime)
    pairs = []
    for i in range(12):
        found = predictor(images.read(root / f"images/image_{i:02d}.png"))
        pairs.append((found, images.read_labels(root / f"masks/image_{i:02d}.png")))
    found, truth = (np.stack(maps) for maps in zip(*pairs, strict=True))
    known, ious = truth != 255, []
    for k in range(4):
        a, b = (found == k) & known, truth == k
        ious.append(float((a & b).sum() / (a | b).sum()))
    assert scores["iou"] == pytest.approx(dict(zip(NAMES, ious, strict=True)))
    assert scores["miou"] == pytest.approx(np.mean(ious))
    assert scores["pixel_accuracy"] == pytest.approx((found == truth)[known].mean())
    recall = [(found == truth)[truth == k].mean() for k in range(3)]
    assert scores["mean_accuracy"] == pytest.approx(np.mean(recall))
    shares = [(truth == k).sum() / known.sum() for k in range(4)]
    assert scores["frequency_weighted_iou"] == pytest.approx(np.dot(shares, ious))
    assert 0 < scores["boundary_iou"] < scores["miou"]
    assert (scores["images"], scores["split"]) == (12, "val")
    assert (scores["runtime"], scores["mode"]) == ("onnxruntime", "whole image")
    assert f"boundary IoU {100 * scores['boundary_iou']:.2f} %" in out


def test_json_on_the_standard_output_is_all_there_is(
    tiny_bundle: Bundle, root: Path, tmp_path: Path, segnas_once: Run
) -> None:
    words = ["--data", f"folder={root}", *WHOLE, "--json", "-", "--out", tmp_path]
    code, out, _ = segnas_once("eval", tiny_bundle.path, *words)
    assert code == 0
    assert json.loads(out)["images"] == 12
    assert (tmp_path / "confusion.png").exists()


def test_what_is_left_to_look_at(
    tiny_bundle: Bundle, root: Path, tmp_path: Path, segnas_once: Run
) -> None:
    (tmp_path / "worst").mkdir()
    (tmp_path / "worst/03_of_before.png").touch()
    words = ["--data", f"folder={root}", *WHOLE, "--out", tmp_path]
    code, out, err = segnas_once("eval", tiny_bundle.path, *words)
    assert code == 0, err
    scores = json.loads((tmp_path / "scores.json").read_text())
    by_image = scores["by_image"]
    assert sorted(by_image) == [f"image_{i:02d}" for i in range(12)]
    assert list(by_image.values()) == sorted(by_image.values())
    assert by_image["image_00"] > 0.95
    ranked = [f"{i:02d}_{name}.png" for i, name in enumerate([*by_image][:10], 1)]
    assert sorted(p.name for p in (tmp_path / "worst").iterdir()) == ranked
    assert ranked[0] == "01_image_11.png"
    height, width, _ = images.read(tmp_path / "worst" / ranked[0]).shape
    assert width > 4 * height
    picture = images.read(tmp_path / "worst" / ranked[0]).reshape(-1, 3)
    for colour in (*rainbow(len(NAMES)), (214, 69, 69), (0, 0, 0)):
        assert (picture == colour).all(1).any()
    assert images.read(tmp_path / "confusion.png").shape[0] > 300
    for name in ("scores.json", "confusion.png", "worst"):
        assert f"wrote {tmp_path / name}" in out


def test_windows_see_what_the_whole_image_made_small_does_not(
    tiny_bundle: Bundle, tmp_path: Path, segnas_once: Run
) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    (tmp_path / "classes.txt").write_text("\n".join(NAMES))
    stripes = np.tile(np.array([0, 1], np.uint8), (100, 75))
    save(tmp_path, "stripes", stripes, stripes)
    words = ["eval", tiny_bundle.path, "--data", f"folder={tmp_path}", *WHOLE, "--json", "-"]
    whole = json.loads(segnas_once(*words)[1])
    assert whole["miou"] < 0.8
    for overlap in ("0.5", "0"):
        code, out, err = segnas_once(*words, "--sliding", "--overlap", overlap)
        assert code == 0, err
        assert json.loads(out)["miou"] == 1
        assert json.loads(out)["mode"] == f"sliding window, overlap {overlap}"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--scales", "0.75,1.0"], "--scales averages probabilities and onnxruntime gives labels"),
        (["--flip"], "--flip averages probabilities and onnxruntime gives labels"),
        (["--scales", "0.75;1"], "--scales 0.75;1: write numbers"),
        (["--scales", "0,1"], "--scales 0,1: write numbers from 0.25 to 4"),
        (["--scales", "nan"], "--scales nan: write numbers"),
        (["--runtime", "torch", "--flip"], "has nothing for torch"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    tiny_bundle: Bundle, root: Path, segnas_once: Run, options: list[str], sentence: str
) -> None:
    code, out, err = segnas_once("eval", tiny_bundle.path, "--data", f"folder={root}", *options)
    assert code == 2
    assert sentence in err.splitlines()[-1]
    if "averages" in sentence:
        assert err.rstrip().endswith("add --runtime torch")
    assert not out


@pytest.fixture(scope="module")
def network_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle of a real network with random weights, for torch."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    space = Darts(2, 1, {"width": 2, "head": 4})
    made = tmp_path_factory.mktemp("made")
    weights.save(build(space.sample(random.Random(0)), len(NAMES)), made)
    files = {"runtime": "torch", "file": "weights.safetensors", "precision": "fp32"}
    manifest = {
        "name": "random",
        "system": "darts",
        "genotype": "none",
        "classes": NAMES,
        "palette": tuple(tuple(map(int, colour)) for colour in COLOURS),
        "size": (48, 64),
        "data": "four colours",
        "scores": {},
        "artifacts": [{**files, "built_on": ""}],
    }
    return Bundle.seal(made, manifest, tmp_path_factory.mktemp("sealed") / "bundle")


def test_one_look_averaged_is_the_whole_image(network_bundle: Bundle, root: Path) -> None:
    data = opened(root)
    whole = examine(network_bundle, "torch", data, "val").confusion.counts
    averaged = examine(network_bundle, "torch", data, "val", Method(scales=(1.0,)))
    assert (whole - averaged.confusion.counts).abs().sum() <= 1e-3 * whole.sum()
    evaluated = evaluate(network_bundle, "torch", data, "val")
    assert evaluated.pixel_accuracy == pytest.approx(float(whole.diag().sum() / whole.sum()))


@pytest.mark.parametrize(
    ("options", "mode"),
    [
        (["--scales", "0.75 1.0,1.25", "--flip"], "whole image, scales 0.75 1 1.25, flip"),
        (["--sliding", "--flip"], "sliding window, overlap 0.5, flip"),
        (["--sliding", "--scales", ".5,1"], "sliding window, overlap 0.5, scales 0.5 1"),
    ],
)
def test_torch_averages(
    network_bundle: Bundle, root: Path, segnas_once: Run, options: list[str], mode: str
) -> None:
    words = ["--data", f"folder={root}", "--runtime", "torch", "--json", "-"]
    code, out, err = segnas_once("eval", network_bundle.path, *words, *options)
    assert code == 0, err
    assert json.loads(out)["mode"] == mode
    assert 0 <= json.loads(out)["miou"] <= 1


@pytest.mark.parametrize("classes", [2, 11, 19, 150])
def test_a_confusion_of_any_number_of_classes_is_drawn(tmp_path: Path, classes: int) -> None:
    counts = torch.diag(torch.arange(classes))
    names = [f"a class with a long name {i}" for i in range(classes)]
    draw_confusion(counts, names, tmp_path / "confusion.png")
    height, width, _ = images.read(tmp_path / "confusion.png").shape
    assert 12 * classes < min(height, width) <= max(height, width) < 4000

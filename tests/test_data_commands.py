"""data, new and eval --data: real layouts in, a table, a recipe or one sentence out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from export.bundle import Bundle
from searcher.data.catalogue import DATA_SETS, open_data
from sections import Data

Run = Callable[..., tuple[int, str, str]]
LayOut = Callable[[str, Path], Path]
Colour = tuple[int, int, int]

REAL = ("cityscapes", "voc", "ade20k", "camvid")


def refused(outcome: tuple[int, str, str], *words: str) -> None:
    code, out, err = outcome
    assert code == 2, err
    sentence = err.splitlines()[-1]
    assert sentence.startswith("segnas: ")
    for word in words:
        assert word in sentence
    assert not out


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """Eight images and masks, and no class list."""
    root = tmp_path / "mine"
    rng = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for i in range(8):
        labels = np.zeros((40, 60), np.uint8)
        labels[20:, : 20 + i] = 1
        pixels = labels[..., None] * 200 + rng.integers(0, 50, (40, 60, 3))
        Image.fromarray(pixels.astype(np.uint8)).save(root / f"images/{i}.png")
        Image.fromarray(labels).save(root / f"masks/{i}.png")
    return root


@pytest.mark.parametrize("name", [*REAL, "class_folders"])
def test_check_reads_every_file(
    name: str, tmp_path: Path, lay_out: LayOut, segnas_once: Run
) -> None:
    lay_out(name, tmp_path)
    code, out, err = segnas_once("data", name, "--check", tmp_path)
    assert code == 0, err
    rows = [line.split() for line in out.splitlines()]
    assert [row[0] for row in rows if row[0] in ("train", "val")] == ["train", "val"]
    assert ("next:" in out) == (name != "class_folders")


BAD = {
    "cityscapes": "leftImg8bit/val/frankfurt/frankfurt_000000_000019_leftImg8bit.png",
    "voc": "VOCdevkit/VOC2012/JPEGImages/2007_000042.jpg",
    "ade20k": "ADEChallengeData2016/annotations/training/ADE_train_00000003.png",
    "camvid": "LabeledApproved_full/Seq05VD_f00000_L.png",
    "class_folders": "train/dark/3.png",
}


@pytest.mark.parametrize("name", BAD)
def test_check_names_a_truncated_file(
    name: str, tmp_path: Path, lay_out: LayOut, segnas_once: Run
) -> None:
    lay_out(name, tmp_path)
    file = tmp_path / BAD[name]
    file.write_bytes(file.read_bytes()[:-40])
    refused(segnas_once("data", name, "--check", tmp_path), BAD[name], "damaged or cut short")


@pytest.mark.parametrize("name", ["cityscapes", "folder", "class_folders"])
def test_where_none_may_download_it_says_what_goes_where(
    name: str, tmp_path: Path, segnas_once: Run
) -> None:
    there = tmp_path / "there"
    refused(segnas_once("data", name, "--to", there), f"{there}/")
    assert not there.exists()
    code, out, _ = segnas_once("data", name)
    assert code == 0
    assert "DIR/" in out


def test_a_data_set_alone_says_where_it_is_from(segnas_once: Run) -> None:
    for name in REAL:
        code, out, _ = segnas_once("data", name)
        assert code == 0
        assert "http" in out
    refused(segnas_once("data", "coco"), "'coco'", "cityscapes, voc, ade20k")
    refused(segnas_once("data", "streets", "--to", "x"), "streets is drawn")


def test_what_is_already_there_is_not_downloaded(tmp_path: Path, segnas_once: Run) -> None:
    (tmp_path / "VOCdevkit").mkdir()
    refused(segnas_once("data", "voc", "--to", tmp_path), "VOCdevkit is already there")


@pytest.mark.parametrize("name", REAL)
def test_eval_scores_every_real_layout(
    name: str,
    tmp_path: Path,
    lay_out: LayOut,
    segnas_once: Run,
    colour_bundle: Callable[[dict[str, Colour]], Bundle],
) -> None:
    lay_out(name, tmp_path)
    found = open_data(Data.model_validate({"name": name, "root": tmp_path}))
    bundle = colour_bundle(dict(zip(found.classes, found.palette, strict=True)))
    words = ["eval", bundle.path, "--data", f"{name}={tmp_path}", "--json", "-"]
    code, out, err = segnas_once(*words)
    assert code == 0, err
    scores = json.loads(out)
    assert scores["images"] == 2
    assert scores["miou"] > (0.95 if name in ("voc", "ade20k") else 0.9999)
    if name == "voc":
        *words, dash = words
        words += [dash, "--split", "train", "--set", "train_list=trainaug"]
        assert json.loads(segnas_once(*words)[1])["images"] == 5


def test_eval_refuses_a_class_an_image(
    tmp_path: Path, lay_out: LayOut, segnas_once: Run, tiny_bundle: Bundle
) -> None:
    lay_out("class_folders", tmp_path)
    words = ["eval", tiny_bundle.path, "--data", f"class_folders={tmp_path}"]
    refused(segnas_once(*words), "one class an image")


def test_new_writes_a_recipe_that_show_accepts(
    mine: Path, tmp_path: Path, segnas_once: Run
) -> None:
    path = tmp_path / "mine.yaml"
    code, out, err = segnas_once("new", path, "--data", f"folder={mine}")
    assert code == 0, err
    assert f"build {path}" in out
    text = path.read_text()
    assert '- "class 0"' in text
    code, out, err = segnas_once("show", path)
    assert code == 0, err
    assert "- class 1" in out
    assert "system: auto_deeplab" in out


def test_new_overwrites_nothing(mine: Path, tmp_path: Path, segnas_once: Run) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("precious")
    refused(segnas_once("new", path, "--data", f"folder={mine}"), "mine.yaml is already there")
    assert path.read_text() == "precious"


def test_new_names_a_bad_file_and_writes_nothing(
    mine: Path, tmp_path: Path, segnas_once: Run
) -> None:
    path = tmp_path / "mine.yaml"
    words = ["new", path, "--data", f"folder={mine}"]
    Image.fromarray(np.zeros((40, 61), np.uint8)).save(mine / "masks/5.png")
    refused(segnas_once(*words), "masks/5.png", "61x40")
    (mine / "masks/5.png").unlink()
    refused(segnas_once(*words), "images/5.png", "no partner")
    refused(segnas_once("new", path, "--data", "folder"), "data.root")
    refused(segnas_once("new", path, "--data", f"folder={tmp_path / 'none'}"), "none")
    assert not path.exists()


def test_new_knows_folders_of_other_names(mine: Path, tmp_path: Path, segnas_once: Run) -> None:
    (mine / "masks").rename(mine / "labels")
    path = tmp_path / "mine.yaml"
    words = ["new", path, "--data", f"folder={mine}", "--set", "masks=labels"]
    assert segnas_once(*words)[0] == 0
    assert 'masks: "labels"' in path.read_text()
    assert segnas_once("show", path)[0] == 0


def test_build_runs_a_proposed_recipe(
    mine: Path, tmp_path: Path, segnas_once: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert segnas_once("new", "mine.yaml", "--data", f"folder={mine}")[0] == 0
    short = ["search.epochs=2", "search.warmup=1", "train.epochs=1", "search.layers=2"]
    small = ["search.sizes={width: 2, stem: 4, head: 8}", "train.sizes={}", "compute.threads=1"]
    bench = ["bench.threads=[1]", "bench.iterations=5", "bench.warmup=1", "export.examples=1"]
    words = [word for change in (*short, *small, *bench) for word in ("--set", change)]
    code, out, err = segnas_once("build", "mine.yaml", *words)
    assert code == 0, err
    assert (tmp_path / "runs/mine/bundle/manifest.json").is_file()
    assert "val mIoU" in out


def test_a_budget_becomes_a_recipe_that_searches(
    mine: Path, tmp_path: Path, segnas_once: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--data", f"folder={mine}", "--budget", 8, "--precision", "int8", "--threads", 2]
    code, out, err = segnas_once("new", "mine.yaml", *words)
    assert code == 0, err
    lines = [line.strip() for line in out.splitlines()]
    latency = "segnas latency mine.yaml --precision int8 --threads 2"
    assert [line.partition(" ")[2] for line in lines[-2:]] == [
        latency.partition(" ")[2],
        "build mine.yaml",
    ]
    refused(segnas_once("search", "mine.yaml"), "latency.json does not exist", "segnas latency")
    short = ["search.epochs=1", "search.trials=2", "search.finalists=1", "search.proxy.epochs=1"]
    cost = ["search.cost={metric: macs, budget: 0.02}", "compute.threads=1"]
    changes = [word for change in (*short, *cost) for word in ("--set", change)]
    code, _, err = segnas_once("search", "mine.yaml", *changes)
    assert code == 0, err
    assert '"family": "realtime"' in (tmp_path / "runs/mine/search/genotype.json").read_text()


def test_what_is_no_budget_is_refused(mine: Path, tmp_path: Path, segnas_once: Run) -> None:
    words = ["new", tmp_path / "mine.yaml", "--data", f"folder={mine}"]
    refused(segnas_once(*words, "--precision", "int8"), "--precision and --threads are of a --bud")
    refused(segnas_once(*words, "--budget", 8, "--precision", "fp16"), "fp16", "fp32 or int8")
    assert not (tmp_path / "mine.yaml").exists()


def test_what_segments_refuses_a_class_an_image(
    tmp_path: Path, lay_out: LayOut, segnas_once: Run
) -> None:
    lay_out("class_folders", tmp_path)
    path = tmp_path / "r.yaml"
    path.write_text(
        f"system: auto_deeplab\nout: {tmp_path / 'run'}\n"
        f"data: {{name: class_folders, root: {tmp_path}, size: [32, 32]}}\n"
    )
    refused(segnas_once("search", path), "one class an image")


def test_a_recipe_may_name_every_data_set(tmp_path: Path) -> None:
    for name in DATA_SETS:
        assert Data.model_validate({"name": name, "root": tmp_path}).name == name


def test_a_class_list_that_changed_is_refused(mine: Path, tmp_path: Path, segnas_once: Run) -> None:
    (mine / "classes.txt").write_text("road\ncar\n")
    path = tmp_path / "r.yaml"
    path.write_text(
        f"system: darts\nout: {tmp_path / 'run'}\ncompute: {{threads: 1}}\n"
        f"data: {{name: folder, root: {mine}, size: [32, 64]}}\n"
        "search: {epochs: 2, warmup: 1, batch: 2, layers: 2, nodes: 1, "
        "sizes: {width: 2, head: 4}}\n"
    )
    code, _, err = segnas_once("search", path)
    assert code == 0, err
    (mine / "classes.txt").write_text("car\nroad\n")
    code, _, err = segnas_once("search", path)
    assert code == 2
    assert "data.classes: ['road', 'car'] -> ['car', 'road']" in err

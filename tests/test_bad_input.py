"""What a person can get wrong: one sentence, the file or key, the remedy, exit code 2."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from export.bundle import Bundle
from models import published
from runs import owned

Run = Callable[..., tuple[int, str, str]]


def refused(outcome: tuple[int, str, str], *words: str) -> str:
    """The sentence of a refusal, checked for its form and for ``words``."""
    code, _, err = outcome
    assert code == 2, err
    *progress, sentence = err.splitlines()
    assert sentence.startswith("segnas: ")
    assert all(line.startswith(("reading", "running", "measuring")) for line in progress)
    for word in words:
        assert word in sentence
    return sentence


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Ten images and masks of three classes in the layout of ``folder``."""
    root = tmp_path / "data"
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    (root / "classes.txt").write_text("road\ncar\nsky\n")
    rng = np.random.default_rng(0)
    for i in range(10):
        save(root / f"images/{i}.png", rng.integers(0, 256, (40, 60, 3), np.uint8))
        save(root / f"masks/{i}.png", rng.integers(0, 3, (40, 60), np.uint8))
    return root


def save(path: Path, array: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> None:
    Image.fromarray(array).save(path)


@pytest.fixture
def recipe(tmp_path: Path, data: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(
        f"system: darts\nout: {tmp_path / 'run'}\n"
        f"data: {{name: folder, root: {data}, size: [32, 48]}}\n"
        "search: {epochs: 2, warmup: 1, batch: 2, layers: 2, nodes: 1, "
        "sizes: {width: 2, head: 4}}\n"
    )
    return path


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("train.epoch=3", ["train.epoch", "did you mean 'epochs'"]),
        ("sytem=darts", ["sytem", "did you mean 'system'"]),
        ("train.epochs=many", ["train.epochs", "'many'"]),
        ("train.epochs=-1", ["train.epochs", "-1"]),
        ("system=resnet", ["system", "auto_deeplab"]),
        ("data.size=[32]", ["data.size"]),
        ("search.trials=0", ["search.trials", "greater than or equal to 1"]),
        ("search.strategy=ppo", ["search.strategy: ppo", "dpc, fast_nas"]),
        ("search={strategy: random, order: 2}", ["search.order: 2", "leave out one"]),
        ("search.encoder=weights", ["search.encoder", "dpc, fast_nas"]),
        ("search.proxy.teacher=weights", ["search.proxy.teacher needs search.encoder"]),
        ("search.proxy.whole_epochs=1", ["search.proxy.whole_epochs needs search.encoder"]),
        ("search.proxy.check=4", ["search.proxy.check must be below search.proxy.epochs"]),
        ("search={strategy: halving, trials: 3}", ["halving needs", "search.trials of 4"]),
        ("search={strategy: halving, proxy: {check: 1}}", ["search.proxy.check", "leave out one"]),
        (
            "search={strategy: halving, trials: 4, finalists: 2}",
            ["search.finalists", "leave out one"],
        ),
        ("search.warmup=9", ["search.warmup must be below search.epochs"]),
        ("search.sizes={width: 2}", ["sizes.head"]),
        ("search.sizes={width: 2, head: 4, heads: 4}", ["heads"]),
        ("data.root=null", ["data.root"]),
        ("data.root=nowhere", ["nowhere"]),
        ("train.epochs", ["--set train.epochs", "key=value"]),
        ("export.output=probabilities", ["export.output", "'labels' or 'logits'"]),
        ("export.dynamic={depth: [1, 2]}", ["export.dynamic.depth", "did you mean 'width'"]),
        ("export.dynamic={batch: [2, 8]}", ["export.dynamic", "batch must begin at 1"]),
        ("export.dynamic={height: [64, 96]}", ["export.dynamic.height", "the 32 of data.size"]),
    ],
)
def test_recipe(recipe: Path, segnas_once: Run, override: str, words: list[str]) -> None:
    refused(segnas_once("search", recipe, "--set", override), *words)
    assert not (recipe.parent / "run/search/genotype.json").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--dynamic", "batch=8"], ["--dynamic batch=8", "batch=1:8"]),
        (["--layout", "kserve"], ["--layout kserve", "triton"]),
        (["--to", "models"], ["--to", "--layout triton"]),
    ],
)
def test_export(recipe: Path, segnas_once: Run, arguments: list[str], words: list[str]) -> None:
    refused(segnas_once("export", recipe, *arguments), *words)


SHOWN = "published/auto_deeplab"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["published/resnet"], ["no published/resnet", SHOWN]),
        (["nowhere.json"], ["nowhere.json", "does not exist"]),
        ([SHOWN, "--set", "train.lr=1"], ["--set train.lr=1", "sizes.width=32"]),
        ([SHOWN, "--set", "sizes.wide=1"], ["sizes.wide", "width, stem, head"]),
        ([SHOWN, "--set", "sizes.width=-1"], ["--set sizes.width=-1", "whole number"]),
        ([SHOWN, "--set", "sizes.width=0"], ["sizes.width", "from 1 to 4096"]),
        ([SHOWN, "--set", "sizes.width=2,4"], ["sizes.width", "a whole number"]),
        ([SHOWN, "--set", "sizes.width"], ["--set sizes.width"]),
        ([SHOWN, "--size", "1025"], ["--size 1025", "HEIGHTxWIDTH"]),
        ([SHOWN, "--size", "16x9000"], ["--size 16x9000", "32 to 8192"]),
        ([SHOWN, SHOWN], ["one thing"]),
    ],
)
def test_show(segnas_once: Run, arguments: list[str], words: list[str]) -> None:
    refused(segnas_once("show", *arguments), *words)


@pytest.mark.parametrize(
    ("graph", "index", "edge", "words"),
    [
        ("cell", 1, [1, 2, "conv_9x9"], ["graphs.cell[1]", "'conv_9x9'", "sep_conv_3x3"]),
        ("cell", 9, [7, 6, "skip_connect"], ["graphs.cell[9]", "earlier node"]),
        ("cell", 9, [5, 60, "skip_connect"], ["graphs.cell", "without a gap"]),
        ("cell", 0, [0, 2], ["graphs.cell[0]", "[src, dst, op]"]),
        ("path", 3, [12, 18, "connect"], ["graphs.path[3]", "one level"]),
        ("path", 3, [13, 17, "connect"], ["graphs.path[3]", "reached"]),
    ],
)
def test_a_genotype_that_builds_nothing(
    tmp_path: Path, segnas_once: Run, graph: str, index: int, edge: list[object], words: list[str]
) -> None:
    document = json.loads(published.load("auto_deeplab").genotype.to_json())
    document["graphs"][graph][index] = edge
    (tmp_path / "mine.json").write_text(json.dumps(document))
    refused(segnas_once("show", tmp_path / "mine.json"), "mine.json", *words)


def test_a_recipe_is_no_architecture(recipe: Path, segnas_once: Run) -> None:
    refused(segnas_once("show", recipe, "--size", "64x64"), "recipe.yaml is a recipe", "--size")


def test_nothing_was_published_under_that_name(recipe: Path, segnas_once: Run) -> None:
    words = ["--set", "system=given", "--set", "search.genotype=published/resnet"]
    refused(segnas_once("search", recipe, *words), "search.genotype", "published/resnet", SHOWN)


def test_a_parent_that_is_not_there_is_named(recipe: Path, segnas_once: Run) -> None:
    cost = "search.cost={metric: macs, budget: 0.003}"
    words = ["system=realtime", cost, "search.strategy=evolution", "search.parents=[no.json, b]"]
    said = [part for word in words for part in ("--set", word)]
    refused(segnas_once("search", recipe, *said), "search.parents: no.json", "zoo:NAME")


def test_no_recipe(tmp_path: Path, segnas_once: Run) -> None:
    refused(segnas_once("build", tmp_path / "none.yaml"), "none.yaml", "does not exist")
    refused(segnas_once("build", tmp_path), "recipe.yaml")
    (tmp_path / "broken.yaml").write_text("system: [")
    refused(segnas_once("build", tmp_path / "broken.yaml"), "broken.yaml", "not YAML")


def test_a_mask_without_an_image(recipe: Path, data: Path, segnas_once: Run) -> None:
    (data / "images/3.png").unlink()
    refused(segnas_once("search", recipe), "masks/3.png", "images")


def test_a_mask_of_another_size(recipe: Path, data: Path, segnas_once: Run) -> None:
    save(data / "masks/3.png", np.zeros((40, 61), np.uint8))
    refused(segnas_once("search", recipe), "masks/3.png", "61x40", "60x40")


def test_a_label_out_of_range(recipe: Path, data: Path, segnas_once: Run) -> None:
    save(data / "masks/3.png", np.full((40, 60), 7, np.uint8))
    refused(segnas_once("search", recipe), "masks/3.png", "label 7", "3 classes")


def test_an_image_that_is_none(recipe: Path, data: Path, segnas_once: Run) -> None:
    (data / "images/3.png").write_bytes(b"GIF89a, not really")
    refused(segnas_once("search", recipe), "images/3.png")


def test_a_class_list_twice(recipe: Path, data: Path, segnas_once: Run) -> None:
    (data / "classes.txt").write_text("road\nroad\nsky\n")
    refused(segnas_once("search", recipe), "classes.txt", "different names")


def test_a_folder_in_use(recipe: Path, segnas_once: Run) -> None:
    with owned(recipe.parent / "run"):
        refused(segnas_once("search", recipe), "run", "in use by process", "--set out=DIR")


def test_an_output_that_cannot_be_a_folder(recipe: Path, segnas_once: Run) -> None:
    (recipe.parent / "run").write_text("I was here first")
    refused(segnas_once("search", recipe), "run")
    assert (recipe.parent / "run").read_text() == "I was here first"


def test_a_stage_before_its_time(recipe: Path, segnas_once: Run) -> None:
    refused(segnas_once("train", recipe), "genotype.json", "segnas search")
    refused(segnas_once("export", recipe), "network.json", "segnas train")


def test_a_bundle_with_one_byte_changed(
    tiny_bundle: Bundle, tmp_path: Path, segnas_once: Run
) -> None:
    import shutil

    copy = tmp_path / "bundle"
    shutil.copytree(tiny_bundle.path, copy)
    model = bytearray((copy / "model.onnx").read_bytes())
    model[len(model) // 2] ^= 1
    (copy / "model.onnx").write_bytes(model)
    photo = next((tiny_bundle.path / "examples").glob("*.png"))
    out = tmp_path / "out"
    for words in (["predict", copy, photo, "--out", out], ["bench", copy], ["serve", copy]):
        refused(segnas_once(*words), "model.onnx", "does not match its hash")
    refused(segnas_once("eval", copy, "--data", "streets"), "model.onnx")
    assert not out.exists()


def test_no_bundle(tmp_path: Path, segnas_once: Run) -> None:
    refused(segnas_once("serve", tmp_path), "not a bundle", "segnas export")


def test_a_picture_that_is_none(tiny_bundle: Bundle, tmp_path: Path, segnas_once: Run) -> None:
    (tmp_path / "note.png").write_text("not a picture")
    out = tmp_path / "out"
    refused(
        segnas_once("predict", tiny_bundle.path, tmp_path / "note.png", "--out", out), "note.png"
    )
    refused(segnas_once("predict", tiny_bundle.path, tmp_path / "no.png", "--out", out), "no.png")


def test_two_pictures_of_one_name(tiny_bundle: Bundle, tmp_path: Path, segnas_once: Run) -> None:
    words = [
        "predict",
        tiny_bundle.path,
        tmp_path / "a.png",
        tmp_path / "b/a.png",
        "--out",
        tmp_path,
    ]
    refused(segnas_once(*words), "b/a.png")


def test_data_of_other_classes(tiny_bundle: Bundle, data: Path, segnas_once: Run) -> None:
    words = ["eval", tiny_bundle.path, "--data", f"folder={data}"]
    refused(segnas_once(*words), "4 classes", "has 3")
    (data / "classes.txt").write_text("sky\nroad\ntree\nbus\n")
    refused(segnas_once(*words), "class 3 is 'car'", "'bus'")


def test_a_split_that_is_none(tiny_bundle: Bundle, data: Path, segnas_once: Run) -> None:
    (data / "classes.txt").write_text("sky\nroad\ntree\ncar\n")
    words = ["eval", tiny_bundle.path, "--data", f"folder={data}", "--split", "dev"]
    refused(segnas_once(*words), "'dev'", "train, val")


def test_a_data_set_that_is_none(tiny_bundle: Bundle, segnas_once: Run) -> None:
    refused(segnas_once("eval", tiny_bundle.path, "--data", "coco=x"), "coco", "camvid")


def test_a_runtime_that_is_none(tiny_bundle: Bundle, tmp_path: Path, segnas_once: Run) -> None:
    photo = tiny_bundle.path / "examples/street.png"
    words = ["predict", tiny_bundle.path, photo, "--out", tmp_path, "--runtime", "tflite"]
    refused(segnas_once(*words), "tflite", "onnxruntime")


def test_a_port_in_use(tiny_bundle: Bundle, segnas_once: Run) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused(segnas_once("serve", tiny_bundle.path, "--port", port), str(port), "--port")

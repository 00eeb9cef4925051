"""Images in a folder for each class, through the commands: searched and trained, never exported."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import images
from files import sha256
from models import weights
from models.genotype import Genotype
from searcher.data.catalogue import open_data
from sections import Data

Run = Callable[..., tuple[int, str, str]]
LayOut = Callable[[str, Path], Path]

RECIPE = """
system: darts
out: {out}
data: {{name: class_folders, root: {root}, size: [32, 32]}}
search: {{epochs: 2, warmup: 1, batch: 2, layers: 3, nodes: 2, lr: 0.05, sizes: {{width: 2}},
  scale: [1.0, 1.0], colour: 0.0, pad: 4}}
train: {{epochs: 8, batch: 4, sizes: {{width: 4, layers: 4}}, validate_every: 1, lr: 0.02,
  scale: [1.0, 1.0], colour: 0.0, pad: 4, cutout: 16, auxiliary: 0.4, drop_path: 0.2,
  loss: {{label_smoothing: 0.1}}, class_weights: inverse_log, rare: 0.1}}
compute: {{precision: fp32, device: cpu, threads: 1}}
"""
EPOCHS = 8
RESULTS = ("network.json", "weights.safetensors", "metrics.jsonl")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory, lay_out: LayOut) -> Path:
    folder = tmp_path_factory.mktemp("classify")
    root = lay_out("class_folders", folder / "data")
    path = folder / "recipe.yaml"
    path.write_text(RECIPE.format(out=folder / "run", root=root))
    return path


@pytest.fixture(scope="module")
def trained(recipe: Path, segnas_once: Run) -> Path:
    """The folder of a run that was searched and trained."""
    for command in ("search", "train"):
        code, out, err = segnas_once(command, recipe)
        assert code == 0, err
        assert "accuracy" in err
        assert "miou" not in err
        assert ("next:" in out) == (command == "search"), "nothing follows the training"
    return recipe.parent / "run"


def lines(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_search_finds_cells_of_the_paper_s_network(trained: Path) -> None:
    genotype = Genotype.load(trained / "search/genotype.json")
    assert genotype.family == "classifier_stack"
    assert genotype.sizes == {"width": 2, "layers": 3, "stem_stride": 1}
    log = lines(trained / "search/trials.jsonl")
    assert [line["step"] for line in log] == [1, 2]
    assert all("accuracy" in line and "miou" not in line for line in log)
    assert images.read(trained / "search/architecture.png").shape[1] > 300


def test_the_training_learns_and_ships_its_best_epoch(trained: Path, recipe: Path) -> None:
    log = lines(trained / "train/metrics.jsonl")
    assert [set(line) for line in log] == [{"epoch", "loss", "accuracy"}] * EPOCHS
    assert max(line["accuracy"] for line in log) == 1.0
    network = weights.load(trained / "train")
    assert network.genotype.sizes == {"width": 4, "layers": 4, "stem_stride": 1}
    val = open_data(Data(name="class_folders", root=recipe.parent / "data")).split("val")
    for sample in (val.read(name) for name in val.names):
        pixels = torch.from_numpy(images.resize(sample.pixels, (32, 32)).copy())
        logits = network(pixels.permute(2, 0, 1)[None].float())
        assert logits.shape == (1, 2, 1, 1)
        assert int(logits.argmax(1)) == int(sample.labels)


def test_the_same_again_does_nothing(trained: Path, recipe: Path, segnas_once: Run) -> None:
    before = {name: sha256(trained / "train" / name) for name in RESULTS}
    for command in ("search", "train"):
        code, out, _ = segnas_once(command, recipe)
        assert code == 0
        assert "nothing to do" in out
    assert {name: sha256(trained / "train" / name) for name in RESULTS} == before


@pytest.mark.parametrize("command", ["build", "export"])
def test_it_is_not_exported(trained: Path, recipe: Path, segnas_once: Run, command: str) -> None:
    code, _, err = segnas_once(command, recipe)
    assert code == 2
    assert err.count("\n") == 1
    assert f"{trained / 'train'} holds a trained network that gives an image one class" in err
    assert not (trained / "bundle").exists()


def test_there_is_no_bundle_of_it(trained: Path, segnas_once: Run) -> None:
    code, _, err = segnas_once("bench", trained / "bundle")
    assert code == 2
    assert "segnas export" in err


def test_a_given_genotype_must_give_classes_to_the_same(
    trained: Path, recipe: Path, tmp_path: Path, segnas_once: Run
) -> None:
    found = trained / "search/genotype.json"
    text = f"system: given\nout: {tmp_path / 'run'}\nsearch: {{genotype: {found}}}\n"
    (tmp_path / "streets.yaml").write_text(text)
    code, _, err = segnas_once("search", tmp_path / "streets.yaml")
    assert code == 2
    assert "family classifier_stack gives classes to images, and data set streets" in err
    data = f"data: {{name: class_folders, root: {recipe.parent / 'data'}, size: [32, 32]}}\n"
    (tmp_path / "folders.yaml").write_text(text + data)
    code, _, err = segnas_once("search", tmp_path / "folders.yaml")
    assert code == 0, err


def test_a_system_that_segments_refuses(recipe: Path, tmp_path: Path, segnas_once: Run) -> None:
    changes = ["--set", "system=auto_deeplab", "--set", f"out={tmp_path / 'run'}"]
    code, _, err = segnas_once("search", recipe, *changes)
    assert code == 2
    assert "one class an image" in err


def test_a_map_too_small_for_the_auxiliary_head(
    trained: Path, recipe: Path, tmp_path: Path, segnas_once: Run
) -> None:
    found = trained / "search/genotype.json"
    changes = [f"out={tmp_path / 'run'}", "system=given", f"search.genotype={found}"]
    changes += ["train.sizes={width: 4, layers: 4, stem_stride: 8}"]
    words = [word for change in changes for word in ("--set", change)]
    assert segnas_once("search", recipe, *words)[0] == 0
    code, _, err = segnas_once("train", recipe, *words)
    assert code == 2
    assert "set train.auxiliary to 0, or raise data.size" in err.splitlines()[-1]


def emptied(root: Path) -> str:
    (root / "train/dark/3.png").write_bytes(b"GIF89a, not really")
    return "train/dark/3.png"


def cut_short(root: Path) -> str:
    whole = (root / "train/dark/3.png").read_bytes()
    (root / "train/dark/3.png").write_bytes(whole[:60])
    return "train/dark/3.png"


def with_an_empty_class(root: Path) -> str:
    (root / "train/empty").mkdir()
    return "train/empty holds no images"


def with_one_class(root: Path) -> str:
    (root / "train/dark").rename(root / "elsewhere")
    return "train holds 1 class folders"


def without_train(root: Path) -> str:
    (root / "train").rename(root / "elsewhere")
    return "put the images in DIR/train/CLASS/"


@pytest.mark.parametrize(
    "damage", [emptied, cut_short, with_an_empty_class, with_one_class, without_train]
)
def test_bad_folders_are_one_sentence(
    damage: Callable[[Path], str], tmp_path: Path, lay_out: LayOut, segnas_once: Run
) -> None:
    root = lay_out("class_folders", tmp_path / "data")
    named = damage(root)
    (tmp_path / "recipe.yaml").write_text(RECIPE.format(out=tmp_path / "r", root=root))
    code, _, err = segnas_once("search", tmp_path / "recipe.yaml")
    *progress, sentence = err.splitlines()
    assert code == 2
    assert sentence.startswith("segnas: ")
    assert named in sentence
    assert all(line.startswith("reading") for line in progress)


def test_a_training_that_broke_off_ends_the_same(
    trained: Path, recipe: Path, tmp_path: Path, segnas_once: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second head, drop path and cutout are remembered like everything else."""
    run = tmp_path / "run"
    shutil.copytree(trained / "search", run / "search")
    (tmp_path / "recipe.yaml").write_text(RECIPE.format(out=run, root=recipe.parent / "data"))
    with monkeypatch.context() as patch:
        patch.setattr("searcher.checkpoint.write_log", broken)
        assert segnas_once("train", tmp_path / "recipe.yaml")[0] == 130
    assert not (run / "train/weights.safetensors").exists()
    assert (run / "train/state.pt").exists()
    code, _, err = segnas_once("train", tmp_path / "recipe.yaml")
    assert code == 0, err
    assert f"train 1/{EPOCHS}" not in err, "the first epoch is behind it"
    for name in RESULTS:
        assert sha256(run / "train" / name) == sha256(trained / "train" / name), name


def broken(*arguments: object) -> None:
    raise KeyboardInterrupt

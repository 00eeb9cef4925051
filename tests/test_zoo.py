"""The zoo: a built run becomes an entry without a picture of its data, and is used by its name."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import images
import zoo
from admission import LARGEST, scenes
from export.bundle import Bundle
from export.inspection import inspect
from models.genotype import Edge, Genotype
from models.weights import load_network
from recipe import Recipe
from serve.service import Engine, opened

Run = Callable[..., tuple[int, str, str]]
LayOut = Callable[[str, Path], Path]

ROOT = Path(__file__).parent.parent
PYRAMID = Genotype(
    "pyramid", {"stages": (Edge(16, 17, "conv_3x3"),)}, {"widths": (6, 8, 12), "head": 8}
)
RECIPE = """
system: given
out: {out}
data: {{name: {data}, root: {root}, size: [48, 64]}}
search: {{genotype: {genotype}}}
train: {{epochs: 2, batch: 2, lr: 0.02}}
export: {{examples: 2, formats: [onnx-int8], calibration: 2}}
bench: {{threads: [1], iterations: 3, warmup: 1}}
compute: {{precision: fp32, device: cpu, threads: 1}}
track: {{tensorboard: false}}
"""
NAME, OTHER = "camvid-tested", "voc-21"
LICENCE = "for research"


SHIPPED = zoo.ZOO
"""The zoo of this program, before a test puts another in its place."""


@pytest.fixture(scope="module")
def runs(
    tmp_path_factory: pytest.TempPathFactory, lay_out: LayOut, segnas_once: Run
) -> dict[str, Path]:
    """Built runs by their data: one in the classes of drawn streets, one in others."""
    folder = tmp_path_factory.mktemp("runs")
    PYRAMID.save(folder / "given.json")
    return {name: built(folder, name, lay_out, segnas_once) for name in ("camvid", "voc")}


def built(folder: Path, data: str, lay_out: LayOut, segnas_once: Run) -> Path:
    root, out = lay_out(data, folder / f"{data}-data"), folder / f"{data}_run"
    recipe = folder / f"{data}.yaml"
    genotype = folder / "given.json"
    recipe.write_text(RECIPE.format(out=out, data=data, root=root, genotype=genotype))
    code, _, err = segnas_once("build", recipe)
    assert code == 0, err
    return out


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty zoo, in the place of the one that ships."""
    folder = tmp_path_factory.mktemp("zoo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zoo, "ZOO", folder)
        yield folder


@pytest.fixture(scope="module")
def filled(here: Path, runs: dict[str, Path], segnas_once: Run) -> Path:
    """The zoo with both runs in it."""
    for name, data in ((NAME, "camvid"), (OTHER, "voc")):
        words = "--add", runs[data], "--name", name, "--licence", LICENCE
        code, out, err = segnas_once("zoo", *words)
        assert code == 0, err
        assert f"bundle verify {here / name}" in out
    return here


def test_an_empty_zoo_says_so(here: Path, segnas_once: Run) -> None:
    assert segnas_once("zoo") == (0, f"{zoo.EMPTY}\n", "")
    assert json.loads(segnas_once("zoo", "--json", "-")[1]) == []
    code, _, err = segnas_once("serve", "zoo:camvid-fast")
    assert (code, err) == (2, f"segnas: there is no zoo:camvid-fast; {zoo.EMPTY}\n")


def test_an_entry_holds_what_was_promised(filled: Path, runs: dict[str, Path]) -> None:
    bundle = Bundle.load(filled / NAME)
    drawn = {f"{folder}/{i:02}.png" for folder in ("examples", "expected") for i in range(3)}
    models = {"model.onnx", "model.int8.onnx", "weights.safetensors", "network.json"}
    assert set(bundle.manifest.files) == drawn | models | {"architecture.png", "reproduce.yaml"}
    beside = {p.name for p in bundle.path.iterdir() if p.is_file()} - set(bundle.manifest.files)
    assert beside == {"manifest.json", "manifest.sha256", "card.md", "benchmark.json"}
    assert bundle.manifest.name == NAME
    assert bundle.manifest.provenance["licence of the weights"] == LICENCE
    measured = json.loads((runs["camvid"] / "bundle/benchmark.json").read_text())
    assert bundle.manifest.scores["miou"] == measured["scores"]["miou"]


def test_no_picture_of_the_data_is_in_an_entry(filled: Path, runs: dict[str, Path]) -> None:
    """Its examples are drawn, and there are none where its classes are not the drawn ones."""
    bundle = Bundle.load(filled / NAME)
    for i, scene in enumerate(scenes(bundle.manifest.classes, bundle.manifest.size)):
        assert np.array_equal(images.read(bundle.path / f"examples/{i:02}.png"), scene)
    assert list((runs["voc"] / "bundle/examples").iterdir()), "which it had"
    pictures = {p.name for p in (filled / OTHER).rglob("*") if p.suffix in (".png", ".jpg")}
    assert pictures == {"architecture.png"}


def test_the_card_says_where_it_comes_from(filled: Path, runs: dict[str, Path]) -> None:
    card = (filled / NAME / "card.md").read_text()
    measured = json.loads((filled / NAME / "benchmark.json").read_text())
    for said in (
        "non-commercial research",
        f"| licence of the weights | {LICENCE} |",
        f"| val mIoU | {measured['scores']['miou']:.4f} (2 images",
        "| onnxruntime | int8 | 1 |",
        "| sky | ",
        "trained in ",
        f"{PYRAMID.fingerprint}, by system `given`",
        measured["rows"][0]["device"],
        "segnas build reproduce.yaml --set data.root=DIR",
    ):
        assert said in card
    recipe = Recipe.load(filled / NAME / "reproduce.yaml")
    assert recipe.train == Recipe.find(runs["camvid"]).train
    for name in ("card.md", "reproduce.yaml", "manifest.json", "benchmark.json"):
        assert str(runs["camvid"].parent) not in (filled / NAME / name).read_text(), name


def test_the_list_has_every_number(filled: Path, segnas_once: Run) -> None:
    code, out, err = segnas_once("zoo")
    assert code == 0, err
    rows = json.loads(segnas_once("zoo", "--json", "-")[1])
    assert [row["name"] for row in rows] == [NAME, OTHER]
    first = rows[0]
    assert (first["data"], first["size"], first["licence"]) == ("camvid", [48, 64], LICENCE)
    assert first["parameters"] > 1000
    assert first["macs"] > 100_000
    engines = {(s["runtime"], s["precision"]) for s in first["speeds"]}
    assert engines == {("onnxruntime", "fp32"), ("onnxruntime", "int8"), ("torch", "fp32")}
    for said in (f"{first['parameters']:,}", first["speeds"][0]["device"].split()[0], LICENCE):
        assert said in out


@pytest.mark.parametrize(
    "words",
    [
        ("bundle", "verify", "zoo:NAME"),
        ("predict", "zoo:NAME", "PHOTO", "--out", "OUT"),
        ("eval", "zoo:NAME", "--data", "streets", "--set", "val=2"),
        ("bench", "zoo:NAME:int8", "--threads", "1", "--iterations", "3"),
        ("bench", "--compare", "zoo:NAME", "zoo:NAME:torch", "--iterations", "3"),
        ("show", "zoo:NAME", "--json"),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_a_command_takes_its_name(
    words: tuple[str, ...],
    filled: Path,
    tmp_path: Path,
    segnas_once: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = sorted(filled.rglob("*"))
    monkeypatch.chdir(tmp_path)
    given = {"PHOTO": str(filled / NAME / "examples/00.png"), "OUT": str(tmp_path)}
    typed = [given.get(word, word.replace("NAME", NAME)) for word in words]
    code, out, err = segnas_once(*typed)
    assert code == 0, err
    assert out
    assert sorted(filled.rglob("*")) == before, "nothing is written into the zoo"


def test_several_are_served_by_name(filled: Path) -> None:
    with opened([f"zoo:{NAME}", f"other=zoo:{NAME}"], Engine(threads=1)) as services:
        assert [service.name for service in services] == [NAME, "other"]
        assert all(service.ready for service in services)


def test_without_examples_it_is_served_and_verified(filled: Path) -> None:
    with opened([f"zoo:{OTHER}"], Engine(threads=1)) as (service,):
        assert service.ready
    _, checks = inspect(Path(f"zoo:{OTHER}"))
    assert {check.precision for check in checks} == {"fp32", "int8"}
    assert not [check for check in checks if check.state != "agrees"]
    assert "no examples to compare" in next(c.detail for c in checks if c.precision == "int8")


def test_a_recipe_takes_its_genotype_weights_and_logits(
    filled: Path, tmp_path: Path, segnas_once: Run
) -> None:
    recipe = tmp_path / "recipe.yaml"
    text = RECIPE.format(out=tmp_path / "run", data="streets", root="null", genotype=f"zoo:{NAME}")
    recipe.write_text(text)
    given = {"start": f"zoo:{NAME}", "distill": f"{{teacher: zoo:{NAME}}}"}
    words = ["data.train=4", "data.val=2", *(f"train.{k}={v}" for k, v in given.items())]
    for command in ("search", "train"):
        code, _, err = segnas_once(command, recipe, *(f"--set={word}" for word in words))
        assert code == 0, err
    assert load_network(tmp_path / "run/train/network.json").genotype == PYRAMID
    key = json.loads((tmp_path / "run/train/stage.json").read_text())["key"]
    digest = Bundle.load(filled / NAME).manifest.files["weights.safetensors"]
    assert key["start"] == key["teacher"] == digest


@pytest.mark.parametrize(
    "words",
    [
        ("serve", "zoo:nothing"),
        ("predict", "zoo:nothing", "photo.jpg", "--out", "masks"),
        ("bench", "zoo:nothing:onnxruntime"),
        ("bundle", "verify", "zoo:../zoo"),
        ("show", "zoo:nothing"),
        ("search", "RECIPE", "--set", "search.genotype=zoo:nothing"),
    ],
    ids=lambda words: words[0],
)
def test_an_unknown_name_lists_those_there_are(
    words: tuple[str, ...], filled: Path, runs: dict[str, Path], segnas_once: Run
) -> None:
    recipe = str(runs["camvid"].parent / "camvid.yaml")
    out = "--set", f"out={runs['camvid'].parent / 'never'}"
    typed = [word.replace("RECIPE", recipe) for word in words]
    code, _, err = segnas_once(*typed, *(out if "RECIPE" in words else ()))
    assert code == 2
    *_, sentence = err.splitlines()
    assert f"choose from zoo:{NAME}, zoo:{OTHER}" in sentence


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "--licence is needed"),
        (("--licence", LICENCE, "--name", "Fast One"), "--name Fast One: an entry is called"),
        (("--licence", LICENCE, "--name", "torch"), "--name torch: "),
    ],
)
def test_what_is_no_entry_is_one_sentence(
    words: tuple[str, ...], message: str, runs: dict[str, Path], tmp_path: Path, segnas_once: Run
) -> None:
    code, _, err = segnas_once("zoo", "--add", runs["camvid"], *words, "--to", tmp_path)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_run_that_was_not_measured_or_is_large_is_refused(
    runs: dict[str, Path], tmp_path: Path, segnas_once: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Path(shutil.copytree(runs["voc"], tmp_path / "run"))
    words = "zoo", "--add", run, "--licence", LICENCE, "--to", tmp_path / "zoo"
    size = (run / "bundle/weights.safetensors").stat().st_size
    monkeypatch.setattr("admission.LARGEST", size - 1)
    assert f"has {size / 1000:.1f} kB, and an entry" in segnas_once(*words)[2]
    (run / "bundle/benchmark.json").unlink()
    assert f"was not measured: 'segnas build {run}' does that" in segnas_once(*words)[2]
    assert "--add RUN too" in segnas_once("zoo", "--name", NAME)[2]


def test_a_card_may_be_mended_and_nothing_else(filled: Path, tmp_path: Path) -> None:
    entry = Path(shutil.copytree(filled / NAME, tmp_path / NAME))
    (entry / "card.md").write_text("# Mended\n")
    Bundle.load(entry)
    (entry / "reproduce.yaml").write_text("system: darts\n")
    with pytest.raises(ValueError, match=r"reproduce\.yaml does not match its hash"):
        Bundle.load(entry)


@pytest.mark.parametrize("name", zoo.names())
def test_a_shipped_entry_is_small_and_without_pictures(name: str) -> None:
    bundle = Bundle.load(SHIPPED / name)
    assert bundle.manifest.name == name
    assert (bundle.path / "weights.safetensors").stat().st_size <= LARGEST
    drawn = scenes(bundle.manifest.classes, bundle.manifest.size)
    shown = sorted(bundle.path.glob("examples/*"))
    assert len(shown) == len(drawn)
    assert all(np.array_equal(images.read(p), s) for p, s in zip(shown, drawn, strict=True))
    others = {p.name for p in bundle.path.glob("*.*") if p.suffix in (".png", ".jpg", ".jpeg")}
    assert others == {"architecture.png"}


def test_a_wheel_carries_the_zoo(filled: Path, tmp_path: Path) -> None:
    """What ``pip install .`` builds, of a tree that holds an entry."""
    tree = tmp_path / "tree"
    shutil.copytree(ROOT / "models", tree / "models")
    shutil.copytree(filled / NAME, tree / "models/zoo" / NAME)
    for file in (
        *ROOT.glob("*.py"),
        *(ROOT / n for n in ("pyproject.toml", "README.md", "LICENSE")),
    ):
        shutil.copy(file, tree)
    wheel = "from setuptools import build_meta; build_meta.build_wheel('..')"
    subprocess.run([sys.executable, "-c", wheel], cwd=tree, check=True, capture_output=True)
    (built,) = tmp_path.glob("*.whl")
    prefix = f"models/zoo/{NAME}/"
    with zipfile.ZipFile(built) as archive:
        found = {n.removeprefix(prefix) for n in archive.namelist() if n.startswith(prefix)}
        assert "zoo.py" in archive.namelist()
    files = (p for p in (filled / NAME).rglob("*") if p.is_file())
    assert found == {p.relative_to(filled / NAME).as_posix() for p in files}

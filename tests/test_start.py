"""A training starts from a whole network that was trained before."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from files import sha256
from models.genotype import Edge, Genotype
from models.weights import load

Run = Callable[..., tuple[int, str, str]]
LayOut = Callable[[str, Path], Path]

PYRAMID = Genotype(
    "pyramid",
    {"stages": (Edge(16, 17, "conv_3x3"), Edge(32, 33, "max_pool_3x3"))},
    {"widths": (6, 8, 12), "head": 8},
)
RECIPE = """
system: given
out: {folder}/{name}
data: {{size: [48, 64], train: 12, val: 6}}
search: {{genotype: {folder}/given.json}}
train: {{epochs: 12, batch: 4, lr: 0.03, validate_every: 1}}
track: {{tensorboard: false}}
compute: {{precision: fp32, device: cpu, threads: 1}}
"""
TINY = ("--set", "train.lr=1.0e-12", "--set", "train.weight_decay=0", "--set", "train.epochs=1")
LAYER = "body.head.classify"


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, segnas_once: Run) -> Path:
    """The folder of a finished training."""
    folder = tmp_path_factory.mktemp("start")
    PYRAMID.save(folder / "given.json")
    train(folder, "first", segnas_once)
    return folder / "first" / "train"


def train(folder: Path, name: str, segnas_once: Run, *words: object) -> str:
    """Train a run called ``name``; what was said beside the progress."""
    recipe = folder / f"{name}.yaml"
    recipe.write_text(RECIPE.format(folder=folder, name=name))
    for command in ("search", "train"):
        code, _, err = segnas_once(command, recipe, *words)
        assert code == 0, err
    return err


@pytest.fixture
def folder(first: Path, tmp_path: Path) -> Path:
    """Where another training of the same genotype begins."""
    PYRAMID.save(tmp_path / "given.json")
    return tmp_path


def miou(run: Path) -> list[float]:
    return [json.loads(x)["miou"] for x in (run / "train/metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("form", ["folder", "file"])
def test_it_starts_at_the_score_of_its_start(
    form: str, first: Path, folder: Path, segnas_once: Run
) -> None:
    start = first if form == "folder" else first / "weights.safetensors"
    train(folder, "tuned", segnas_once, "--set", f"train.start={start}", *TINY)
    train(folder, "fresh", segnas_once, *TINY)
    reached = max(miou(first.parent))
    assert miou(folder / "tuned")[0] > 0.8 * reached, "the norms' statistics move a little"
    assert miou(folder / "fresh")[0] < 0.2 * reached


@pytest.mark.parametrize("share", [0.0, 0.4])
def test_stopped_and_gone_on_with_it_is_the_straight_run(
    share: float, first: Path, folder: Path, segnas_once: Run
) -> None:
    settings = (f"start={first}", "epochs=3", f"start_share={share}")
    start = [word for setting in settings for word in ("--set", f"train.{setting}")]
    train(folder, "straight", segnas_once, *start)
    train(folder, "again", segnas_once, *start)
    state = folder / "again/train"
    (state / "stage.json").unlink()
    (state / "state.pt").unlink()  # the one before the last epoch is left
    (state / "weights.safetensors").unlink()
    train(folder, "again", segnas_once, *start)
    kept = [sha256(folder / name / "train/weights.safetensors") for name in ("straight", "again")]
    assert kept[0] == kept[1]


def test_other_classes_begin_anew_and_this_is_said(
    first: Path, folder: Path, lay_out: LayOut, segnas_once: Run
) -> None:
    root = lay_out("voc", folder / "voc")
    data = "--set", f"data={{name: voc, root: {root}, size: [48, 64]}}"
    words = *data, "--set", f"train.start={first}", *TINY
    said = train(folder, "other", segnas_once, *words)
    (note,) = [line for line in said.splitlines() if "train.start" in line]
    assert f"{LAYER}.weight, {LAYER}.bias begin anew" in note
    before, after = load_file(first / "weights.safetensors"), load(folder / "other/train")
    assert after.num_classes == 21
    for name, tensor in after.named_parameters():
        if LAYER not in name:
            assert (tensor - before[name]).abs().max() < 1e-6, name
    sentence = refusal(folder, first, segnas_once, *data, "--set", "train.start_share=0.5")
    assert "train.start_share" in sentence
    assert f"nothing of {LAYER}.weight, {LAYER}.bias to keep: leave it out" in sentence


def test_a_share_of_no_start_is_refused(folder: Path, segnas_once: Run) -> None:
    sentence = refusal(folder, "null", segnas_once, "--set", "train.start_share=0.5")
    assert "train.start_share needs train.start, whose weights it is a share of" in sentence


@pytest.mark.parametrize(
    ("genotype", "words"),
    [
        (PYRAMID.resized(head=9), "layer body.head.classify.weight of {start} is float32 [11, 8"),
        (
            Genotype(
                "pyramid",
                {"stages": (PYRAMID.graphs["stages"][0], Edge(32, 33, "avg_pool_3x3"))},
                PYRAMID.sizes,
            ),
            "lacks avg_pool_3x3 in graphs.stages, from 32 to 33",
        ),
    ],
    ids=["another layer", "no layer differs"],
)
def test_another_genotype_is_refused(
    genotype: Genotype, words: str, first: Path, folder: Path, segnas_once: Run
) -> None:
    genotype.save(folder / "given.json")
    start = first / "weights.safetensors"
    assert words.format(start=start) in refusal(folder, first, segnas_once)


OTHER = Genotype(
    "pyramid",
    {"stages": (Edge(16, 17, "conv_3x3"), Edge(32, 33, "conv_3x3"))},
    {"widths": (6, 8, 12), "head": 8},
)
"""A relative of ``PYRAMID``: where that one pools, it has a convolution, and a norm behind it."""


def test_what_a_relative_has_is_inherited_and_the_rest_said(
    first: Path, folder: Path, segnas_once: Run
) -> None:
    OTHER.save(folder / "given.json")
    said = train(folder, "kin", segnas_once, "--set", f"train.inherit={first}", *TINY)
    (note,) = [line for line in said.splitlines() if "train.inherit" in line]
    before, after = load_file(first / "weights.safetensors"), load(folder / "kin/train")
    fresh = {n.rpartition(".")[0] for n, _ in after.named_parameters() if n not in before}
    assert f"lacks {len(fresh)} of the network's layers, which begin anew: " in note
    assert all(name in note for name in fresh)
    for name, tensor in after.named_parameters():
        if name in before:
            assert (tensor - before[name]).abs().max() < 1e-6, name


def test_nothing_is_inherited_from_another_family(
    first: Path, folder: Path, segnas_once: Run
) -> None:
    save_file(
        {"other.weight": load_file(first / "weights.safetensors")[f"{LAYER}.weight"]},
        (strange := folder / "strange.safetensors"),
    )
    recipe = folder / "strange.yaml"
    recipe.write_text(RECIPE.format(folder=folder, name="strange"))
    words = "--set", f"train.inherit={strange}"
    assert segnas_once("search", recipe, *words)[0] == 0
    code, _, err = segnas_once("train", recipe, *words)
    assert code == 2
    sentence = err.splitlines()[-1]
    assert f"train.inherit: {strange} has no layer of a pyramid network" in sentence


def refusal(folder: Path, start: object, segnas_once: Run, *more: str) -> str:
    """The sentence with which a training that starts there is refused."""
    recipe = folder / "refused.yaml"
    recipe.write_text(RECIPE.format(folder=folder, name="refused"))
    words = "--set", f"train.start={start}", *more
    assert segnas_once("search", recipe, *words)[0] in (0, 2)
    code, _, err = segnas_once("train", recipe, *words)
    assert code == 2
    *_, sentence = err.splitlines()
    assert "train.start" in sentence
    return sentence


def test_what_is_no_start_is_one_sentence(first: Path, folder: Path, segnas_once: Run) -> None:
    assert "nowhere does not exist" in refusal(folder, "nowhere", segnas_once)
    for other in ("encoder", "inherit"):
        both = "--set", f"train.{other}={first}"
        assert f"leave out train.{other}" in refusal(folder, first, segnas_once, *both)
    tensors = load_file(first / "weights.safetensors")
    del tensors[f"{LAYER}.bias"]
    save_file(tensors, folder / "short.safetensors")
    said = refusal(folder, folder / "short.safetensors", segnas_once)
    assert f"layer {LAYER}.bias is missing from {folder / 'short.safetensors'}" in said


@pytest.mark.parametrize(
    "key", ["train.start", "train.inherit", "train.encoder", "train.distill.teacher"]
)
def test_a_zoo_s_name_that_is_not_there_is_said_before_the_search(
    key: str, folder: Path, segnas_once: Run
) -> None:
    (folder / "late.yaml").write_text(RECIPE.format(folder=folder, name="late"))
    code, _, err = segnas_once("build", folder / "late.yaml", "--set", f"{key}=zoo:nowhere")
    assert code == 2
    assert "there is no zoo:nowhere; " in err.splitlines()[-1]
    assert not (folder / "late/search/genotype.json").exists()


@pytest.mark.parametrize("use", ["start", "inherit"])
def test_another_start_is_another_training(
    use: str, first: Path, folder: Path, segnas_once: Run
) -> None:
    """Its content counts: the same path may hold other weights."""
    copy = folder / "copy.safetensors"
    copy.write_bytes((first / "weights.safetensors").read_bytes())
    start = "--set", f"train.{use}={copy}", "--set", "train.epochs=1"
    train(folder, "tuned", segnas_once, *start)
    tensors = load_file(copy)
    save_file({name: tensor + 0 for name, tensor in tensors.items()}, copy, {"by": "hand"})
    code, _, err = segnas_once("train", folder / "tuned.yaml", *start)
    assert code == 2
    assert f"{use}: " in err

"""An encoder is trained in the tool, and another training starts from it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from models.weights import load

Run = Callable[..., tuple[int, str, str]]
LayOut = Callable[[str, Path], Path]
ROOT = Path(__file__).parent.parent

FIRST = """
system: given
out: {folder}/first
data: {{name: class_folders, root: {root}, size: [32, 32]}}
search: {{genotype: {genotype}}}
train: {{epochs: 1, batch: 4, sizes: {{encoder: 10}}}}
compute: {{precision: fp32, device: cpu, threads: 1}}
"""
SECOND = """
system: given
out: {folder}/second
data: {{size: [64, 64], train: 4, val: 2}}
search: {{genotype: published/fast_nas_arch1}}
train: {{epochs: 1, batch: 2, sizes: {{encoder: 10, head: 8, stem: 4}},
  encoder: {folder}/first/train, auxiliary: 0.15, lr: 1.0e-12, weight_decay: 0.0}}
compute: {{precision: fp32, device: cpu, threads: 1}}
"""


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, lay_out: LayOut, segnas_once: Run) -> Path:
    """A folder with an encoder that was trained on images with one class."""
    folder = tmp_path_factory.mktemp("encoder")
    root = lay_out("class_folders", folder / "data")
    genotype = ROOT / "recipes/genotypes/encoder.json"
    recipe = folder / "first.yaml"
    recipe.write_text(FIRST.format(folder=folder, root=root, genotype=genotype))
    for command in ("search", "train"):
        code, _, err = segnas_once(command, recipe)
        assert code == 0, err
    return folder


@pytest.fixture
def second(first: Path) -> Path:
    (first / "second.yaml").write_text(SECOND.format(folder=first))
    return first / "second.yaml"


def test_a_training_starts_from_it(first: Path, second: Path, segnas_once: Run) -> None:
    for command in ("search", "train"):
        code, _, err = segnas_once(command, second)
        assert code == 0, err
    before = load_file(first / "first/train/weights.safetensors")
    after = load(first / "second/train").state_dict()
    names = [n for n in before if n.startswith("body.encoder.") and before[n].ndim == 4]
    assert len(names) == 52
    for name in names:
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=1e-6)
    assert not any("auxiliary" in name or "heads" in name for name in after)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.sizes.encoder=20", "train.encoder: layer "),
        ("train.encoder=nowhere", "train.encoder: nowhere does not exist"),
        ("search.genotype=published/auto_deeplab", "train.encoder: the networks of this"),
    ],
)
def test_an_encoder_that_does_not_fit_is_one_sentence(
    override: str, message: str, second: Path, tmp_path: Path, segnas_once: Run
) -> None:
    settings = (
        "--set",
        override,
        "--set",
        f"out={tmp_path / 'run'}",
        "--set",
        "train.sizes.width=2",
    )
    assert segnas_once("search", second, *settings)[0] == 0
    code, _, err = segnas_once("train", second, *settings)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1

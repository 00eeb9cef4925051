"""Published genotypes: each names its source, builds, and is what the paper printed."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import torch

from models import published
from models.families.trellis import level
from models.network import build

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", published.names())
def test_each_names_a_paper_and_builds(name: str) -> None:
    found = published.load(name)
    assert "arXiv" in found.source
    assert all(side >= 32 for side in found.size)
    with torch.device("meta"):
        network = build(found.genotype, found.classes)
    assert network.num_classes == found.classes


def test_every_file_of_the_folder_has_a_name() -> None:
    stored = {path.stem for path in (ROOT / "models/published").glob("*.json")}
    assert set(published.names()) == stored >= {"auto_deeplab"}


def test_a_name_may_be_written_as_in_a_recipe() -> None:
    for name in ("published/auto_deeplab", "auto_deeplab.json"):
        assert published.load(name) == published.load("auto_deeplab")


@pytest.mark.parametrize("name", ["nothing", "published/nothing", "../genotype", "", "README"])
def test_an_unknown_name_lists_those_there_are(name: str) -> None:
    with pytest.raises(ValueError, match=r"there is no published/.*published/auto_deeplab"):
        published.load(name)


BLOCKS = (
    (("atrous_conv_5x5", 0), ("sep_conv_3x3", 1)),
    (("sep_conv_3x3", 0), ("atrous_conv_3x3", 1)),
    (("sep_conv_3x3", 3), ("sep_conv_3x3", 0)),
    (("sep_conv_5x5", 4), ("sep_conv_5x5", 2)),
    (("sep_conv_5x5", 3), ("atrous_conv_5x5", 5)),
)
"""Auto-DeepLab's five blocks, (op, input) twice; input 0 is H(l-2), 1 is H(l-1), 2 block 1."""


def test_auto_deeplab_is_the_cell_and_the_path_of_the_paper() -> None:
    genotype = published.load("auto_deeplab").genotype
    cell = {(dst, e.op, e.src) for e in genotype.graphs["cell"] for dst in [e.dst]}
    assert cell == {(2 + i, *branch) for i, block in enumerate(BLOCKS) for branch in block}
    assert len(genotype.graphs["cell"]) == 10
    levels = [level(edge.dst) for edge in genotype.graphs["path"]]
    assert levels == [0, 0, 0, 1, 2, 1, 2, 2, 3, 3, 2, 1]
    assert genotype.sizes == {"width": 20, "stem": 64, "head": 256}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": ""}, "source must be a sentence"),
        ({"classes": 0}, "classes must be a whole number"),
        ({"size": [1025]}, r"size must be \[height, width\]"),
        ({"notes": "x"}, "keys must be classes, genotype, size, source"),
        ({"genotype": {}}, "key 'family' must be there"),
    ],
)
def test_a_malformed_file_is_refused_by_its_key(change: dict[str, Any], message: str) -> None:
    text = files("models.published").joinpath("auto_deeplab.json").read_text("utf-8")
    with pytest.raises(ValueError, match=message):
        published.from_document({**json.loads(text), **change})

"""A build that starts from a genotype: it is checked, copied and drawn, and nothing is searched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import images
from models import published
from models.genotype import Edge, Genotype

Run = Callable[..., tuple[int, str, str]]
PYRAMID = Genotype(
    "pyramid",
    {"stages": (Edge(16, 17, "conv_3x3"), Edge(32, 33, "conv_3x3"), Edge(32, 34, "skip_connect"))},
    {"widths": (4, 6, 8), "head": 4},
)
RECIPE = """
system: given
out: {out}
data: {{size: [32, 40], train: 4, val: 2}}
search: {{genotype: {genotype}}}
compute: {{device: cpu}}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    PYRAMID.save(tmp_path / "given.json")
    text = RECIPE.format(out=tmp_path / "run", genotype=tmp_path / "given.json")
    (tmp_path / "recipe.yaml").write_text(text)
    return tmp_path / "recipe.yaml"


def test_it_is_copied_and_drawn(recipe: Path, segnas_once: Run) -> None:
    code, out, err = segnas_once("search", recipe)
    assert code == 0, err
    folder = recipe.parent / "run" / "search"
    assert Genotype.load(folder / "genotype.json") == PYRAMID
    assert images.read(folder / "architecture.png").shape[1] > 300
    assert "history.png" not in out
    code, out, _ = segnas_once("search", recipe)
    assert code == 0
    assert "nothing to do" in out


def test_what_a_search_would_have_minded_is_not_minded(recipe: Path, segnas_once: Run) -> None:
    """The encoder and the teacher of candidates, where there are none."""
    assert segnas_once("search", recipe)[0] == 0
    names = ("search.encoder", "search.proxy.teacher")
    words = (word for name in names for word in ("--set", f"{name}={recipe.parent / 'nobody'}"))
    code, out, err = segnas_once("search", recipe, *words)
    assert code == 0, err
    assert "nothing to do" in out


def test_a_published_one_is_taken_by_its_name(recipe: Path, segnas_once: Run) -> None:
    name = "search.genotype=published/auto_deeplab"
    assert segnas_once("search", recipe, "--set", name)[0] == 0
    found = Genotype.load(recipe.parent / "run/search/genotype.json")
    assert found == published.load("auto_deeplab").genotype
    assert "nothing to do" in segnas_once("search", recipe, "--set", name)[1]


def test_another_genotype_is_refused_after_the_fact(recipe: Path, segnas_once: Run) -> None:
    assert segnas_once("search", recipe)[0] == 0
    PYRAMID.resized(head=8).save(recipe.parent / "given.json")
    code, _, err = segnas_once("search", recipe)
    assert code == 2
    assert "search.genotype: " in err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "search.genotype: "),
        ("{}", "is not a genotype: key 'family' must be there"),
        (Genotype("pyramid", {}, {"widths": (4, 4), "head": 4}).to_json(), "graphs.stages is miss"),
    ],
)
def test_what_does_not_build_is_named(
    text: str | None, message: str, recipe: Path, segnas_once: Run
) -> None:
    path = recipe.parent / "given.json"
    path.unlink() if text is None else path.write_text(text)
    code, _, err = segnas_once("search", recipe)
    assert code == 2
    assert message in err
    assert str(path) in err
    assert err.count("\n") == 1


def test_a_given_system_needs_a_genotype(recipe: Path, segnas_once: Run) -> None:
    code, _, err = segnas_once("search", recipe, "--set", "search.genotype=null")
    assert code == 2
    assert "search.genotype is needed" in err

"""The picture of an architecture says what is in it, whatever its family."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

import images
from models import published
from models.genotype import Genotype
from searcher import blueprints
from searcher.blueprints import draw_architecture

ENCODER = Genotype("encoder_classifier", {}, {"encoder": 25})


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that would be written."""
    figures: list[Figure] = []
    monkeypatch.setattr(blueprints, "save", lambda figure, path: figures.append(figure))
    return figures


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def arrows(figure: Figure) -> list[int]:
    """How many there are in each panel."""
    return [sum(isinstance(p, FancyArrowPatch) for p in axes.patches) for axes in figure.axes]


def test_branches_name_their_ops_and_are_all_joined(drawn: list[Figure]) -> None:
    draw_architecture(published.load("dpc").genotype, Path("x.png"))
    assert texts(drawn[0])[0] == "features"
    assert "2: sep conv 3x3 r18x15" in texts(drawn[0])
    assert arrows(drawn[0]) == [5 + 5]


@pytest.mark.parametrize(
    ("name", "ends"), [("arch0", (3, 4)), ("arch1", (2, 3)), ("arch2", (2, 4))]
)
def test_a_decoder_shows_what_is_fused_and_its_cell(
    name: str, ends: tuple[int, int], drawn: list[Figure]
) -> None:
    """Two arrows into a block; one into an op and one from it; and one from each loose end."""
    draw_architecture(published.load(f"fast_nas_{name}").genotype, Path("x.png"))
    assert {"1/4", "1/32", "block 6", "logits", "10", "sum"} <= set(texts(drawn[0]))
    assert arrows(drawn[0]) == [6 + ends[0], 7 + 6 + ends[1]]


def test_an_encoder_alone_is_a_box(drawn: list[Figure]) -> None:
    draw_architecture(ENCODER, Path("x.png"))
    assert texts(drawn[0]) == ["encoder classifier\nencoder 25"]


@pytest.mark.parametrize("name", ["dpc", "fast_nas_arch1", "darts_v2", None])
def test_it_is_a_png(name: str | None, tmp_path: Path) -> None:
    genotype = published.load(name).genotype if name else ENCODER
    draw_architecture(genotype, tmp_path / "picture.png")
    assert images.read(tmp_path / "picture.png").shape[1] > 300

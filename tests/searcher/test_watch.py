"""Pictures of a search: what each tile shows, what is framed, and the same bytes every time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import images
from models.genotype import Edge, Genotype
from searcher import frames, heatmaps
from searcher.pictures import draw_history

EDGES = ("0-2", "1-2", "0-3", "1-3", "2-3")
PATH = ("0-4", "0-5", "4-8", "4-9", "5-8", "5-9", "5-10")


def line(step: int, kept: tuple[tuple[int, int, str], ...], favour: float) -> dict[str, Any]:
    """A line of a log: ``sep`` grows on every edge, the path prefers to go down."""
    cell = {
        name: {"none": 0.25, "skip_connect": 0.75 - favour, "sep_conv_3x3": favour}
        for name in EDGES
    }
    path = {
        name: {"connect": share}
        for name, share in zip(PATH, (0.5, 0.5, 0.5, 0.5, 0.2, 0.2, 0.6), strict=True)
    }
    graphs = {
        "cell": tuple(Edge(*edge) for edge in kept),
        "path": (Edge(0, 5, "connect"), Edge(5, 10, "connect")),
    }
    genotype = json.loads(Genotype("trellis", graphs, {"width": 2}).to_json())
    return {"step": step, "genotype": genotype, "weights": {"cell": cell, "path": path}}


KEPT = ((0, 2, "sep_conv_3x3"), (1, 2, "skip_connect"), (1, 3, "skip_connect"), (2, 3, "none"))
OTHER = (KEPT[0], KEPT[1], (0, 3, "sep_conv_3x3"), KEPT[3])
LINES = [line(1, KEPT, 0.25), line(2, KEPT, 0.5), line(3, OTHER, 0.7)]


def test_a_cell_is_a_table_of_its_edges() -> None:
    tiles = heatmaps.cell_tiles(LINES, "cell")
    assert {tile.place for tile in tiles} == {(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)}
    first = next(tile for tile in tiles if tile.place == (0, 0))
    assert first.names == ["none", "skip connect", "sep conv 3x3"]
    assert np.allclose(2 ** first.values[2] / 3, [0.25, 0.5, 0.7])
    assert np.allclose(2 ** first.values[0] / 3, 0.25)
    kept = {tile.place: tile.kept for tile in tiles}
    assert kept == {(0, 0): [2], (0, 1): [1], (1, 0): [2], (1, 1): [], (1, 2): [0]}


def test_a_path_is_a_tile_a_layer_and_each_node_is_even_for_itself() -> None:
    tiles = heatmaps.path_tiles(LINES, "path")
    assert [tile.place for tile in tiles] == [(0, 0), (0, 1)]
    names = [name.replace("\N{RIGHTWARDS ARROW}", ">") for name in tiles[0].names]
    assert names == ["1/4 > 1/4", "1/4 > 1/8", "1/8 > 1/4", "1/8 > 1/8", "1/8 > 1/16"]
    assert np.allclose(tiles[0].values[:2], 0)
    assert np.isnan(tiles[0].values[2:]).all()
    assert np.allclose(2 ** tiles[1].values[2:, 0] / 3, [0.2, 0.2, 0.6])
    assert [tile.kept for tile in tiles] == [[1], [4]]


@pytest.mark.parametrize("graph", ["cell", "path"])
def test_a_heat_map_has_its_colours_and_the_same_bytes(tmp_path: Path, graph: str) -> None:
    for name in ("one", "two"):
        heatmaps.draw_weights(LINES, graph, tmp_path / f"{name}.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    pixels = images.read(tmp_path / "one.png").astype(int)
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    assert (red - blue > 60).sum() > 500, "more than an even share is orange"
    assert (blue - green > 30).sum() > 500, "less is violet"


def test_one_epoch_is_drawn_too(tmp_path: Path) -> None:
    heatmaps.draw_weights(LINES[:1], "cell", tmp_path / "one.png")
    assert images.read(tmp_path / "one.png").shape[1] > 300
    assert len(frames.frames(LINES[:1])) == 1


def test_frames_stand_still_and_differ_where_something_is_new() -> None:
    found = frames.frames(LINES)
    assert [label for label, _ in found] == ["epoch 1", "epoch 2", "epoch 3"]
    assert found == frames.frames(LINES)
    pictures = [images.decode(png) for _, png in found]
    assert len({picture.shape for picture in pictures}) == 1
    framed = [
        int(((p[..., 0] > 180) & (p[..., 1] < 110) & (p[..., 2] < 110)).sum()) for p in pictures
    ]
    assert framed[2] > framed[1] + 100, "the new op has a red frame"
    below = pictures[0].shape[0] // 8
    first, second = (picture[below:, :60].astype(int) for picture in pictures[:2])
    assert first.min() < 100
    assert np.abs(first - second).max() < 64, "a palette of its own, but nothing moved"


def test_what_is_new() -> None:
    now, before = (Genotype.from_document(x["genotype"]) for x in (LINES[2], LINES[1]))
    assert frames.newly(now, before) == [Edge(0, 3, "sep_conv_3x3")]
    assert frames.newly(before, before) == []


@pytest.mark.parametrize(("count", "most"), [(1, 4), (4, 4), (5, 4), (50, 16)])
def test_both_ends_are_shown(count: int, most: int) -> None:
    shown = frames.spread(count, most)
    assert shown[0] == 0
    assert shown[-1] == count - 1
    assert len(shown) == min(count, most)


def test_a_history_marks_where_a_cell_collapsed(tmp_path: Path) -> None:
    log = [
        {"step": i, "miou": 0.1 * i, "genotype": "x", "skips": {"normal": 0.2 * i, "reduce": 0.1}}
        for i in (1, 2, 3)
    ]
    draw_history(log, tmp_path / "well.png")
    draw_history([*log[:2], {**log[2], "collapsed": ["normal"]}], tmp_path / "fallen.png")
    well, fallen = (images.read(tmp_path / name) for name in ("well.png", "fallen.png"))
    assert well.shape == fallen.shape
    right = well.shape[1] // 2
    assert np.array_equal(well[:, :right], fallen[:, :right])
    assert not np.array_equal(well[:, right:], fallen[:, right:])

"""Other conditions: what they do to pictures, and that a score under them is of those pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import images
from conditions import CONDITIONS, defocused, noisy, under
from export.bundle import Bundle
from images import Pixels
from searcher.data.catalogue import open_data
from sections import Data

Run = Callable[..., tuple[int, str, str]]
WHOLE = ["--set", "val_images=images", "--set", "val_masks=masks"]


@pytest.fixture(scope="module")
def street() -> Pixels:
    """A drawn street, 120x160."""
    return open_data(Data(name="streets", size=(120, 160))).split("val")[0].pixels


def test_the_street_is_one(street: Pixels) -> None:
    assert street.shape == (120, 160, 3)
    assert street.std() > 20


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_condition_changes_pixels_and_nothing_else(name: str, street: Pixels) -> None:
    change, before = CONDITIONS[name], street.copy()
    one, other = change(street), change(street)
    np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(street, before)
    assert (one.shape, one.dtype) == (street.shape, street.dtype)
    difference = np.abs(one.astype(int) - street)
    assert 1 < difference.mean() < 80
    assert one.std() > 10


def test_they_are_what_they_are_called(street: Pixels) -> None:
    means = {name: change(street).reshape(-1, 3).mean(0) for name, change in CONDITIONS.items()}
    plain = street.reshape(-1, 3).mean(0)
    assert means["half the light"] == pytest.approx(plain / 2, rel=0.02)
    assert (means["brighter shadows"] > plain).all()
    assert (means["darker shadows"] < plain).all()
    red, green, blue = means["warm light"] - plain
    assert red > 1 > abs(green) < 1 < -blue
    red, green, blue = means["cold light"] - plain
    assert -red > 1 > abs(green) < 1 < blue
    assert np.ptp(CONDITIONS["no colours"](street), 2).max() == 0


def test_noise_and_blur_have_their_strength() -> None:
    grey = np.full((240, 320, 3), 128, np.uint8)
    assert (noisy(grey, 10.0) - 128.0).std() == pytest.approx(10, rel=0.02)
    dot = np.zeros((240, 320, 3), np.uint8)
    dot[118:123, 158:163] = 255
    rows = defocused(dot, 1 / 60)[..., 0].sum(1) / 255.0
    spread = np.average((np.arange(240) - 120.0) ** 2, weights=rows) ** 0.5
    assert spread == pytest.approx((4.0**2 + 2.0) ** 0.5, rel=0.15)


def test_labels_names_and_size_stay(street: Pixels) -> None:
    data = open_data(Data(name="streets", size=(120, 160)))
    changed = under(data, CONDITIONS["no colours"])
    assert {n: s.names for n, s in changed.splits.items()} == {
        n: s.names for n, s in data.splits.items()
    }
    before, after = data.split("val")[3], changed.split("val")[3]
    np.testing.assert_array_equal(before.labels, after.labels)
    np.testing.assert_array_equal(after.pixels, CONDITIONS["no colours"](before.pixels))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four images of what the tiny bundle's engine knows by colour: all of it is found."""
    root = tmp_path_factory.mktemp("data")
    colours = np.array([(70, 130, 180), (128, 64, 128), (34, 139, 34), (0, 0, 142)], np.uint8)
    for folder in ("images", "masks"):
        (root / folder).mkdir()
    (root / "classes.txt").write_text("sky\nroad\ntree\ncar")
    for i in range(4):
        labels = (
            np.random.default_rng(i).integers(0, 4, (6, 8), np.uint8).repeat(10, 0).repeat(10, 1)
        )
        Image.fromarray(colours[labels]).save(root / f"images/{i}.png")
        Image.fromarray(labels).save(root / f"masks/{i}.png")
    return root


def test_the_scores_are_those_of_pictures_in_those_conditions(
    tiny_bundle: Bundle, root: Path, tmp_path: Path, segnas_once: Run
) -> None:
    file = tmp_path / "scores.json"
    words = ["eval", tiny_bundle.path, *WHOLE]
    code, out, err = segnas_once(*words, "--data", f"folder={root}", "--conditions", "--json", file)
    assert code == 0, err
    found = json.loads(file.read_text())
    assert found["conditions"].keys() == CONDITIONS.keys()
    for name in ("no colours", "warm light"):
        assert f"{name}" in out
        copy = tmp_path / name
        for folder in ("images", "masks"):
            (copy / folder).mkdir(parents=True)
        (copy / "classes.txt").write_text((root / "classes.txt").read_text())
        for path in (root / "images").iterdir():
            changed = CONDITIONS[name](images.read(path))
            Image.fromarray(changed).save(copy / "images" / path.name)
            (copy / "masks" / path.name).write_bytes((root / "masks" / path.name).read_bytes())
        alone = json.loads(segnas_once(*words, "--data", f"folder={copy}", "--json", "-")[1])
        assert found["conditions"][name] == alone["miou"]
    assert found["conditions"]["no colours"] < found["miou"]


def test_nobody_asked(tiny_bundle: Bundle, root: Path, segnas_once: Run) -> None:
    words = ["--data", f"folder={root}", *WHOLE, "--json", "-"]
    code, out, err = segnas_once("eval", tiny_bundle.path, *words)
    assert code == 0, err
    assert "conditions" not in json.loads(out)

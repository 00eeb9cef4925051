"""Folders of images and masks: every wrong file is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from searcher.data import Split
from searcher.data.pairs import Labels, hold_out, paired_split, rainbow

LABELS = Labels(classes=3, ignore=9)


def picture(path: Path, size: tuple[int, int] = (6, 8), seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def mask(path: Path, values: list[int], size: tuple[int, int] = (6, 8)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.resize(np.array(values, np.uint8), size)).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three pairs, of PNG and JPEG."""
    for i, suffix in enumerate(("png", "jpg", "jpeg")):
        picture(tmp_path / "images" / f"s{i}.{suffix}", seed=i)
        mask(tmp_path / "masks" / f"s{i}.png", [0, 1, 2, 9])
    return tmp_path


def split(root: Path) -> Split:
    return paired_split(root / "images", root / "masks", LABELS)


def test_pairs_are_found_by_name_whatever_the_format(root: Path) -> None:
    found = split(root)
    assert list(found.names) == ["s0", "s1", "s2"]
    expected = np.resize(np.array([0, 1, 2, 255]), (6, 8))
    for i in range(3):
        assert found[i].pixels.shape == (6, 8, 3)
        np.testing.assert_array_equal(found[i].labels, expected)
    with Image.open(root / "images" / "s0.png") as image:
        np.testing.assert_array_equal(found[0].pixels, np.asarray(image))


def test_what_is_no_image_is_not_looked_at(root: Path) -> None:
    (root / "images" / "notes.txt").write_text("sunny")
    assert len(split(root)) == 3


@pytest.mark.parametrize("folder", ["images", "masks"])
def test_a_missing_folder_is_named(root: Path, folder: str) -> None:
    (root / folder).rename(root / "elsewhere")
    with pytest.raises(ValueError, match=rf"{folder} is not a folder: set data\.root"):
        split(root)


def test_a_missing_mask_is_named(root: Path) -> None:
    (root / "masks" / "s1.png").unlink()
    with pytest.raises(ValueError, match=r"images/s1\.jpg has no partner of that name in .*masks"):
        split(root)


def test_a_missing_image_is_named(root: Path) -> None:
    (root / "images" / "s1.jpg").unlink()
    with pytest.raises(ValueError, match=r"masks/s1\.png has no partner of that name in .*images"):
        split(root)


def test_two_images_of_one_name_are_named(root: Path) -> None:
    picture(root / "images" / "s1.png")
    with pytest.raises(ValueError, match=r"s1\.png and .*s1\.jpg have the same name"):
        split(root)


def test_empty_folders_are_named(tmp_path: Path) -> None:
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    with pytest.raises(ValueError, match=r"images holds no images: put files such as street\.png"):
        split(tmp_path)


def test_another_size_is_named(root: Path) -> None:
    mask(root / "masks" / "s1.png", [0], size=(6, 7))
    with pytest.raises(ValueError, match=r"s1\.png is 7x6 but .*s1\.jpg is 8x6: .* one size"):
        split(root)[1]


def test_a_label_that_is_no_class_is_named(root: Path) -> None:
    mask(root / "masks" / "s1.png", [0, 7, 4])
    with pytest.raises(
        ValueError, match=r"s1\.png holds label 4, but there are 3 classes \(0 to 2"
    ):
        split(root)[1]


def test_a_mask_of_colours_is_named(root: Path) -> None:
    picture(root / "masks" / "s1.png")
    with pytest.raises(ValueError, match=r"masks/s1\.png is not a mask: it holds colours"):
        split(root)[1]


@pytest.mark.parametrize("name", ["images/s1.jpg", "masks/s1.png"])
@pytest.mark.parametrize("content", [b"", b"GIF of nothing", b"\x89PNG\r\n\x1a\n"])
def test_what_is_not_an_image_is_named(root: Path, name: str, content: bytes) -> None:
    (root / name).write_bytes(content)
    with pytest.raises(ValueError, match=name.replace(".", r"\.")):
        split(root)[1]


@given(
    classes=st.integers(1, 255),
    ignore=st.integers(0, 255),
    values=st.lists(st.integers(0, 255), min_size=1, max_size=20),
)
def test_labels_are_classes_or_255(classes: int, ignore: int, values: list[int]) -> None:
    labels, path = Labels(classes, ignore), Path("mask.png")
    raw = np.array(values, np.uint8)
    known = (raw < classes) | (raw == ignore) | (raw == 255)
    if not known.all():
        with pytest.raises(ValueError, match=rf"mask\.png holds label {raw[~known].min()},"):
            labels.train_ids(raw, path)
    found = labels.train_ids(raw[known], path)
    expected = np.where((raw == ignore) | (raw == 255), 255, raw)[known]
    np.testing.assert_array_equal(found, expected)


def test_the_fingerprint_follows_names_and_files(root: Path) -> None:
    prints = {split(root).fingerprint}
    assert {split(root).fingerprint} == prints
    picture(root / "images" / "s0.png", size=(12, 16))
    prints.add(split(root).fingerprint)
    mask(root / "masks" / "s0.png", list(range(100)), size=(12, 16))
    prints.add(split(root).fingerprint)
    for name in ("images", "masks"):
        (root / name / "s0.png").rename(root / name / "s9.png")
    prints.add(split(root).fingerprint)
    assert len(prints) == 4


@given(names=st.lists(st.text(max_size=4), unique=True, max_size=40), every=st.integers(2, 7))
def test_hold_out_takes_every_nth_name_in_order(names: list[str], every: int) -> None:
    train, held = hold_out(names, every)
    assert sorted(train + held) == sorted(names)
    assert not {*train} & {*held}
    assert held == sorted(names)[::every]
    assert (train, held) == hold_out(names[::-1], every)


def test_colours_can_be_told_apart_and_none_is_black() -> None:
    colours = rainbow(255)
    assert len(set(colours)) == 255
    assert (0, 0, 0) not in colours
    assert colours[:3] == ((128, 0, 0), (0, 128, 0), (128, 128, 0))

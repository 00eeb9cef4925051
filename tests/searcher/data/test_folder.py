"""Your own data: classes from a list, validation held out, and sentences for what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from recipe import Recipe
from searcher.data import DataSet
from searcher.data.catalogue import open_data
from sections import Data


def fill(root: Path, count: int, images: str = "images", masks: str = "masks") -> None:
    for folder in (images, masks):
        (root / folder).mkdir(exist_ok=True)
    for i in range(count):
        pixels = np.full((6, 8, 3), i, np.uint8)
        Image.fromarray(pixels).save(root / images / f"photo{i:02d}.jpg")
        Image.fromarray(pixels[..., 0] % 2).save(root / masks / f"photo{i:02d}.png")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Eleven pairs of two classes."""
    fill(tmp_path, 11)
    (tmp_path / "classes.txt").write_text("road\n\n  not road \n")
    return tmp_path


def opened(root: Path, **settings: Any) -> DataSet:
    return open_data(Data(name="folder", root=root, **settings))


def test_classes_come_from_the_file(root: Path) -> None:
    found = opened(root)
    assert found.classes == ("road", "not road")
    assert len(found.palette) == 2


def test_classes_in_the_recipe_come_first(root: Path) -> None:
    assert opened(root, classes=("a", "b", "c")).classes == ("a", "b", "c")


def test_a_byte_order_mark_is_no_part_of_a_name(root: Path) -> None:
    (root / "classes.txt").write_bytes("road\r\ngehweg für alle\r\n".encode("utf-8-sig"))
    assert opened(root).classes == ("road", "gehweg für alle")


def test_every_fifth_image_is_held_out(root: Path) -> None:
    found = opened(root)
    assert list(found.split("val").names) == ["photo00", "photo05", "photo10"]
    assert len(found.split("train")) == 8
    assert not {*found.split("train").names} & {*found.split("val").names}
    assert found.split("train").fingerprint != found.split("val").fingerprint
    assert found.split("val")[1].pixels.shape == (6, 8, 3)


def test_folders_to_validate_on_are_taken(root: Path) -> None:
    fill(root, 3, "more", "more_masks")
    found = opened(root, val_images="more", val_masks="more_masks")
    assert (len(found.split("train")), len(found.split("val"))) == (11, 3)


@pytest.mark.parametrize("half", [{"val_images": "more"}, {"val_masks": "more"}])
def test_half_a_validation_set_is_refused(root: Path, half: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"data\.val_images and data\.val_masks .* together"):
        opened(root, **half)


def test_a_missing_class_list_is_named(root: Path) -> None:
    (root / "classes.txt").unlink()
    with pytest.raises(ValueError, match=r"classes\.txt does not exist: .* data\.classes"):
        opened(root)


@pytest.mark.parametrize("text", ["", "road\n", "road\ncar\nroad\n"])
def test_a_class_list_of_one_or_of_doubles_is_named(root: Path, text: str) -> None:
    (root / "classes.txt").write_text(text)
    with pytest.raises(ValueError, match=r"classes\.txt: 2 to 255 different names"):
        opened(root)


def test_256_classes_do_not_fit(root: Path) -> None:
    names = tuple(f"c{i}" for i in range(256))
    with pytest.raises(ValueError, match=r"data\.classes: 2 to 255 different names"):
        opened(root, classes=names)
    assert len(opened(root, classes=names[:255]).classes) == 255


def test_a_class_list_that_is_no_text_is_named(root: Path) -> None:
    (root / "classes.txt").write_bytes(b"\xff\xfe\x00road")
    with pytest.raises(ValueError, match=r"classes\.txt is not a text file"):
        opened(root)


def test_one_image_is_not_enough(tmp_path: Path) -> None:
    fill(tmp_path, 1)
    with pytest.raises(ValueError, match=r"images holds one image: at least two"):
        opened(tmp_path, classes=("a", "b"))


def test_other_names_of_folders_are_followed(tmp_path: Path) -> None:
    fill(tmp_path, 2, "left", "right")
    found = opened(tmp_path, images="left", masks="right", classes=("a", "b"))
    assert len(found.split("train")) == 1
    with pytest.raises(ValueError, match="images is not a folder"):
        opened(tmp_path, classes=("a", "b"))


def test_a_label_beyond_the_list_names_the_mask(root: Path) -> None:
    Image.fromarray(np.full((6, 8), 2, np.uint8)).save(root / "masks" / "photo01.png")
    with pytest.raises(ValueError, match=r"photo01\.png holds label 2, but there are 2 classes"):
        opened(root).split("train")[0]


def test_the_label_for_none_is_chosen_by_the_recipe(root: Path) -> None:
    assert np.unique(opened(root, ignore=1).split("train")[0].labels).tolist() == [255]


def test_a_root_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("system: darts\nout: runs/a\ndata: {name: folder}\n")
    with pytest.raises(ValueError, match=r"recipe\.yaml: data\.root is needed"):
        Recipe.load(path)

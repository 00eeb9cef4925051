"""Fixtures that several folders share: a small bundle, and small data in the real layouts."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from export.bundle import Bundle
from export.runtimes import Runtime, load
from searcher.data import ade20k, camvid_colours, cityscapes, streets, voc
from searcher.data.pairs import rainbow
from serve.service import Engine, Service, opened

# A busy machine is slow, and that is not a fault of what is tested.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

NEEDS = {
    "serve": "fastapi",
    "test_deployment.py": "uvicorn",
    "export/test_formats.py": "openvino",
    "searcher/test_studies.py": "tqdm",  # of optuna
}
collect_ignore = [place for place, module in NEEDS.items() if find_spec(module) is None]
"""Tests whose extra is not installed are left out: a machine with a GPU has no page."""


def pytest_report_header() -> list[str]:
    """What is left out, and why: the first lines of a report."""
    return [f"left out: {place}, {NEEDS[place]} is not installed" for place in collect_ignore]


SIZE = (48, 64)
Colour = tuple[int, int, int]
CLASSES = {"sky": (70, 130, 180), "road": (128, 64, 128), "tree": (34, 139, 34), "car": (0, 0, 142)}


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Torch on one thread, where a test has imported it."""
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def segnas_once() -> Callable[..., tuple[int, str, str]]:
    """Run a command as a shell would: exit code, standard output, standard error."""
    return command


def command(*words: object) -> tuple[int, str, str]:
    import console
    import segnas

    out, err, arguments = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["segnas", *map(str, words)]
    code = 0
    try:
        with redirect_stdout(out), redirect_stderr(err):
            segnas.main()
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        sys.argv = arguments
    assert console.out.file is not out
    return code, out.getvalue(), err.getvalue()


RECIPE = """
system: {system}
out: {out}
data: {{name: streets, size: [64, 96], train: 12, val: 4}}
search: {{epochs: 2, warmup: 1, batch: 2, size: [32, 48], layers: 3, nodes: 2, lr: 0.05,
  trials: 2, proxy: {{epochs: 1}}, sizes: {{width: 2, {extra}head: 8}}{cost}}}
train: {{epochs: 2, batch: 4, sizes: {{width: 4}}, validate_every: 1}}
export: {{examples: 2}}
bench: {{threads: [1], iterations: 3, warmup: 1}}
compute: {{precision: {precision}, device: {device}}}
"""
EXTRA = {"auto_deeplab": "stem: 4, ", "dpc": "encoder: 10, ", "fast_nas": "encoder: 10, "}
COST = {
    "cas": ", cost: {metric: macs, weight: 0.1}",
    "realtime": ", cost: {metric: macs, budget: 0.003}",
}


@pytest.fixture(scope="session")
def small_recipe() -> Callable[..., Path]:
    """Write a recipe that takes seconds, for any system; the folder gets its run too."""
    return recipe_of


def recipe_of(system: str, folder: Path, device: str = "cpu", precision: str = "fp32") -> Path:
    parts = {"system": system, "out": folder / "run", "device": device, "precision": precision}
    extra, cost = (table.get(system, "") for table in (EXTRA, COST))
    (folder / "recipe.yaml").write_text(RECIPE.format(**parts, extra=extra, cost=cost))
    return folder / "recipe.yaml"


@pytest.fixture(scope="session")
def scene() -> NDArray[np.uint8]:
    """[120, 200, 3]: sky above a road, a tree and a car, in the colours of their classes."""
    sky, road, tree, car = CLASSES.values()
    pixels = np.full((120, 200, 3), sky, np.uint8)
    pixels[70:] = road
    pixels[30:75, 20:50] = tree
    pixels[80:100, 110:160] = car
    return pixels


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory, scene: NDArray[np.uint8]) -> Bundle:
    """A sealed bundle whose network answers with the class of the nearest colour."""
    return bundle_of(CLASSES, scene, tmp_path_factory)


@pytest.fixture(scope="session")
def colour_bundle(
    tmp_path_factory: pytest.TempPathFactory, scene: NDArray[np.uint8]
) -> Callable[[dict[str, Colour]], Bundle]:
    """A sealed bundle for any classes, whose network answers with that of the nearest colour."""
    return lambda classes: bundle_of(classes, scene, tmp_path_factory)


def bundle_of(
    classes: dict[str, Colour], scene: NDArray[np.uint8], paths: pytest.TempPathFactory
) -> Bundle:
    folder = paths.mktemp("made")
    onnx.save(nearest_colour(np.array(list(classes.values()), np.float32)), folder / "model.onnx")
    (folder / "examples").mkdir()
    Image.fromarray(scene).save(folder / "examples" / "street.png")
    Image.fromarray(scene[:, ::-1]).save(folder / "examples" / "turned.jpg")
    artifact = {"runtime": "onnxruntime", "file": "model.onnx", "precision": "fp32", "built_on": ""}
    manifest = {
        "name": "Tiny <streets>",
        "system": "by hand",
        "genotype": "none",
        "classes": tuple(classes),
        "palette": tuple(classes.values()),
        "size": SIZE,
        "data": "four colours",
        "scores": {"miou": 0.712},
        "artifacts": [artifact],
    }
    return Bundle.seal(folder, manifest, paths.mktemp("sealed") / "bundle")


@pytest.fixture(scope="session")
def tiny_runtime(tiny_bundle: Bundle) -> Iterator[Runtime]:
    with load("onnxruntime", tiny_bundle, threads=1) as runtime:
        yield runtime


@pytest.fixture(scope="session")
def tiny_service(tiny_bundle: Bundle) -> Iterator[Service]:
    """The tiny bundle behind a queue, with one thread."""
    with opened([str(tiny_bundle.path)], Engine(threads=1)) as services:
        yield services[0]


def nearest_colour(colours: NDArray[np.float32]) -> onnx.ModelProto:
    """uint8 [1, H, W, 3] -> uint8 [1, H, W]: the class whose colour is nearest to each pixel."""
    constants = {"w": 2 * colours[:, :, None, None], "b": -(colours**2).sum(1)}
    nodes = [
        helper.make_node("Cast", ["pixels"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["real"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "w", "b"], ["logits"]),
        helper.make_node("ArgMax", ["logits"], ["best"], axis=1, keepdims=0),
        helper.make_node("Cast", ["best"], ["labels"], to=TensorProto.UINT8),
    ]
    graph = helper.make_graph(
        nodes,
        "nearest_colour",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, [1, *SIZE, 3])],
        [helper.make_tensor_value_info("labels", TensorProto.UINT8, [1, *SIZE])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


@pytest.fixture(scope="session")
def lay_out() -> Callable[[str, Path], Path]:
    """Write a small data set as its authors lay theirs out: four images to train on, two to val.

    Every image shows twelve blocks in the colours of their classes, and has a block of none.
    """
    return lambda name, root: LAYOUTS[name](root)


def blocks(first: int, classes: int) -> NDArray[np.uint8]:
    """[48, 64] of train ids: blocks of 16 pixels, the last of which is none."""
    ids = np.arange(first, first + 12, dtype=np.int64) % classes
    ids[-1] = 255
    return ids.astype(np.uint8).reshape(3, 4).repeat(16, 0).repeat(16, 1)


def painted(labels: NDArray[np.uint8], palette: tuple[Colour, ...]) -> NDArray[np.uint8]:
    """[48, 64, 3]: the colours of the classes, black for none."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(palette)] = palette
    return table[labels]


def save(path: Path, array: NDArray[np.uint8], palette: list[int] | None = None) -> None:
    """A PNG of values, RGB or a palette, or a JPEG without smeared colours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array)
    if palette is not None:
        image.putpalette(palette)
    if path.suffix == ".jpg":
        image.save(path, quality=95, subsampling=0)
    else:
        image.save(path)


def cityscapes_layout(root: Path) -> Path:
    """Label ids, as downloaded."""
    label_ids = np.full(256, 3, np.uint8)  # out of roi
    label_ids[:19] = [label for label, _, _ in cityscapes.TABLE]
    cities = {"train": ["aachen"] * 2 + ["zurich"] * 2, "val": ["frankfurt", "lindau"]}
    for split, names in cities.items():
        for i, city in enumerate(names):
            stem, ids = f"{city}/{city}_{i:06d}_000019", blocks(5 * i, 19)
            image = root / f"leftImg8bit/{split}/{stem}_leftImg8bit.png"
            save(image, painted(ids, cityscapes.PALETTE))
            mask = root / f"gtFine/{split}/{stem}_gtFine"
            save(mask.with_name(f"{mask.name}_labelIds.png"), label_ids[ids])
            save(mask.with_name(f"{mask.name}_color.png"), painted(ids, cityscapes.PALETTE))
            mask.with_name(f"{mask.name}_polygons.json").write_text("{}")
    return root


def voc_layout(root: Path) -> Path:
    """Palette masks and lists, in the folders of the archive."""
    base = root / "VOCdevkit" / "VOC2012"
    palette = [level for i in range(256) for level in (voc.PALETTE[i] if i < 21 else (224,) * 3)]
    lists = {"train": ["2007_000032", "2007_000039", "2007_000063", "2007_000068"]}
    lists["val"] = ["2007_000033", "2007_000042"]
    for i, name in enumerate([*lists["train"], *lists["val"], "2008_999999"]):
        ids = blocks(6 * i, 21)
        save(base / f"JPEGImages/{name}.jpg", painted(ids, voc.PALETTE))
        folder = "SegmentationClass" if not name.startswith("2008") else "SegmentationClassAug"
        save(base / folder / f"{name}.png", ids, palette if folder[-3:] != "Aug" else None)
    (base / "ImageSets" / "Segmentation").mkdir(parents=True)
    lists["trainaug"] = [*lists["train"], "2008_999999"]
    for split, names in lists.items():
        (base / f"ImageSets/Segmentation/{split}.txt").write_text("\n".join(names) + "\n")
    return root


def ade20k_layout(root: Path) -> Path:
    """Masks of 0 for others and 1 to 150, in the folders of the archive."""
    base = root / "ADEChallengeData2016"
    palette = rainbow(len(ade20k.CLASSES))
    for split, short, count in (("training", "train", 4), ("validation", "val", 2)):
        for i in range(count):
            ids, name = blocks(40 * i, 150), f"ADE_{short}_{i + 1:08d}"
            save(base / f"images/{split}/{name}.jpg", painted(ids, palette))
            save(base / f"annotations/{split}/{name}.png", ids + np.uint8(1))  # 255 becomes 0
    return root


def camvid_layout(root: Path) -> Path:
    """The authors' colours: one of the 32 for each class, and frames of every sequence."""
    originals = tuple(list(g.values())[-1] for g in camvid_colours.MERGED.values())
    train = ["0001TP_006690", "0001TP_008520", "0006R0_f00930", "0016E5_08160"]
    names = [*train, "0016E5_07959", "0016E5_08159", "0001TP_008550", "Seq05VD_f00000"]
    for i, name in enumerate(names):
        ids = blocks(i, 11)
        save(root / f"701_StillsRaw_full/{name}.png", painted(ids, streets.PALETTE))
        save(root / f"LabeledApproved_full/{name}_L.png", painted(ids, originals))
    return root


def class_folders_layout(root: Path) -> Path:
    """Two classes of four images; ``val`` is held out."""
    for name, level in (("bright", 200), ("dark", 30)):
        for i in range(5):
            save(root / f"train/{name}/{i}.png", np.full((40, 50, 3), level + i, np.uint8))
    return root


LAYOUTS: dict[str, Callable[[Path], Path]] = {
    "cityscapes": cityscapes_layout,
    "voc": voc_layout,
    "ade20k": ade20k_layout,
    "camvid": camvid_layout,
    "class_folders": class_folders_layout,
}

"""Fixtures that several folders share: one thread, and a bundle small enough for every test."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from export.bundle import Bundle
from export.runtimes import Runtime, load

# A busy machine is slow, and that is not a fault of what is tested.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

SIZE = (48, 64)
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
    folder = tmp_path_factory.mktemp("made")
    onnx.save(nearest_colour(np.array(list(CLASSES.values()), np.float32)), folder / "model.onnx")
    (folder / "examples").mkdir()
    Image.fromarray(scene).save(folder / "examples" / "street.png")
    Image.fromarray(scene[:, ::-1]).save(folder / "examples" / "turned.jpg")
    artifact = {"runtime": "onnxruntime", "file": "model.onnx", "precision": "fp32", "built_on": ""}
    manifest = {
        "name": "Tiny <streets>",
        "system": "by hand",
        "genotype": "none",
        "classes": tuple(CLASSES),
        "palette": tuple(CLASSES.values()),
        "size": SIZE,
        "data": "four colours",
        "scores": {"miou": 0.712},
        "artifacts": [artifact],
    }
    return Bundle.seal(folder, manifest, tmp_path_factory.mktemp("sealed") / "bundle")


@pytest.fixture(scope="session")
def tiny_runtime(tiny_bundle: Bundle) -> Iterator[Runtime]:
    with load("onnxruntime", tiny_bundle, threads=1) as runtime:
        yield runtime


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

"""The model repository of Triton: what its configuration says is what its model reads."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import onnx
import pytest

from export.assembly import Contents, Description, make_bundle
from export.bundle import Artifact, Bundle
from export.triton import configuration, lay_out, quoted
from export.verify import Pair
from files import sha256
from lengths import Dynamic
from models.network import Network
from recipe import Output

TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[\w.-]+|[][{}:,])')
KINDS = {"TYPE_UINT8": onnx.TensorProto.UINT8, "TYPE_FP32": onnx.TensorProto.FLOAT}


def parsed(text: str) -> dict[str, Any]:
    """Protobuf's text format, as far as a configuration goes: each field's values in a list."""
    tokens = iter([*TOKEN.findall(text), "}"])
    message = fields(tokens)
    assert next(tokens, None) is None
    return message


def fields(tokens: Iterator[str]) -> dict[str, Any]:
    message: dict[str, Any] = {}
    for name in tokens:
        if name == "}":
            return message
        if name == ",":
            continue
        token = next(tokens)
        if token == ":":
            token = next(tokens)
        message.setdefault(name, []).extend(values(token, tokens))
    raise AssertionError("a brace is missing")


def values(token: str, tokens: Iterator[str]) -> list[Any]:
    if token == "[":
        found: list[Any] = []
        while (token := next(tokens)) != "]":
            found += [] if token == "," else values(token, tokens)
        return found
    if token == "{":
        return [fields(tokens)]
    return [int(token) if re.fullmatch(r"-?\d+", token) else token.strip('"')]


@pytest.fixture(params=["fixed", "batch", "all"])
def bundle(
    request: pytest.FixtureRequest,
    make_network: Callable[[int], Network],
    description: Description,
    pairs: list[Pair],
    tmp_path: Path,
    tiny_weights: None,
) -> Bundle:
    """Of labels at one size, of labels of many, and of logits with all lengths open."""
    spans = {"fixed": {}, "batch": {"batch": (1, 3)}}
    dynamic = Dynamic(**spans.get(request.param, {"batch": (1, 2), "height": (32, 64)}))
    output: Output = "logits" if request.param == "all" else "labels"
    contents = Contents(pairs, output=output, dynamic=dynamic)
    return make_bundle(make_network(0), tmp_path / "bundle", description, contents)


def test_a_configuration_says_what_its_model_reads(bundle: Bundle, tmp_path: Path) -> None:
    (model,) = lay_out(bundle, tmp_path / "repository")
    assert {p.relative_to(model).as_posix() for p in model.rglob("*")} == {
        "config.pbtxt",
        "labels.txt",
        "1",
        "1/model.onnx",
    }
    config = parsed((model / "config.pbtxt").read_text())
    file = onnx.load(model / "1/model.onnx")
    assert config["name"] == [model.name] == ["toy"]
    assert config["backend"] == ["onnxruntime"]
    (most,) = config["max_batch_size"]
    assert most == (bundle.manifest.dynamic.batch or (0, 0))[1]
    assert ("dynamic_batching" in config) is (most > 0)
    for role, value in (("input", file.graph.input[0]), ("output", file.graph.output[0])):
        (said,), kind = config[role], value.type.tensor_type
        lengths = [side.dim_value or -1 for side in kind.shape.dim]
        assert said["name"] == [value.name]
        assert KINDS[said["data_type"][0]] == kind.elem_type
        assert said["dims"] == (lengths[1:] if most else lengths), "the batch is Triton's or none"
        assert lengths[0] == (-1 if most else 1)
    stated = {p["key"][0]: p["value"][0]["string_value"][0] for p in config["parameters"]}
    assert stated["sha256"] == sha256(model / "1/model.onnx")
    assert (model / "labels.txt").read_text().splitlines() == list(bundle.manifest.classes)


def test_a_plan_of_tensorrt_has_its_backend_and_a_name_of_its_own(bundle_path: Path) -> None:
    bundle = Bundle.load(bundle_path)
    for stem in ("tensorrt", "tensorrt.int8"):
        file, name = f"{stem}.engine", f"toy_{stem.replace('.', '_')}"
        plan = Artifact(runtime="tensorrt", file=file, precision="fp32", built_on="")
        files = {**bundle.manifest.files, file: "0" * 64}
        bundle = Bundle(bundle_path, bundle.manifest.model_copy(update={"files": files}))
        config = parsed(configuration(bundle, plan))
        assert (config["name"], config["backend"]) == ([name], ["tensorrt"])


def test_a_name_is_a_folder_whatever_it_is(tiny_bundle: Bundle, tmp_path: Path) -> None:
    (model,) = lay_out(tiny_bundle, tmp_path / "repository")
    assert model.parent == tmp_path / "repository"
    assert model.name == "Tiny_streets_"
    assert parsed((model / "config.pbtxt").read_text())["name"] == [model.name]


def test_nothing_is_replaced(tiny_bundle: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "repository"
    lay_out(tiny_bundle, folder)
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    with pytest.raises(ValueError, match="is not empty: remove it"):
        lay_out(tiny_bundle, folder)
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before
    assert [p.name for p in tmp_path.iterdir()] == ["repository"]


@pytest.mark.parametrize("text", ['a"b', "a\\b", "a\nb", "straße", '"}'])
def test_any_text_is_quoted(text: str) -> None:
    inner = quoted(text)[1:-1]
    plain = re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), inner)
    assert plain.encode("latin-1").decode() == text
    assert TOKEN.fullmatch(quoted(text))

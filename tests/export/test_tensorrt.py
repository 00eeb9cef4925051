"""Engines are built where there is no GPU, are refused in words, and say what they are."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from export.assembly import BUILT, Contents, Description, make_bundle
from export.bundle import Bundle
from export.formats.half import half_from_onnx
from export.formats.int8 import int8_from_onnx
from export.formats.onnx import onnx_from_network
from export.formats.tensorrt import Order, engine_from_onnx
from export.machine import no_gpu
from export.runtimes import Pixels, load
from export.runtimes.tensorrt import Engine
from export.sidecar import Sidecar, beside
from export.verify import LIMITS, Limits, Pair
from lengths import Dynamic
from models.genotype import Genotype
from models.network import Network, build
from searcher.spaces.auto_deeplab import AutoDeepLab
from searcher.spaces.cas import Cas
from searcher.spaces.darts import Darts
from searcher.spaces.dpc import Dpc
from searcher.spaces.fast_nas import FastNas
from searcher.spaces.gas import Gas
from searcher.spaces.realtime import Realtime

pytest.importorskip("tensorrt_rtx")
pytestmark = pytest.mark.tensorrt

SIZE = (32, 48)
ORDER = Order(capabilities=("8.6",))
STACK, GRID = {"width": 4, "head": 4}, {"width": 4, "stem": 4, "head": 4}
PYRAMID = Path(__file__).parents[2] / "recipes/genotypes/camvid_pyramid.json"
without_gpu = pytest.mark.skipif(no_gpu() is None, reason="there is a GPU")


def genotypes() -> dict[str, Genotype]:
    """A small one of every family that labels pixels."""
    grid = AutoDeepLab(2, 2, GRID).sample(random.Random(0))
    found = [
        Darts(2, 2, STACK).sample(random.Random(0)),
        Gas(2, 2, STACK).sample(random.Random(0)),
        Cas(2, 2, STACK).sample(random.Random(0)),
        grid,
        replace(grid, family="trellis"),
        Genotype.load(PYRAMID),
        Dpc({"encoder": 10, "head": 8, "output_stride": 16}).sample(random.Random(0)),
        FastNas({"encoder": 10, "head": 8, "repeats": 1}).sample(random.Random(0)),
        Realtime({"width": 2}).sample(random.Random(0)).resized(grain=2),
    ]
    return {genotype.family: genotype for genotype in found}


@pytest.mark.parametrize("genotype", genotypes().values(), ids=genotypes())
def test_every_family_builds_in_every_precision(
    genotype: Genotype, pixels: Pixels, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    network = build(genotype, 4).eval()
    fp32 = onnx_from_network(network, SIZE, tmp_path / "model.onnx")
    sources = {
        "fp32": fp32,
        "fp16": half_from_onnx(fp32, tmp_path / "half.onnx"),
        "int8": int8_from_onnx(fp32, tmp_path / "int8.onnx", pixels, "tensorrt"),
    }
    for name, source in sources.items():
        engine = engine_from_onnx(source, tmp_path / f"{name}.engine", ORDER)
        assert engine.stat().st_size > 1000
        assert Sidecar.load(engine).source == source.name


def test_all_families_that_label_pixels_are_built() -> None:
    from models.families import CLASSIFIERS, FAMILIES

    assert set(genotypes()) == set(FAMILIES) - CLASSIFIERS


def test_an_engine_is_the_same_twice_and_says_what_it_is(model: Path, tmp_path: Path) -> None:
    order = replace(ORDER, capabilities=("8.6", "12.0"), workspace_mb=256, level=1)
    first = engine_from_onnx(model, tmp_path / "a.engine", order)
    second = engine_from_onnx(model, tmp_path / "b.engine", order)
    assert first.read_bytes() == second.read_bytes()
    sidecar = Sidecar.load(first)
    assert (sidecar.runtime, sidecar.capabilities) == ("tensorrt-rtx", ("8.6", "12.0"))


@pytest.mark.parametrize(
    "dynamic",
    [Dynamic(batch=(1, 4)), Dynamic(height=(32, 64), width=(40, 96))],
    ids=["batch", "height and width"],
)
def test_lengths_that_are_left_open_need_a_profile(
    make_network: Callable[[int], Network], dynamic: Dynamic, tmp_path: Path
) -> None:
    source = onnx_from_network(make_network(0), SIZE, tmp_path / "open.onnx", "logits", dynamic)
    with pytest.raises(ValueError, match="leaves a length open"):
        engine_from_onnx(source, tmp_path / "open.engine", ORDER)
    order = replace(ORDER, shapes=dynamic.profile(SIZE))
    assert engine_from_onnx(source, tmp_path / "open.engine", order).stat().st_size > 1000
    small, usual, large = dynamic.profile(SIZE)
    turned = replace(ORDER, shapes=(large, usual, small))
    with pytest.raises(ValueError, match=r"cannot build open\.onnx"):
        engine_from_onnx(source, tmp_path / "b.engine", turned)


@without_gpu
def test_a_bundle_gives_its_spans_to_its_engines(
    make_network: Callable[[int], Network],
    description: Description,
    pairs: list[Pair],
    tmp_path: Path,
    tiny_weights: None,
) -> None:
    dynamic = Dynamic(batch=(1, 2), height=(32, 64))
    contents = Contents(
        pairs, ("tensorrt-rtx", "tensorrt-rtx-fp16"), capabilities=("8.6",), dynamic=dynamic
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("export.verify.LIMITS", {**LIMITS, "fp16": Limits(miou=0.05)})
        bundle = make_bundle(make_network(0), tmp_path / "bundle", description, contents)
    for precision in ("fp32", "fp16"):
        assert bundle.file(bundle.artifact("tensorrt-rtx", precision)).stat().st_size > 1000


def test_what_it_cannot_read_is_said(model: Path, pixels: Pixels, tmp_path: Path) -> None:
    for_processors = int8_from_onnx(model, tmp_path / "int8.onnx", pixels)
    with pytest.raises(ValueError, match=r"tensorrt-rtx .* cannot read int8\.onnx: .*Int32"):
        engine_from_onnx(for_processors, tmp_path / "a.engine", ORDER)
    (tmp_path / "odd.onnx").write_bytes(model.read_bytes().replace(b"ArgMax", b"ArgMix"))
    with pytest.raises(ValueError, match=r"cannot read odd\.onnx: .*ArgMix"):
        engine_from_onnx(tmp_path / "odd.onnx", tmp_path / "a.engine", ORDER)
    assert not (tmp_path / "a.engine").exists()


@pytest.mark.parametrize("capability", ["9.0", "10.0", "CURRENT"])
def test_a_gpu_that_it_does_not_build_for_is_refused(
    capability: str, model: Path, tmp_path: Path
) -> None:
    order = replace(ORDER, capabilities=("8.6", capability))
    with pytest.raises(ValueError, match=f"does not build for compute capability {capability}: ch"):
        engine_from_onnx(model, tmp_path / "a.engine", order)


@without_gpu
def test_without_a_gpu_one_must_be_named(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"here is none .*export\.capabilities"):
        engine_from_onnx(model, tmp_path / "a.engine", Order())
    with pytest.raises(ValueError, match="tensorrt builds for this machine's GPU only"):
        engine_from_onnx(model, tmp_path / "a.engine", replace(ORDER, runtime="tensorrt"))


@without_gpu
def test_running_without_a_driver_is_a_sentence_and_no_crash(model: Path, tmp_path: Path) -> None:
    engine = engine_from_onnx(model, tmp_path / "a.engine", ORDER)
    with pytest.raises(ValueError, match=r"a\.engine needs an NVIDIA GPU: no driver"):
        Engine(engine, "fp32", 0)


@without_gpu
def test_a_bundle_says_what_was_built_and_not_run(
    make_network: Callable[[int], Network],
    description: Description,
    pairs: list[Pair],
    tmp_path: Path,
    tiny_weights: None,
) -> None:
    contents = Contents(pairs, ("tensorrt-rtx",), capabilities=("8.6",))
    make_bundle(make_network(0), tmp_path / "bundle", description, contents)
    bundle = Bundle.load(tmp_path / "bundle")
    engine = bundle.artifact("tensorrt-rtx")
    assert (engine.gate, engine.precision) == (BUILT, "fp32")
    assert beside(bundle.file(engine)).name in bundle.manifest.files
    assert "tensorrt-rtx-cu13 1." in engine.built_on
    with pytest.raises(ValueError, match="tensorrt-rtx needs an NVIDIA GPU"):
        load("tensorrt-rtx", bundle)


@pytest.mark.parametrize(
    ("version", "capability", "gpu", "reason"),
    [
        ("9", "8.6", "A", r"was built with tensorrt-rtx 1\.\S+, and here is 9"),
        (None, "8.9", "A", "was built for compute capability 8.6, and this GPU has 8.9"),
        (None, "8.6", "B", "was built on A, and this is B"),
    ],
)
def test_an_engine_of_another_machine_names_the_command_that_rebuilds(
    version: str | None, capability: str, gpu: str, reason: str, model: Path, tmp_path: Path
) -> None:
    source = tmp_path / "model.onnx"
    source.write_bytes(model.read_bytes())
    engine = engine_from_onnx(source, tmp_path / "a.engine", ORDER)
    sidecar = replace(Sidecar.load(engine), gpu="A")
    sidecar.check(engine, sidecar.version, "8.6", "A")
    with pytest.raises(ValueError, match=reason + r".*'segnas export RUN --formats tensorrt-rtx'"):
        sidecar.check(engine, version or sidecar.version, capability, gpu)
    source.write_bytes(b"another")
    with pytest.raises(ValueError, match=r"was not built from the model\.onnx beside it"):
        sidecar.check(engine, sidecar.version, "8.6", "A")


@pytest.mark.parametrize("content", [None, "{}", "[]", "no JSON", '{"capabilities": 3}'])
def test_an_engine_without_its_side_car_is_refused(content: str | None, tmp_path: Path) -> None:
    engine = tmp_path / "a.engine"
    if content is not None:
        beside(engine).write_text(content)
    with pytest.raises(ValueError, match=r"a\.engine\.json does not say what a\.engine"):
        Sidecar.load(engine)


def test_a_side_car_is_plain_json(model: Path, tmp_path: Path) -> None:
    engine = engine_from_onnx(model, tmp_path / "a.engine", ORDER)
    assert json.loads(beside(engine).read_text())["capabilities"] == ["8.6"]

"""The other ways to run a file: on an NVIDIA GPU, compiled; and in words where there is none."""

from __future__ import annotations

import re
from importlib import import_module

import numpy as np
import pytest
import torch

from export.benchmark.opening import examples
from export.benchmark.rounds import Settings, jobs_of
from export.benchmark.subjects import Source
from export.bundle import Bundle
from export.machine import no_gpu
from export.runtimes import (
    COMPUTED,
    GPU_ONLY,
    READS,
    Labels,
    Pixels,
    artifact_of,
    load,
    missing,
    others,
)

ON_GPU = [name for name in READS if name in GPU_ONLY]
LEAST = {"fp32": 0.999, "fp16": 0.99, "bf16": 0.99}
"""The share of labels that must be those of ONNX Runtime in fp32 on the processor."""
SETTINGS = Settings(iterations=3, warmup=1)

gpu = pytest.mark.gpu
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no NVIDIA GPU")
without_gpu = pytest.mark.skipif(no_gpu() is None, reason="there is a GPU")


@pytest.fixture(scope="module")
def seen(learned_bundle: Bundle) -> Pixels:
    """uint8 [4, H, W, 3]: the bundle's examples."""
    return examples(learned_bundle, 4)


@pytest.fixture(scope="module")
def expected(learned_bundle: Bundle, seen: Pixels) -> Labels:
    """uint8 [4, H, W] of ONNX Runtime on the processor, every class among them."""
    with load("onnxruntime", learned_bundle, threads=1) as engine:
        labels = np.concatenate([engine(image[None]) for image in seen])
    assert len(np.unique(labels)) == len(learned_bundle.manifest.classes)
    return labels


def agreement(found: Labels, expected: Labels) -> float:
    """The share of equal labels, 0..1."""
    assert found.dtype == np.uint8
    assert found.shape == expected.shape
    return float(np.mean(found == expected))


@gpu
@needs_gpu
@pytest.mark.parametrize("precision", COMPUTED["torch-cuda"])
def test_a_graph_gives_the_labels_of_the_processor(
    precision: str, learned_bundle: Bundle, seen: Pixels, expected: Labels
) -> None:
    with load("torch-cuda", learned_bundle, precision=precision) as engine:
        for batch in (1, 1, 4, 2, 1):
            found = engine(seen[:batch])
            assert agreement(found, expected[:batch]) >= LEAST[precision]
        assert np.array_equal(found, engine(seen[:1])), "a replay is what it was"
        facts = engine.facts
    assert (facts.runtime, facts.provider, facts.threads) == ("torch-cuda", "CUDA graph", 0)
    assert facts.device == torch.cuda.get_device_name()
    assert facts.precision == facts.computes == precision
    assert facts.version == torch.__version__


@gpu
@needs_gpu
def test_a_graph_makes_room_for_another_shape(learned_bundle: Bundle) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1, 96, 128, 3), dtype=np.uint8)
    with load("torch-cuda", learned_bundle) as engine:
        first = engine(pixels)
        for height in range(32, 32 + 4 * 10, 4):
            assert engine(pixels[:, :height]).shape == (1, height, 128)
        assert np.array_equal(engine(pixels), first)


@gpu
@needs_gpu
@pytest.mark.parametrize("name", [name for name in ON_GPU if name != "torch-cuda"])
def test_the_others_give_the_labels_of_the_processor(
    name: str, learned_bundle: Bundle, seen: Pixels, expected: Labels
) -> None:
    if reason := missing(name):
        pytest.skip(reason)
    with load(name, learned_bundle) as engine:
        for _ in range(2):
            assert agreement(engine(seen[:1]), expected[:1]) >= LEAST["fp32"]
        assert engine.facts.runtime == name
        assert engine.facts.device == torch.cuda.get_device_name()


@gpu
@needs_gpu
def test_a_machine_with_a_gpu_measures_it_unasked(learned_bundle: Bundle) -> None:
    jobs, _ = jobs_of(Source(learned_bundle.path), SETTINGS)
    assert {j.precision for j in jobs if j.runtime == "torch-cuda"} == set(COMPUTED["torch-cuda"])
    assert not [job for job in jobs if "compiled" in job.runtime]


def test_compiled_for_the_processor_gives_the_same_labels(
    learned_bundle: Bundle, seen: Pixels, expected: Labels
) -> None:
    if reason := missing("torch-compiled"):
        pytest.skip(reason)
    with load("torch-compiled", learned_bundle, threads=1) as engine:
        for image in (0, 1):
            found = engine(seen[image : image + 1])
            assert agreement(found, expected[image : image + 1]) >= LEAST["fp32"]
        assert engine.facts.runtime == "torch-compiled"
        assert engine.facts.provider == "CPU, Inductor"


@without_gpu
@pytest.mark.parametrize("name", ON_GPU)
def test_without_a_gpu_it_is_refused_in_words(name: str, learned_bundle: Bundle) -> None:
    why = f"{name} (needs an NVIDIA GPU: |is not installed: pip install 'segnas)"
    assert re.match(why, missing(name) or "")
    with pytest.raises(ValueError, match=why):
        load(name, learned_bundle)


@without_gpu
@pytest.mark.parametrize("name", ON_GPU)
def test_an_engine_of_its_own_is_refused_as_well(name: str, learned_bundle: Bundle) -> None:
    module = import_module(f"export.runtimes.{name.replace('-', '_')}")
    file = learned_bundle.file(artifact_of(name, learned_bundle))
    with pytest.raises(ValueError, match=rf"{READS[name]}.* (NVIDIA GPU|not installed)"):
        module.Engine(file, "fp32", 0)


@without_gpu
def test_without_a_gpu_a_benchmark_is_what_it_was(learned_bundle: Bundle) -> None:
    jobs, skipped = jobs_of(Source(learned_bundle.path), SETTINGS)
    assert [job.runtime for job in jobs] == ["onnxruntime", "torch"]
    assert skipped == {}
    assert others(learned_bundle) == []


@without_gpu
def test_what_is_named_and_cannot_run_says_why(learned_bundle: Bundle) -> None:
    jobs, skipped = jobs_of(Source.parse(f"{learned_bundle.path}:torch-cuda:fp16"), SETTINGS)
    assert jobs == []
    assert skipped["torch-cuda"].startswith("torch-cuda needs an NVIDIA GPU")


def test_what_is_compiled_must_be_named(learned_bundle: Bundle) -> None:
    jobs, _ = jobs_of(Source.parse(f"{learned_bundle.path}:torch-compiled"), SETTINGS)
    assert [(job.runtime, job.precision) for job in jobs] == [("torch-compiled", "fp32")]


@pytest.mark.parametrize(("name", "file"), [("torch-cuda", "weights"), ("onnxruntime-cuda", "mod")])
def test_each_reads_the_file_of_its_runtime(name: str, file: str, learned_bundle: Bundle) -> None:
    artifact = artifact_of(name, learned_bundle)
    assert artifact.file.startswith(file)
    assert (artifact.runtime, artifact.precision) == (name, "fp32")


def test_weights_are_computed_in_every_precision_and_files_in_their_own(
    learned_bundle: Bundle,
) -> None:
    assert artifact_of("torch-cuda", learned_bundle, "bf16").precision == "bf16"
    with pytest.raises(ValueError, match="torch-cuda runs fp32, fp16, bf16, not int8"):
        artifact_of("torch-cuda", learned_bundle, "int8")
    with pytest.raises(ValueError, match=r"has nothing for onnxruntime \(fp16\)"):
        artifact_of("onnxruntime-cuda", learned_bundle, "fp16")


def test_a_torch_or_an_onnxruntime_without_cuda_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("export.runtimes.no_gpu", lambda: None)
    monkeypatch.setattr("export.runtimes.version", lambda _: "2.13.0+cpu")
    monkeypatch.setattr("export.runtimes.offered", lambda _: False)
    monkeypatch.setattr("export.runtimes.find_spec", lambda name: name)
    assert "needs a torch with CUDA, and this is 2.13.0+cpu" in str(missing("torch-cuda"))
    for name, extra in (("onnxruntime-cuda", "gpu"), ("onnxruntime-tensorrt", "gpu,tensorrt")):
        assert f"then pip install 'segnas[{extra}]'" in str(missing(name))
    monkeypatch.setattr("export.runtimes.which", lambda _: None)
    assert missing("torch-compiled") == "torch-compiled needs a C++ compiler: apt install g++"

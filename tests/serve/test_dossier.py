"""What the page says about a bundle: of what it holds, and nothing that it does not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from export.bundle import Bundle
from images import encode_png
from serve.curves import curve
from serve.dossier import dossier

ROW = {
    "runtime": "onnxruntime",
    "precision": "fp32",
    "threads": 1,
    "batch": 1,
    "device": "a <machine>",
    "wall_ms": {"p50": 3.14159},
    "cpu_ms": None,
    "fps": 318.3,
    "peak_rss_mb": 85.7,
    "miou": 0.712,
}


@pytest.fixture
def told(tiny_bundle: Bundle, tmp_path: Path) -> Bundle:
    """The tiny bundle with a genotype, a drawing and a training of its own."""
    folder = tmp_path / "made"
    (folder / "about").mkdir(parents=True)
    (folder / "model.onnx").write_bytes((tiny_bundle.path / "model.onnx").read_bytes())
    graphs = {"cell": [[0, 1, "sep_conv_3x3"]]}
    genotype = {"family": "cell_stack", "graphs": graphs, "sizes": {"width": 8}}
    (folder / "network.json").write_text(json.dumps({"genotype": genotype, "num_classes": 4}))
    drawing = encode_png(np.zeros((4, 6, 3), np.uint8))
    (folder / "about/architecture.png").write_bytes(drawing)
    log = [{"epoch": 1, "loss": 2.0, "miou": 0.1}, {"epoch": 2, "loss": 1.0, "miou": 0.3}]
    (folder / "about/training.jsonl").write_text("\n".join(map(json.dumps, log)) + "\n")
    manifest = tiny_bundle.manifest.model_dump(exclude={"files"})
    return Bundle.seal(folder, manifest, tmp_path / "bundle")


def test_it_tells_what_the_bundle_holds(told: Bundle) -> None:
    (told.path / "benchmark.json").write_text(json.dumps({"rows": [ROW]}))
    page = dossier(told)
    for words in ("0 -&gt; 1 sep_conv_3x3", "four colours", "a &lt;machine&gt;", "3.14", "0.712"):
        assert words in page
    assert page.count("<svg") == 2
    assert "data:image/png;base64," in page
    assert "holds no" not in page


def test_it_says_what_is_not_there(tiny_bundle: Bundle) -> None:
    page = dossier(tiny_bundle)
    for what in ("no drawing", "no history", "no benchmark"):
        assert what in page


@pytest.mark.parametrize("text", ["", "[]", "{", '{"rows": [{}]}', '{"rows": [[1]]}', "[" * 9999])
def test_somebody_s_own_benchmark_breaks_nothing(told: Bundle, text: str) -> None:
    (told.path / "benchmark.json").write_text(text)
    assert "no benchmark" in dossier(told)


def test_a_curve_needs_two_epochs_and_leaves_out_what_is_no_number() -> None:
    log = [{"epoch": e, "loss": v} for e, v in enumerate((2.0, float("nan"), 1.0), 1)]
    assert curve(log, "loss").count(",") == curve([log[0], log[2]], "loss").count(",")
    assert "over 2 epochs, from 2 to 1" in curve(log, "loss")
    assert curve(log[:2], "loss") == ""
    assert curve(log, "miou") == ""

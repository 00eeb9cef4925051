"""The ONNX file: what it promises, and the same bytes whoever writes it."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from export.assembly import Contents, Description, make_bundle
from export.formats.onnx import OPSET, onnx_from_network, place
from models.cell import CELL_OPS
from models.genotype import Edge, Genotype
from models.network import Network, PixelsToLabels, build
from models.ops import OPS

ELSEWHERE = """
import runpy, sys
from pathlib import Path
names = runpy.run_path(sys.argv[1])
names["onnx_from_network"](names["tiny_network"](0), names["SIZE"], Path(sys.argv[2]))
"""


def test_pixels_in_labels_out(model: Path) -> None:
    graph = onnx.load(model).graph
    assert [described(value) for value in graph.input] == [("pixels", onnx.TensorProto.UINT8)]
    assert [described(value) for value in graph.output] == [("labels", onnx.TensorProto.UINT8)]
    assert graph.node[0].op_type == "Cast", "TensorRT refuses a transpose of uint8"
    assert "BatchNormalization" not in {node.op_type for node in graph.node}


def described(value: onnx.ValueInfoProto) -> tuple[str, int]:
    return value.name, value.type.tensor_type.elem_type


def test_the_file_says_what_it_is(model: Path) -> None:
    file = onnx.load(model)
    assert [(opset.domain, opset.version) for opset in file.opset_import] == [("", OPSET)]
    assert {entry.key: entry.value for entry in file.metadata_props} == {
        "schema": "segnas.labels/1",
        "genotype": "0123456789ab",
        "num_classes": "4",
        "size": "32x48",
    }


def test_another_process_elsewhere_writes_the_same_bytes(model: Path, tmp_path: Path) -> None:
    conftest = Path(__file__).with_name("conftest.py")
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, conftest, tmp_path / "again.onnx"],
        check=True,
        capture_output=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(conftest.parents[2]), "PYTHONHASHSEED": "7"},
    )
    assert (done.stdout, done.stderr) == (b"", b"")
    assert (tmp_path / "again.onnx").read_bytes() == model.read_bytes()


def test_exporting_is_quiet_and_leaves_the_network_alone(
    make_network: Callable[[int], Network],
    model: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    network = make_network(0).train()
    level = logging.getLogger("torch.onnx").level
    again = onnx_from_network(network, (32, 48), tmp_path / "again.onnx")
    assert again.read_bytes() == model.read_bytes()
    assert network.training
    assert capfd.readouterr() == ("", "")
    assert [r for r in caplog.records if r.levelno >= logging.INFO] == []
    assert logging.getLogger("torch.onnx").level == level


def test_no_path_of_this_machine_is_in_the_file(model: Path) -> None:
    content = model.read_bytes()
    assert b".py" not in content
    assert str(Path(__file__).parents[2]).encode() not in content


@torch.library.custom_op("segnas_tests::odd", mutates_args=())
def odd(x: Tensor) -> Tensor:
    return x.clone()


@odd.register_fake
def shape_of_odd(x: Tensor) -> Tensor:
    return torch.empty_like(x)


class Odd(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        return odd(x)


def test_an_operation_onnx_does_not_know_is_named(
    make_network: Callable[[int], Network], tmp_path: Path
) -> None:
    network = make_network(0)
    network.norm = nn.Sequential(Odd())
    with pytest.raises(ValueError, match=r"layer norm\.0 \(Odd\).*segnas_tests\.odd"):
        onnx_from_network(network, (32, 48), tmp_path / "odd.onnx")
    assert list(tmp_path.iterdir()) == []


SKIP = "skip_connect"
STACK = Genotype(
    "cell_stack",
    {
        "normal": (Edge(0, 2, SKIP), Edge(1, 2, SKIP)),
        "reduce": (Edge(0, 2, SKIP), Edge(1, 2, SKIP), Edge(2, 3, "odd")),
    },
    {"layers": 3, "width": 2, "head": 4},
)


def test_an_op_without_a_mapping_is_named_with_its_edge_and_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, description: Description
) -> None:
    """Registered as anybody would register one."""
    monkeypatch.setitem(OPS, "odd", lambda channels, stride: nn.Sequential(nn.ReLU(), Odd()))
    monkeypatch.setattr("models.cell.CELL_OPS", (*CELL_OPS, "odd"))
    pair = np.zeros((32, 48, 3), np.uint8), np.zeros((32, 48), np.uint8)
    with pytest.raises(ValueError, match="ONNX cannot express") as caught:
        make_bundle(build(STACK, 4), tmp_path / "bundle", description, Contents([pair]))
    where = "op odd on edge 2 -> 3 of cell body.cells.1.cell, layer body.cells.1.cell.ops.2.1 (Odd)"
    assert where in str(caught.value)
    assert "segnas_tests.odd" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("genotype", "path", "where"),
    [
        (
            Genotype(
                "dense_prediction",
                {"branches": (Edge(0, 1, "conv_1x1"), Edge(1, 2, "pool_grid_2x2"))},
                {"encoder": 10, "head": 4, "output_stride": 16},
            ),
            "body.head.branches.ops.1.project",
            "op pool_grid_2x2 on edge 1 -> 2 of cell body.head.branches",
        ),
        (
            Genotype(
                "fusion_decoder",
                {
                    "cell": (Edge(0, 1, SKIP), Edge(0, 2, SKIP), Edge(1, 3, "conv_3x3")),
                    "fusion": (Edge(0, 4, "connect"), Edge(1, 4, "connect")),
                },
                {"encoder": 10, "head": 4, "repeats": 1},
            ),
            "body.head.fusion.blocks.0.ways.0.0.ops.2.0",
            "op conv_3x3 on edge 1 -> 3 of cell body.head.fusion.blocks.0.ways.0.0",
        ),
        (
            Genotype("pyramid", {"stages": (Edge(16, 17, SKIP),)}, {"widths": (2, 4), "head": 4}),
            "body.stages.1.ops.0",
            "op skip_connect on edge 16 -> 17 of cell body.stages.1",
        ),
        (STACK.resized(layers=1), "body.stem.0", None),
    ],
    ids=["dense_prediction", "fusion_decoder", "pyramid", "no cell"],
)
def test_a_layer_is_placed_in_its_cell(genotype: Genotype, path: str, where: str | None) -> None:
    plain = {**genotype.graphs}
    if "reduce" in plain:
        plain["reduce"] = plain["normal"]
    module = PixelsToLabels(build(replace(genotype, graphs=plain), 4))
    assert place(module, f"network.{path}") == (f"{where}, " if where else "") + f"layer {path}"


def test_a_full_disk_leaves_nothing(
    make_network: Callable[[int], Network], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("files.sync", full)
    with pytest.raises(OSError, match="No space left"):
        onnx_from_network(make_network(0), (32, 48), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []

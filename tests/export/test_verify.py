"""The gate lets the right file through and deletes every wrong one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from export.formats.onnx import onnx_from_network
from export.verify import LABEL_LIMIT, LOGIT_LIMIT, Agreement, Pair, verify
from models import published
from models.network import Network, build


@pytest.fixture
def artifact(model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(model, tmp_path / "model.onnx"))


def test_the_right_file_passes(
    make_network: Callable[[int], Network], artifact: Path, pairs: list[Pair]
) -> None:
    network = make_network(0).train()
    content = artifact.read_bytes()
    agreement = verify(network, artifact, pairs).usual
    assert agreement.images == 3
    assert agreement.max_logit_difference < 1e-4
    assert agreement.label_agreement >= LABEL_LIMIT
    assert artifact.read_bytes() == content
    assert network.training


def test_another_network_is_refused_and_its_file_deleted(
    make_network: Callable[[int], Network], artifact: Path, pairs: list[Pair]
) -> None:
    with pytest.raises(
        ValueError, match=r"largest logit difference \d.*% of pixels, 3 images, mIoU"
    ):
        verify(make_network(1), artifact, pairs)
    assert not artifact.exists()


def test_a_difference_that_changes_no_label_is_refused(
    make_network: Callable[[int], Network], artifact: Path, pairs: list[Pair]
) -> None:
    network = make_network(0)
    with torch.no_grad():
        network.get_parameter("classify.bias").add_(0.01)
    with pytest.raises(ValueError, match=r"same label on 100\.0000%"):
        verify(network, artifact, pairs)
    assert not artifact.exists()


def test_numbers_that_are_none_are_refused(
    make_network: Callable[[int], Network], artifact: Path, pairs: list[Pair]
) -> None:
    network = make_network(0)
    with torch.no_grad():
        network.get_parameter("classify.bias").fill_(float("nan"))
    with pytest.raises(ValueError, match="nan"):
        verify(network, artifact, pairs)
    assert not artifact.exists()


def test_no_images_prove_nothing(
    make_network: Callable[[int], Network], artifact: Path, pairs: list[Pair]
) -> None:
    with pytest.raises(ValueError, match="at least one"):
        verify(make_network(0), artifact, pairs[:0])


@pytest.mark.parametrize(
    ("difference", "scale", "labels", "holds"),
    [
        (LOGIT_LIMIT, 0.01, 1.0, True),
        (1.01 * LOGIT_LIMIT, 1.0, 1.0, False),
        (1.01 * LOGIT_LIMIT, 10.0, 1.0, True),
        (0.0, 1.0, LABEL_LIMIT, True),
        (0.0, 1.0, LABEL_LIMIT - 1e-6, False),
        (float("nan"), 1.0, 1.0, False),
        (0.0, float("nan"), 1.0, True),
    ],
)
def test_the_limits(difference: float, scale: float, labels: float, holds: bool) -> None:
    assert Agreement(1, difference, labels, scale).holds is holds


def test_the_released_auto_deeplab_passes_at_any_size(tmp_path: Path) -> None:
    """Down to stride 32, which does not divide the size, and up again, by the maps' corners."""
    torch.manual_seed(0)
    size = (90, 120)
    genotype = published.load("auto_deeplab").genotype.resized(width=4, stem=4, head=16)
    network = build(genotype, 5).eval()
    file = onnx_from_network(network, size, tmp_path / "model.onnx")
    pixels = np.random.default_rng(0).integers(0, 256, (2, *size, 3), np.uint8)
    void = np.full(size, 255, np.uint8)
    assert (
        verify(network, file, [(image, void) for image in pixels]).usual.max_logit_difference < 1e-3
    )

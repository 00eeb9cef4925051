"""The encoder: the paper's size and strides, any other size, and weights from elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from models.encoder import LAST, Encoder
from models.genotype import Genotype
from models.network import Network, build, parameters
from models.weights import load_encoder, save

TINY = 10
CLASSIFIER = Genotype("encoder_classifier", {}, {"encoder": TINY})


def test_it_is_mobilenet_v2_with_an_expansion_in_the_first_block_too() -> None:
    encoder = Encoder(100)
    assert encoder.channels == (24, 32, 96, 320)
    assert parameters(encoder) == 1_812_800


@pytest.mark.parametrize("size", [(64, 96), (65, 97), (33, 70)])
def test_its_four_maps_have_strides_4_8_16_and_32(size: tuple[int, int]) -> None:
    encoder = Encoder(TINY).eval()
    maps = encoder(torch.zeros(1, 3, *size))
    for y, channels, stride in zip(maps, encoder.channels, (4, 8, 16, 32), strict=True):
        assert y.shape == (1, channels, *(-(-side // stride) for side in size))


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_a_stride_that_is_not_taken_is_a_dilation(stride: int) -> None:
    """The same weights see what they saw: the coarse map is every other pixel of the fine one."""
    coarse, fine = Encoder(TINY, LAST).eval(), Encoder(TINY, LAST, stride).eval()
    fine.load_state_dict(coarse.state_dict())
    x = torch.randn(1, 3, 257, 129, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        (expected,), (found,) = coarse(x), fine(x)
    assert found.shape[2:] == (256 // stride + 1, 128 // stride + 1)
    step = 32 // stride
    torch.testing.assert_close(found[:, :, ::step, ::step], expected)


@pytest.mark.parametrize(("percent", "stride", "key"), [(401, 32, "encoder"), (9, 4, "output_")])
def test_a_size_out_of_range_is_named(percent: int, stride: int, key: str) -> None:
    with pytest.raises(ValueError, match=rf"sizes\.{key}"):
        Encoder(percent, LAST, stride)


def equal(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def encoder_of(network: Network) -> nn.Module:
    return network.body.get_submodule("encoder")


def bare(network: Network) -> dict[str, Tensor]:
    """An encoder's tensors as another program may have written them."""
    state = encoder_of(network).state_dict()
    return {name: t for name, t in state.items() if not name.endswith("num_batches_tracked")}


@pytest.mark.parametrize("form", ["folder", "file", "bare"])
def test_an_encoder_is_taken_from_a_folder_or_a_file(form: str, tmp_path: Path) -> None:
    trained, fresh = build(CLASSIFIER, 5), build(CLASSIFIER, 3)
    assert not equal(encoder_of(trained), encoder_of(fresh))
    save(trained, tmp_path)
    path = tmp_path if form == "folder" else tmp_path / "weights.safetensors"
    if form == "bare":
        save_file(bare(trained), path)
    load_encoder(fresh.body, path)
    assert equal(encoder_of(trained), encoder_of(fresh))


@pytest.mark.parametrize(
    ("percent", "text", "message"),
    [
        (20, None, r"layer .* of .*weights\.safetensors is float32 .*; the network needs"),
        (TINY, "nothing", "is not a safetensors file"),
        (TINY, "", "does not exist"),
    ],
)
def test_what_does_not_fit_is_named(
    percent: int, text: str | None, message: str, tmp_path: Path
) -> None:
    network = build(CLASSIFIER.resized(encoder=percent), 3)
    if text is None:
        save(build(CLASSIFIER, 3), tmp_path)
    elif text:
        (tmp_path / "weights.safetensors").write_text(text)
    with pytest.raises(ValueError, match=r"train\.encoder: .*" + message):
        load_encoder(network.body, tmp_path)


def test_a_body_without_an_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"train\.encoder: .* have no encoder"):
        load_encoder(nn.Conv2d(3, 4, 1), tmp_path)

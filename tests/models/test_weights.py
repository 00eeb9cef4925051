"""Networks on disk: every bit comes back, and what does not fit is named."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.network import Network, build
from models.weights import NETWORK, WEIGHTS, load, load_network, load_weights, save
from searcher.spaces.darts import Darts


def small(seed: int = 0, width: int = 2) -> Network:
    torch.manual_seed(seed)
    genotype = Darts(2, 1, {"width": width, "head": 2}).sample(random.Random(seed))
    return build(genotype, 3)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save(small(), tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def intact(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a file of weights."""
    folder = tmp_path_factory.mktemp("intact")
    save(small(), folder)
    return (folder / WEIGHTS).read_bytes()


def test_every_bit_comes_back(tmp_path: Path) -> None:
    network = small()
    network(torch.rand(2, 3, 32, 32) * 255)
    with torch.no_grad():
        next(network.parameters()).view(-1)[:3] = torch.tensor([torch.nan, -0.0, 1e-45])
    for p in (p for p in network.parameters() if p.ndim == 4):
        p.data = p.data.contiguous(memory_format=torch.channels_last)
    save(network, tmp_path)
    again = load(tmp_path)
    assert not again.training
    assert again.genotype == network.genotype
    assert again.num_classes == network.num_classes
    before, after = network.state_dict(), again.state_dict()
    assert list(before) == list(after)
    for name, tensor in before.items():
        assert after[name].dtype == tensor.dtype
        assert after[name].contiguous().numpy().tobytes() == tensor.contiguous().numpy().tobytes()


def test_two_saves_give_the_same_bytes(
    saved: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("again")
    save(small(), other)
    for name in (NETWORK, WEIGHTS):
        assert (other / name).read_bytes() == (saved / name).read_bytes()
    assert sorted(p.name for p in saved.iterdir()) == sorted([NETWORK, WEIGHTS])


def change(folder: Path, **changes: Tensor | None) -> None:
    """Put other tensors into the file, or take some out."""
    tensors = {**load_file(folder / WEIGHTS), **changes}
    save_file({n: t for n, t in tensors.items() if t is not None}, folder / WEIGHTS)


LAYER = "body.head.classify.bias"


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        (LAYER, None, rf"layer {LAYER} is missing from .*{WEIGHTS}"),
        ("extra", torch.zeros(1), rf"layer extra is not wanted, but in .*{WEIGHTS}"),
        (LAYER, torch.zeros(4), rf"{LAYER} of .*{WEIGHTS} is float32 \[4\]; .* float32 \[3\]"),
        (LAYER, torch.zeros(3, 1), r"is float32 \[3, 1\]"),
        (LAYER, torch.zeros(3, dtype=torch.float64), r"is float64 \[3\]"),
    ],
    ids=["missing", "extra", "longer", "another rank", "another precision"],
)  # fmt: skip
def test_a_layer_that_does_not_fit_is_named(
    saved: Path, name: str, tensor: Tensor | None, message: str
) -> None:
    change(saved, **{name: tensor})
    with pytest.raises(ValueError, match=message):
        load(saved)


def test_weights_of_another_network_are_refused_and_leave_this_one_alone(saved: Path) -> None:
    other = small(width=3)
    before = {name: tensor.clone() for name, tensor in other.state_dict().items()}
    with pytest.raises(ValueError, match=r"layer body\.\S+ (is|of) .*weights\.safetensors"):
        load_weights(other, saved / WEIGHTS)
    assert all(torch.equal(t, before[name]) for name, t in other.state_dict().items())


@pytest.mark.parametrize("keep", [0, 1, 7, 8, 9, 100, -1, -100])
def test_a_cut_file_is_named(saved: Path, intact: bytes, keep: int) -> None:
    (saved / WEIGHTS).write_bytes(intact[:keep])
    with pytest.raises(ValueError, match=r"weights\.safetensors is not a safetensors file"):
        load(saved)


def test_a_longer_file_is_named(saved: Path, intact: bytes) -> None:
    (saved / WEIGHTS).write_bytes(intact + b"\0")
    with pytest.raises(ValueError, match=r"weights\.safetensors is not a safetensors file"):
        load(saved)


@settings(max_examples=150)
@given(data=st.data())
def test_a_mutated_header_never_raises_what_does_not_name_the_file(
    data: st.DataObject, intact: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    header = 8 + int.from_bytes(intact[:8], "little")
    path = tmp_path_factory.getbasetemp() / "mutated.safetensors"
    content = bytearray(intact)
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, header - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    assert str(path) in (refusal(path) or str(path))


def refusal(path: Path) -> str | None:
    """Why the file is refused, if it is."""
    try:
        load_weights(small(), path)
    except ValueError as error:
        return str(error)
    return None


def test_an_unknown_number_format_is_refused(saved: Path, intact: bytes) -> None:
    """As long as the true one, so that only the name is wrong."""
    (saved / WEIGHTS).write_bytes(intact.replace(b'"F32"', b'"X32"', 1))
    with pytest.raises(ValueError, match=r"weights\.safetensors"):
        load(saved)


@pytest.mark.parametrize("name", [NETWORK, WEIGHTS])
def test_a_missing_file_is_named_with_the_remedy(saved: Path, name: str) -> None:
    (saved / name).unlink()
    with pytest.raises(ValueError, match=rf"{name} does not exist: run 'segnas train' first"):
        load(saved)


@pytest.mark.parametrize("classes", [0, -1, 256, 10**9, 10**30, 2.0, "3", None, True, [3]])
def test_a_wrong_number_of_classes_is_refused(saved: Path, classes: object) -> None:
    raw = json.loads((saved / NETWORK).read_text())
    (saved / NETWORK).write_text(json.dumps({**raw, "num_classes": classes}))
    with pytest.raises(ValueError, match=r"network\.json .* num_classes from 1 to 255"):
        load_network(saved / NETWORK)


BROKEN = {
    "nothing": b"",
    "a list": b"[]",
    "not UTF-8": b"\xff\xfe",
    "huge nesting": b"[" * 200_000,
    "huge number": b"1" * 10_000,
    "a missing key": b'{"num_classes": 3}',
    "an extra key": b'{"num_classes": 3, "genotype": {}, "more": 1}',
    "no genotype": b'{"num_classes": 3, "genotype": 4}',
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_broken_network_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NETWORK).write_bytes(content)
    with pytest.raises(ValueError, match=r"network\.json does not describe a network"):
        load_network(tmp_path / NETWORK)


def test_a_key_of_the_genotype_is_named_with_the_file(saved: Path) -> None:
    raw = json.loads((saved / NETWORK).read_text())
    raw["genotype"]["sizes"]["colour"] = 1
    (saved / NETWORK).write_text(json.dumps(raw))
    with pytest.raises(ValueError, match=r"network\.json .* sizes\.colour"):
        load_network(saved / NETWORK)

"""The classifier of DARTS: its cells, sizes and heads are the released ones, to the parameter."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import models
from models import weights
from models.families.cell_stack import Stage
from models.families.classifier_stack import AuxiliaryHead, ClassifierStack
from models.genotype import Edge, Genotype
from models.layers import FactorizedReduce
from models.network import build, macs, parameters
from searcher.relaxations import softmax
from searcher.spaces.darts import Darts
from searcher.supernet import Supernet

PUBLISHED = Path(models.__file__).parent / "published"
CIFAR = {"width": 36, "layers": 20, "stem_stride": 1}
IMAGENET = {"width": 48, "layers": 14, "stem_stride": 8}

FIRST = {
    "normal": (
        ("sep_conv_3x3", 1), ("sep_conv_3x3", 0), ("skip_connect", 0), ("sep_conv_3x3", 1),
        ("skip_connect", 0), ("sep_conv_3x3", 1), ("sep_conv_3x3", 0), ("skip_connect", 2),
    ),
    "reduce": (
        ("max_pool_3x3", 0), ("max_pool_3x3", 1), ("skip_connect", 2), ("max_pool_3x3", 0),
        ("max_pool_3x3", 0), ("skip_connect", 2), ("skip_connect", 2), ("avg_pool_3x3", 0),
    ),
}  # fmt: skip
"""DARTS_V1: two (op, source) a node, as the authors list them."""

SECOND = {
    "normal": (
        ("sep_conv_3x3", 0), ("sep_conv_3x3", 1), ("sep_conv_3x3", 0), ("sep_conv_3x3", 1),
        ("sep_conv_3x3", 1), ("skip_connect", 0), ("skip_connect", 0), ("dil_conv_3x3", 2),
    ),
    "reduce": (
        ("max_pool_3x3", 0), ("max_pool_3x3", 1), ("skip_connect", 2), ("max_pool_3x3", 1),
        ("max_pool_3x3", 0), ("skip_connect", 2), ("skip_connect", 2), ("max_pool_3x3", 1),
    ),
}  # fmt: skip
"""DARTS_V2."""


def published(name: str) -> Genotype:
    """The genotype of a file in ``models/published``."""
    return Genotype.from_document(json.loads((PUBLISHED / f"{name}.json").read_text())["genotype"])


def body(genotype: Genotype, classes: int = 10) -> ClassifierStack:
    found = build(genotype, classes).body
    assert isinstance(found, ClassifierStack)
    return found


def small(layers: int, stem_stride: int = 1) -> Genotype:
    sizes = {"width": 2, "stem_stride": stem_stride}
    return Darts(layers, 2, sizes, "classifier_stack").sample(random.Random(layers))


@pytest.mark.parametrize(("name", "printed"), [("darts_v1", FIRST), ("darts_v2", SECOND)])
def test_the_files_hold_what_the_authors_list(
    name: str, printed: dict[str, tuple[tuple[str, int], ...]]
) -> None:
    genotype = published(name)
    assert genotype.sizes == CIFAR
    for graph, pairs in printed.items():
        edges = [Edge(src, 2 + i // 2, op) for i, (op, src) in enumerate(pairs)]
        assert list(genotype.graphs[graph]) == sorted(edges, key=lambda e: (e.dst, e.src))


@pytest.mark.parametrize(
    ("name", "count", "gigamacs"),
    [("darts_v1", 3_169_414, 0.5010), ("darts_v2", 3_349_342, 0.5284)],
)
def test_the_cifar_network_is_the_released_one(name: str, count: int, gigamacs: float) -> None:
    network = build(published(name), 10).eval()
    assert parameters(network) == count
    assert round(macs(network, (32, 32)) / 1e9, 4) == gigamacs
    made = body(published(name))
    assert parameters(made.head) == 576 * 10 + 10
    assert parameters(made.auxiliary_head(10)) == 476_426


@pytest.mark.parametrize(
    ("name", "megas", "gigamacs"), [("darts_v1", 4.51, 0.5059), ("darts_v2", 4.72, 0.5299)]
)
def test_the_imagenet_network_is_the_released_one(name: str, megas: float, gigamacs: float) -> None:
    network = build(published(name).resized(**IMAGENET), 1000).eval()
    assert round(parameters(network) / 1e6, 2) == megas
    assert round(macs(network, (224, 224)) / 1e9, 4) == gigamacs
    classify, norm, wide = 768 * 1000 + 1000, 2 * 128, 128 * 768 * 4
    head = body(published(name).resized(**IMAGENET), 1000).auxiliary_head(1000)
    assert parameters(head) == 768 * 128 + norm + wide + classify, "the last norm is missing"


@pytest.mark.parametrize("layers", range(1, 9))
@pytest.mark.parametrize("stem_stride", [1, 8])
def test_every_depth_builds_and_classifies(layers: int, stem_stride: int) -> None:
    network = build(Genotype.from_json(small(layers, stem_stride).to_json()), 3)
    logits = network(255 * torch.rand(2, 3, 33, 50))
    assert logits.shape == (2, 3, 1, 1)
    assert network.labels == "images"
    logits.sum().backward()
    grads = [p.grad for p in network.body.parameters()]
    assert all(g is not None and bool(g.isfinite().all()) for g in grads)


@pytest.mark.parametrize("stem_stride", [1, 8])
def test_the_first_cell_is_told_where_it_stands(stem_stride: int) -> None:
    """On ImageNet its inputs differ in size, as after a reduction; on CIFAR they are one map."""
    made = body(small(6, stem_stride)).eval()
    seen: list[tuple[Tensor, ...]] = []
    first = made.cells[0]
    assert isinstance(first, Stage)
    first.register_forward_hook(lambda _m, args, _y: seen.append(args))
    made(torch.rand(1, 3, 64, 96))
    ((before, last),) = seen
    if stem_stride == 1:
        assert before is last
        assert before.shape == (1, 6, 64, 96)
        assert not isinstance(first.before, FactorizedReduce)
    else:
        assert before.shape == (1, 2, 16, 24)
        assert last.shape == (1, 2, 8, 12)
        assert isinstance(first.before, FactorizedReduce)


@pytest.mark.parametrize(("sizes", "size"), [(CIFAR, 8), (IMAGENET, 7)])
def test_the_auxiliary_head_reads_the_second_reduction(sizes: dict[str, int], size: int) -> None:
    made = body(published("darts_v1").resized(**{**sizes, "width": 4})).eval()
    seen: list[Tensor] = []
    made.middle.register_forward_hook(lambda _m, _a, y: seen.append(y))
    made(torch.rand(2, 3, *((32, 32) if sizes is CIFAR else (224, 224))))
    assert made.middle is made.cells[2 * sizes["layers"] // 3]
    assert seen[0].shape == (2, 64, size, size)
    assert made.auxiliary_head(10)(seen[0]).shape == (2, 10, 1, 1)


@pytest.mark.parametrize(("stem_stride", "least"), [(1, 8), (8, 7)])
def test_the_auxiliary_head_says_what_it_needs(stem_stride: int, least: int) -> None:
    head = AuxiliaryHead(4, 3, stem_stride)
    pooled = head.features[:2](torch.rand(2, 4, least, least))
    assert pooled.shape == (2, 4, 2, 2), "as the released one, whose next kernel is 2x2"
    assert head(torch.rand(2, 4, 3 * least, least)).shape == (2, 3, 1, 1)
    with pytest.raises(ValueError, match=r"a map of (\d)x\1 and this one is 9x\d: .*data\.size"):
        head(torch.rand(2, 4, 9, least - 1))


@pytest.mark.parametrize("value", [2, 4, 16])
def test_another_stem_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match=r"sizes\.stem_stride must be 1 or 8"):
        build(small(3).resized(stem_stride=value), 2)


def test_the_head_reads_the_average_of_the_last_cell() -> None:
    made = body(small(4)).eval()
    seen: list[Tensor] = []
    made.cells[-1].register_forward_hook(lambda _m, _a, y: seen.append(y))
    logits = made(torch.rand(2, 3, 32, 40))
    assert isinstance(made.head, nn.Linear)
    expected = nn.functional.adaptive_avg_pool2d(seen[0], 1).flatten(1) @ made.head.weight.T
    torch.testing.assert_close(logits.flatten(1), expected + made.head.bias)


def test_the_supernet_is_the_released_one() -> None:
    """The released search prints ``param size = 1.930618MB``: no norm but the stem's learns."""
    space = Darts(8, 4, {"width": 16, "stem_stride": 1}, "classifier_stack")
    supernet = Supernet(space, 10, softmax)
    assert sum(p.numel() for p in supernet.computing()) + 2 * 48 == 1_930_618
    assert {n: tuple(p.shape) for n, p in supernet.logits.items()} == {
        "normal": (14, 8),
        "reduce": (14, 8),
    }


def test_it_is_saved_and_loaded(tmp_path: Path) -> None:
    network = build(small(3), 4).eval()
    weights.save(network, tmp_path)
    pixels = 255 * torch.rand(1, 3, 32, 32)
    assert torch.equal(weights.load(tmp_path)(pixels), network(pixels))

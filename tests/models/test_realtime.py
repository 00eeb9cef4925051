"""The family of real-time networks, its squares, and its workload."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from models.anatomy import dissect
from models.families.realtime import grain_of
from models.genotype import Edge, Genotype, Size
from models.network import PixelsToLabels, build, macs, parameters
from models.ops import make_op
from models.workload import BLOCK, MULTIPLY_ADDS, WEIGHTS, WORK, workload
from searcher.spaces.realtime import DECISIONS, Realtime, choices_of, genotype_of

SPACE = Realtime({"width": 2})
SMALL = Genotype(
    "realtime",
    {
        "stages": (Edge(16, 17, "narrow_3x3"), Edge(17, 18, "skip_connect")),
        "context": (Edge(0, 1, "image_pool"),),
        "decoder": (Edge(2, 1, "conv_3x3"),),
    },
    {"widths": (4, 6, 8), "decoder": (8, 4), "grain": 2},
)
seeds = st.integers(0, 2**32)


@settings(max_examples=25)
@given(seed=seeds, height=st.integers(33, 90), width=st.integers(33, 90))
def test_any_network_labels_any_size_and_alike_as_it_ships(
    seed: int, height: int, width: int
) -> None:
    genotype = Genotype.from_json(SPACE.sample(random.Random(seed)).to_json())
    network = build(genotype, 5).eval()
    pixels = torch.randint(0, 256, (1, height, width, 3), dtype=torch.uint8)
    with torch.no_grad():
        logits = network(pixels.permute(0, 3, 1, 2).float())
        labels = PixelsToLabels(network)(pixels)
    assert logits.shape == (1, 5, height, width)
    assert torch.equal(labels, logits.argmax(1).to(torch.uint8))


def test_a_grain_gives_squares_one_class_each() -> None:
    pixels = torch.rand(1, 3, 40, 48) * 255
    torch.manual_seed(0)
    fine = build(SMALL.resized(grain=1), 5).eval()
    coarse = build(SMALL.resized(grain=4), 5).eval()
    coarse.load_state_dict(fine.state_dict())
    with torch.no_grad():
        squares, whole = coarse(pixels), fine(pixels)
    assert torch.equal(
        squares, squares[:, :, ::4, ::4].repeat_interleave(4, 2).repeat_interleave(4, 3)
    )
    assert not torch.equal(whole, squares)
    assert (whole - squares).abs().mean() < whole.std()


def test_a_skip_is_no_layer_and_a_layer_is_added_to_what_it_reads() -> None:
    network = build(SMALL, 5).eval()
    stage = network.get_submodule("body.stages.1")
    x = torch.rand(1, 6, 8, 8)
    layer = network.get_submodule("body.stages.1.layers.1_narrow_3x3")
    assert torch.equal(stage(x), x + layer(x))
    assert [name for name, _ in stage.named_children()] == ["layers"]


@pytest.mark.parametrize(
    ("graphs", "sizes", "message"),
    [
        ({"stages": (Edge(48, 49, "conv_3x3"),)}, {}, r"graphs.stages\[0\]: there are 3 stages"),
        ({"stages": (Edge(17, 18, "conv_3x3"),)}, {}, r"graphs.stages\[0\]: a layer leads from"),
        ({"stages": (Edge(16, 17, "magic"),)}, {}, r"graphs.stages\[0\]: unknown op 'magic'"),
        ({"context": (Edge(0, 2, "conv_3x3"),)}, {}, r"graphs.context\[0\]: an op leads"),
        ({"context": (Edge(0, 1, "conv_3x3"),) * 2}, {}, r"graphs.context\[1\]: .* is there twice"),
        ({"decoder": (Edge(1, 0, "conv_3x3"),)}, {}, r"graphs.decoder\[0\]: the way up leads from"),
        ({"decoder": ()}, {}, "graphs.decoder must have 1 to 2 edges, not 0"),
        ({}, {"decoder": (8,)}, "sizes.decoder must list the channels of 2 maps"),
        ({}, {"decoder": (8, 1)}, "sizes.decoder must be from 2 to 4096"),
        ({}, {"grain": 3}, "sizes.grain must be one of 1, 2, 4, not 3"),
        ({}, {"widths": 4}, "sizes.widths must list the channels of 2 to 6 stages"),
    ],
)
def test_a_wrong_graph_or_size_is_named(
    graphs: dict[str, tuple[Edge, ...]], sizes: dict[str, Size], message: str
) -> None:
    wrong = replace(SMALL, graphs={**SMALL.graphs, **graphs}, sizes={**SMALL.sizes, **sizes})
    with pytest.raises(ValueError, match=message):
        build(wrong, 3)


@pytest.mark.parametrize("name", ["stages", "context", "decoder"])
def test_a_missing_graph_is_named(name: str) -> None:
    graphs = {n: edges for n, edges in SMALL.graphs.items() if n != name}
    with pytest.raises(ValueError, match=rf"graphs\.{name} is missing"):
        build(replace(SMALL, graphs=graphs), 3)


def test_what_a_partial_convolution_leaves_alone_is_passed_on() -> None:
    op = make_op("partial_3x3_e2", 8).eval()
    assert op.get_parameter("spatial.weight").shape == (2, 2, 3, 3)
    x = torch.rand(1, 8, 5, 5)
    moved = x.clone()
    moved[:, 4:, 2, 2] += 1
    changed = (op(x) - op(moved)).abs().sum(1)[0] > 0
    assert changed.nonzero().tolist() == [[2, 2]], "what is not convolved sees its own pixel alone"


@settings(max_examples=25)
@given(seed=seeds)
def test_a_workload_is_what_the_network_does(seed: int) -> None:
    genotype = SPACE.sample(random.Random(seed))
    network = build(genotype, 5)
    work = workload(genotype, (72, 100), 5)
    assert work[WEIGHTS] == pytest.approx(parameters(network) / 1e6)
    pools = sum(edge.op.startswith("pool_grid") for edge in genotype.graphs["context"])
    counted = macs(network, (72, 100)) / 1e6
    assert work["classified"] == 5 * 72 * 100 / 1e6 / grain_of(genotype) ** 2
    rel = 1e-6 if not pools else 1e-2
    assert work[MULTIPLY_ADDS] == pytest.approx(counted, rel=rel)
    assert dict.fromkeys(WORK, 0.0) | done(network) == pytest.approx(
        {name: work[name] for name in WORK} | {"classified": 0.0}, rel=rel
    )


def done(network: nn.Module) -> Counter[str]:
    """What the convolutions of a network do with an image of 72x100, from what they are given."""
    found: Counter[str] = Counter()

    def noted(layer: nn.Conv2d, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        taps, wide = layer.weight[0].numel(), layer.kernel_size[0] > 1
        places = output[0, 0].numel() / 1e6
        found.update({"layers": 1, "written": output.numel() / 1e6})
        if layer.groups > 1:
            found.update({"depthwise": taps * layer.out_channels * places})
            return
        blocks = -(-layer.out_channels // BLOCK) * BLOCK
        found.update({"dense" if wide else "pointwise": taps * blocks * places})
        found.update({"read": inputs[0].numel() / 1e6, "gathered": taps * places * wide})

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(noted)
    network.eval()(torch.zeros(1, 3, 72, 100))
    return found


@given(seed=seeds)
def test_a_genotype_says_what_was_chosen(seed: int) -> None:
    rng = random.Random(seed)
    one, other = SPACE.sample(rng), SPACE.sample(rng)
    for genotype in (one, SPACE.mutate(one, rng), SPACE.cross(one, other, rng)):
        chosen = choices_of(genotype, 2)
        assert genotype_of(chosen, 2) == genotype
        assert all(chosen[name] in options for name, options in DECISIONS.items())
    assert SPACE.mutate(one, rng) != one


def test_the_space_counts_what_is_different(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted by hand in a space of a few decisions."""
    from searcher.spaces import realtime

    few = {name: options[:1] for name, options in DECISIONS.items()}
    few |= {name: DECISIONS[name] for name in ("stages", "finest", "width5", "refine1", "grain")}
    monkeypatch.setattr(realtime, "DECISIONS", few)
    names = list(few)
    found = set()
    rng = random.Random(0)
    for _ in range(3000):
        found.add(genotype_of({n: rng.choice(few[n]) for n in names}, 2).fingerprint)
    assert SPACE.count() == len(found)


def test_the_ends_are_the_cheapest_and_dearer_than_any_draw() -> None:
    low, high = (workload(g, (72, 100), 5)[MULTIPLY_ADDS] for g in SPACE.ends())
    rng = random.Random(0)
    drawn = [workload(SPACE.sample(rng), (72, 100), 5)[MULTIPLY_ADDS] for _ in range(200)]
    assert low <= min(drawn)
    assert max(drawn) <= high


def test_its_parts_are_counted_and_labels_are_read_at_the_finest_sum() -> None:
    found = dissect(SMALL, 5, (64, 96))
    assert found.output_stride == 4
    learned = found.parameters
    assert learned.encoder + learned.head == parameters(build(SMALL, 5))
    assert 0 < learned.head < learned.encoder

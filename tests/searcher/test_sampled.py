"""The spaces of DPC and Fast NAS as rows of decisions, and a mutation of every space."""

from __future__ import annotations

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models import published
from models.families.trellis import LEVELS, level
from models.genotype import Genotype
from models.network import build
from searcher.spaces import Sampled, SearchSpace
from searcher.spaces.auto_deeplab import AutoDeepLab, path_neighbours
from searcher.spaces.cas import Cas
from searcher.spaces.darts import Darts
from searcher.spaces.decisions import Decisions
from searcher.spaces.dpc import Dpc
from searcher.spaces.fast_nas import CELL, FUSIONS, FastNas, count_connections
from searcher.spaces.gas import Gas

SEED = st.integers(0, 2**32)
DPC = Dpc({"encoder": 5, "head": 4, "output_stride": 16, "repeats": 1})
FAST_NAS = FastNas({"encoder": 5, "head": 4, "repeats": 1, "width": 8})
SPACES: tuple[Decisions, ...] = (DPC, FAST_NAS)
CELLS: tuple[SearchSpace, ...] = (
    Darts(3, 2, {"width": 2, "head": 4}),
    Gas(3, 2, {"width": 2, "stem": 2, "head": 4}),
    Cas(3, 2, {"width": 2, "head": 4}),
    AutoDeepLab(4, 2, {"width": 2, "stem": 4, "head": 4}),
)


def named(space: object) -> str:
    return type(space).__name__


def test_dpc_has_the_size_that_the_paper_says() -> None:
    assert DPC.count() == 418_414_128_120
    assert [choice.options for choice in DPC.choices] == [1, 81, 2, 81, 3, 81, 4, 81, 5, 81]


def test_fast_nas_has_14_400_connections_and_20_actions() -> None:
    assert count_connections() == 14_400
    assert len(FAST_NAS.choices) == 20
    assert FAST_NAS.count() == 14_400 * 11**7 * 4 * 25 * 64
    assert [choice.options for choice in FUSIONS] == [4, 4, 5, 5, 6, 6]
    assert [c.options for c in CELL if c.head != "op"] == [2, 2, 5, 5, 8, 8]


def test_decisions_have_heads_of_their_own_but_for_the_ops() -> None:
    for space in SPACES:
        heads = [choice.head for choice in space.choices if choice.head != "op"]
        assert len(set(heads)) == len(heads)
        assert len({c.options for c in space.choices if c.head == "op"}) == 1


@pytest.mark.parametrize("name", ["fast_nas_arch0", "fast_nas_arch1", "fast_nas_arch2", "dpc"])
def test_the_published_ones_are_in_their_space(name: str) -> None:
    """Position 1 in the first layer of arch1's cell is no action of the released program."""
    genotype = published.load(name).genotype
    space: Decisions = (Dpc if name == "dpc" else FastNas)(genotype.sizes)
    actions = space.to_actions(genotype)
    assert space.from_actions(actions) == genotype
    if name == "fast_nas_arch1":
        assert actions[:8] == (2, 3, 3, 1, 4, 4, 0, 2)
        assert actions[8:12] == (1, 0, 3, 6)


def test_none_may_stand_in_a_cell_of_fast_nas() -> None:
    actions = [0] * 6 + [0, 10] + [0, 0, 10, 10] * 3
    network = build(FAST_NAS.from_actions(actions), 2).eval()
    assert network(torch.zeros(1, 3, 33, 40)).shape == (1, 2, 33, 40)


@settings(max_examples=15, deadline=None)
@given(SEED, st.sampled_from(SPACES), st.sampled_from([(1, 33, 40), (2, 64, 48)]))
def test_what_is_drawn_or_changed_builds_and_comes_back(
    seed: int, space: Decisions, shape: tuple[int, int, int]
) -> None:
    rng = random.Random(seed)
    drawn = space.sample(rng)
    batch, height, width = shape
    for genotype in (drawn, space.mutate(drawn, rng)):
        assert Genotype.from_json(genotype.to_json()) == genotype
        assert space.from_actions(space.to_actions(genotype)) == genotype
        with torch.no_grad():
            logits = build(genotype, 3).eval()(torch.zeros(batch, 3, height, width))
        assert logits.shape == (batch, 3, height, width)
        assert logits.isfinite().all()


@given(SEED, st.sampled_from(SPACES))
def test_a_mutation_changes_one_action(seed: int, space: Decisions) -> None:
    rng = random.Random(seed)
    before = space.sample(rng)
    pairs = zip(space.to_actions(before), space.to_actions(space.mutate(before, rng)), strict=True)
    assert sum(a != b for a, b in pairs) == 1


@pytest.mark.parametrize("space", SPACES, ids=named)
def test_every_option_is_drawn_and_is_a_mutation_of_some(space: Decisions) -> None:
    rng = random.Random(0)
    drawn = [space.to_actions(space.sample(rng)) for _ in range(1500)]
    for i, choice in enumerate(space.choices):
        assert {actions[i] for actions in drawn} == set(range(choice.options))
    start = space.sample(rng)
    found = {space.mutate(start, rng).fingerprint for _ in range(12000)}
    assert len(found) == sum(choice.options - 1 for choice in space.choices)


@pytest.mark.parametrize("space", SPACES, ids=named)
def test_a_wrong_row_of_actions_is_refused(space: Decisions) -> None:
    right = [0] * len(space.choices)
    space.from_actions(right)
    with pytest.raises(ValueError, match=rf"{len(right)} actions are needed, and 1 are there"):
        space.from_actions([0])
    with pytest.raises(ValueError, match="action 1 is 81: it must be below"):
        space.from_actions([0, 81, *right[2:]])


def test_what_is_not_asked_for_has_the_size_of_the_paper_s_search() -> None:
    rng = random.Random(0)
    assert Dpc({"width": 4}).sample(rng).sizes == {"encoder": 100, "head": 256, "output_stride": 16}
    assert FastNas({"head": 64}).sample(rng).sizes == {"encoder": 100, "head": 64, "repeats": 1}


@pytest.mark.parametrize("space", [*CELLS, *SPACES], ids=named)
def test_the_same_seed_draws_and_changes_the_same(space: Sampled) -> None:
    def walk(seed: int) -> list[Genotype]:
        rng = random.Random(seed)
        steps = [space.sample(rng)]
        for _ in range(5):
            steps.append(space.mutate(steps[-1], rng))
        return steps

    assert walk(3) == walk(3) != walk(4)


@settings(max_examples=40, deadline=None)
@given(SEED, st.sampled_from(CELLS))
def test_a_mutated_cell_is_one_that_a_search_could_find(seed: int, space: SearchSpace) -> None:
    """One edge of one graph, or one layer of the path, differs; the rule of the space holds."""
    rng = random.Random(seed)
    before = space.sample(rng)
    after = space.mutate(before, rng)
    (name,) = [n for n in before.graphs if before.graphs[n] != after.graphs[n]]
    old, new = before.graphs[name], after.graphs[name]
    assert len(new) == len(old)
    if name == "path":
        assert new in path_neighbours(old)
    else:
        assert len(set(old) - set(new)) == len(set(new) - set(old)) == 1
        assert len({(edge.src, edge.dst) for edge in new}) == len(new)
        assert [edge.dst for edge in new] == [edge.dst for edge in old]
        assert all(edge.op in space.ops[name] and edge.op != "none" for edge in new)
        skeleton = {(edge.src, edge.dst) for edge in space.complete().graphs[name]}
        assert {(edge.src, edge.dst) for edge in new} <= skeleton


@pytest.mark.parametrize("space", CELLS, ids=named)
def test_a_mutated_network_runs(space: SearchSpace) -> None:
    rng = random.Random(1)
    genotype = space.sample(rng)
    for _ in range(4):
        genotype = space.mutate(genotype, rng)
        with torch.no_grad():
            assert build(genotype, 2).eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 2, 64, 64)


@given(SEED)
def test_neighbours_of_a_path_move_one_layer_by_legal_steps(seed: int) -> None:
    space = AutoDeepLab(6, 2, {"width": 2})
    path = space.sample(random.Random(seed)).graphs["path"]
    before = [level(edge.dst) for edge in path]
    found = path_neighbours(path)
    assert found
    assert len(set(found)) == len(found)
    for other in found:
        after = [level(edge.dst) for edge in other]
        assert sum(a != b for a, b in zip(before, after, strict=True)) == 1
        steps = zip([0, *after], after, strict=False)
        assert all(abs(a - b) <= 1 and 0 <= b < LEVELS for a, b in steps)
        assert [edge.dst for edge in other[:-1]] == [edge.src for edge in other[1:]]

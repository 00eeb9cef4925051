"""From a measured table to a search that pays for latency; a table that does not fit is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import images
from export.machine import cpu_model
from latencies import Check, conditions, of_one_op, shipped_space, target_of
from models.genotype import Genotype
from models.latency import LatencyTable, keys_of
from recipe import Recipe
from searcher import checkpoint

Run = Callable[..., tuple[int, str, str]]
RECIPE = """
system: {system}
out: {out}
data: {{name: streets, size: [64, 96], train: 8, val: 2}}
search: {{epochs: 2, warmup: 1, batch: 4, size: [32, 48], layers: 2, nodes: 1,
  sizes: {{width: 2, stem: 4, head: 4}}{cost}}}
train: {{epochs: 1, batch: 4, sizes: {{width: 4, stem: 4}}}}
compute: {{precision: fp32, device: cpu, threads: 1}}
track: {{tensorboard: false}}
"""
SIZE = (64, 96)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    cost = ", cost: {metric: latency, weight: 0.1}"
    path.write_text(RECIPE.format(system="gas", out=tmp_path / "run", cost=cost))
    return path


def table_for(recipe: Path) -> LatencyTable:
    """A table of the recipe's space whose prices are made up."""
    space, complete = shipped_space(Recipe.load(recipe))
    keys = keys_of(complete, space.ops, SIZE)
    ms = {key: 0.1 * (1 + i) for i, key in enumerate(keys)}
    return LatencyTable(cpu_model(), "onnxruntime", "1", "fp32", 1, SIZE, ms, 2.0)


def test_the_command_measures_every_op_at_the_size_that_ships(
    recipe: Path, segnas_once: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("latencies.NETWORKS", 3)
    monkeypatch.setattr("latencies.CORRECTING", 2)
    code, out, err = segnas_once("latency", recipe, "--check", "--runtime", "torch")
    assert code == 0, err
    run = recipe.parent / "run"
    table = LatencyTable.load(run / "latency.json")
    space, complete = shipped_space(Recipe.load(recipe))
    assert list(table.ms) == keys_of(complete, space.ops, SIZE)
    assert {key.channels for key in table.ms} == {8, 16}, "of width 4, reduced at once"
    assert (table.device, table.size) == (cpu_model(), SIZE)
    assert f"{len(table.ms)} ops on {table.device}" in out
    assert out.rstrip().endswith(f"build {recipe}")
    assert "3 random networks" in out
    found = json.loads((run / "latency.check.json").read_text())
    assert len(found["predicted_ms"]) == len(found["measured_ms"]) == 3
    assert images.read(run / "latency.check.png").shape[1] > 300


@pytest.mark.parametrize("system", ["darts", "cas", "auto_deeplab"])
def test_what_other_supernets_lead_to_is_measured_too(
    system: str, tmp_path: Path, segnas_once: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("latencies.NETWORKS", 3)
    monkeypatch.setattr("latencies.CORRECTING", 2)
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.format(system=system, out=tmp_path / "run", cost=""))
    code, out, err = segnas_once("latency", path, "--check", "--runtime", "torch")
    assert code == 0, err
    found = json.loads((tmp_path / "run/latency.check.json").read_text())
    assert min(found["predicted_ms"]) > 0
    follower = "search" if system == "cas" else "build"
    assert f" {follower} {path}" in out.splitlines()[-1]


def test_a_search_without_its_table_names_the_command(recipe: Path, segnas_once: Run) -> None:
    code, _, err = segnas_once("search", recipe)
    assert code == 2
    assert "'segnas latency RECIPE'" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("device", "Another CPU"),
        ("runtime", "torch"),
        ("precision", "fp16"),
        ("threads", 3),
        ("size", (32, 32)),
    ],
)
def test_a_table_of_something_else_is_refused_with_both(
    key: str, value: object, recipe: Path, segnas_once: Run
) -> None:
    fits = table_for(recipe)
    changes: dict[str, Any] = {key: value}
    replace(fits, **changes).save(recipe.parent / "run" / "latency.json")
    code, _, err = segnas_once("search", recipe)
    assert code == 2
    for shown in (value, getattr(fits, key)):
        assert str(list(shown) if isinstance(shown, tuple) else shown) in err
    assert err.count("\n") == 1
    assert not (recipe.parent / "run/search/genotype.json").exists()


def test_a_table_of_another_device_is_taken_where_the_recipe_names_it(recipe: Path) -> None:
    path = recipe.parent / "phone.json"
    replace(table_for(recipe), device="A phone").save(path)
    cost = ["search.cost.device=A phone", f"search.cost.table={path}"]
    target = target_of(Recipe.load(recipe, cost))
    assert target is not None
    assert (target.metric, target.rest, target.size) == ("latency", 2.0, SIZE)


def test_a_search_logs_expected_and_decoded_latency_of_what_ships(
    recipe: Path, segnas_once: Run
) -> None:
    run = recipe.parent / "run"
    table = table_for(recipe)
    table.save(run / "latency.json")
    code, _, err = segnas_once("search", recipe)
    assert code == 0, err
    lines = checkpoint.read_log(run / "search/trials.jsonl")
    assert all(line["latency_expected"] > table.rest_ms for line in lines)
    genotype = Genotype.load(run / "search/genotype.json").resized(width=4)
    assert lines[-1]["latency_decoded"] == pytest.approx(table.predict(genotype, SIZE), rel=1e-5)
    replace(table, rest_ms=3.0).save(run / "latency.json")
    code, _, err = segnas_once("search", recipe)
    assert code == 2
    assert "search.cost.table" in err


def test_a_system_without_a_space_and_what_cannot_be_measured_are_refused(
    recipe: Path, segnas_once: Run
) -> None:
    for words, message in (
        (("--device", "cuda"), "--device cuda cannot be measured"),
        (("--precision", "int8"), "--precision int8 cannot be measured"),
        (("--runtime", "abacus"), "unknown runtime 'abacus'"),
        (("--set", "system=given", "--set", "search.genotype=x.json"), "has no supernet"),
    ):
        code, _, err = segnas_once("latency", recipe, *words)
        assert code == 2
        assert message in err
        assert err.count("\n") == 1


def test_there_is_a_network_of_every_op(recipe: Path) -> None:
    space, _ = shipped_space(Recipe.load(recipe))
    made = of_one_op(space)
    found = [{e.op for edges in g.graphs.values() for e in edges} for g in made]
    assert found == [{op} for op in space.ops["cell0"] if op != "none"]
    assert conditions(Recipe.load(recipe), "torch", "cpu", "fp32", 2).size == SIZE


def test_a_check_is_a_rank_correlation_and_a_median_error() -> None:
    perfect = Check((1.0, 2.0, 4.0), (10.0, 20.0, 30.0))
    assert perfect.rank_correlation == pytest.approx(1)
    assert Check((1.0, 2.0, 4.0), (3.0, 2.0, 1.0)).rank_correlation == pytest.approx(-1)
    assert Check((1.1, 2.0, 3.0), (1.0, 2.0, 4.0)).error == pytest.approx(0.1)

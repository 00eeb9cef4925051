"""A latency model is measured, and what may become a finalist is timed beside what it knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import budgeting
from export.machine import cpu_model
from latencies import drawn
from models.latency_model import LatencyModel
from recipe import Recipe
from reporting import against_budget
from searcher.spaces.realtime import Realtime

Run = Callable[..., tuple[int, str, str]]
RECIPE = """
system: realtime
out: {out}
data: {{name: streets, size: [48, 64], train: 4, val: 2}}
search: {{epochs: 1, warmup: 0, batch: 2, trials: 2, finalists: 1, sizes: {{width: 8}},
  cost: {{metric: latency, budget: 3, runtime: torch, measure: true}}}}
compute: {{precision: fp32, device: cpu, threads: 1}}
"""
LIGHT, HEAVY = Realtime({"width": 8}).ends()


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory, segnas_once: Run) -> Recipe:
    """A recipe whose latency model was measured, from few networks."""
    path = tmp_path_factory.mktemp("budget") / "recipe.yaml"
    path.write_text(RECIPE.format(out=path.parent / "run"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(budgeting, "LEARNED_FROM", 6)
        code, out, err = segnas_once("latency", path, "--runtime", "torch")
    assert code == 0, err
    assert f"learned from 6 networks on {cpu_model()} with torch, fp32, 1 threads" in out
    return Recipe.load(path)


def test_networks_take_what_they_take_by_the_models_clock(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(budgeting, "AGAIN", 4)
    budget = budgeting.budget_of(recipe, 4)
    assert budget is not None
    assert budget.timed is not None
    light, heavy = budget.timed([LIGHT, HEAVY])
    assert 0 < 3 * light < heavy
    assert 0.5 < heavy / budget.of(HEAVY) < 2
    told = capsys.readouterr().err.splitlines()
    assert told
    assert all(line.startswith("timing networks as they would ship ") for line in told)


def test_a_machine_that_is_slower_now_changes_no_milliseconds(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = LatencyModel.load(recipe.out / "latency.json")
    known = drawn(Realtime(recipe.search.sizes), budgeting.AGAIN, budgeting.LEARNED)
    slow = {g.fingerprint: 3 * budgeting.price(model, g, 4) for g in known}
    monkeypatch.setattr(
        budgeting, "network_ms", lambda g, how: [slow.get(x.fingerprint, 12.0) for x in g]
    )
    assert budgeting.as_shipped(recipe, model, 4, [LIGHT]) == pytest.approx([4.0])


def test_another_machines_model_is_refused(recipe: Recipe) -> None:
    model = replace(LatencyModel.load(recipe.out / "latency.json"), device="Another CPU")
    with pytest.raises(ValueError, match=r"search\.cost\.measure times networks here"):
        budgeting.as_shipped(recipe, model, 4, [LIGHT])


def test_only_a_search_that_measures_does(recipe: Recipe, tmp_path: Path) -> None:
    document = recipe.document()
    document["search"]["cost"]["measure"] = False
    document["search"]["cost"]["table"] = str(recipe.out / "latency.json")
    budget = budgeting.budget_of(Recipe.model_validate({**document, "out": tmp_path}), 4)
    assert budget is not None
    assert budget.timed is None


def test_a_build_says_what_of_its_budget_it_takes(recipe: Recipe) -> None:
    cost = recipe.search.cost
    assert cost is not None
    row = {"runtime": "torch", "stored": "fp32", "threads": 1, "batch": 1, "cpu_ms": {"p50": 3.9}}
    others = [{**row, "threads": 2, "cpu_ms": {"p50": 9.0}}, {**row, "stored": "int8"}]
    said = "budget 3 ms of processor time (torch fp32, threads: 1);"
    assert against_budget(cost, [*others, row]) == [f"{said} it takes 3.9 ms now"]
    for rows in ([*others, {**row, "cpu_ms": None}], others):
        assert against_budget(cost, rows)[0].startswith(f"{said} no minute was quiet")
    for other in (None, cost.model_copy(update={"budget": None})):
        assert against_budget(other, [row]) == []

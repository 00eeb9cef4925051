"""Searches by trying, side by side, and what their best candidates take."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import images
from models.genotype import Genotype
from searcher.checkpoint import read_log
from searcher.fronts import draw_fronts

Run = Callable[..., tuple[int, str, str]]

RECIPE = """
system: fast_nas
out: {out}
data: {{name: streets, size: [32, 48], train: 12, val: 2}}
search: {{batch: 2, trials: 4, strategy: {strategy}, proxy: {{epochs: 1}},
  sizes: {{encoder: 10, head: 8}}}}
train: {{sizes: {{head: 12}}}}
compute: {{precision: fp32, device: cpu, threads: 1}}
"""
STRATEGIES = ("random", "evolution")
USUAL = "ppo"
"""What Fast NAS does where a recipe does not say."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, segnas_once: Run) -> list[Path]:
    """Four candidates by each strategy."""
    folder = tmp_path_factory.mktemp("tried")
    for strategy in STRATEGIES:
        recipe = folder / f"{strategy}.yaml"
        recipe.write_text(RECIPE.format(out=folder / strategy, strategy=strategy))
        code, _, err = segnas_once("search", recipe)
        assert code == 0, err
    return [folder / strategy for strategy in STRATEGIES]


def test_what_was_tried_can_be_built_again(runs: list[Path]) -> None:
    tried = read_log(runs[0] / "search/candidates.jsonl")
    genotypes = [Genotype.from_json(json.dumps(line["genotype"])) for line in tried]
    trials = read_log(runs[0] / "search/trials.jsonl")
    assert [g.fingerprint for g in genotypes] == [line["genotype"] for line in trials]


def test_a_row_and_a_line_for_each_search(
    runs: list[Path], tmp_path: Path, segnas_once: Run
) -> None:
    code, out, err = segnas_once("trials", *runs, "--to", tmp_path / "rivals.png")
    assert code == 0, err
    rows = [line for line in out.splitlines() if "fast_nas" in line]
    assert [row.split()[0] for row in rows] == list(STRATEGIES)
    best = max(line["reward"] for line in read_log(runs[1] / "search/trials.jsonl"))
    assert rows[1].split()[-2] == f"{best:.3f}"
    assert "evolution: searched in" in out
    assert images.read(tmp_path / "rivals.png").shape[1] > 300


def test_finals_choose_by_the_mean_and_are_no_candidates(
    runs: list[Path], tmp_path: Path, segnas_once: Run
) -> None:
    words = ("--set", "search.finalists=2", "--set", "search.repeats=1")
    code, _, err = segnas_once(
        "search", runs[0].with_suffix(".yaml"), *words, "--set", f"out={tmp_path}"
    )
    assert code == 0, err
    trials = read_log(tmp_path / "search/trials.jsonl")
    assert [line.get("again") for line in trials] == [None] * 4 + [1, 1]
    rewards: dict[str, list[float]] = {line["genotype"]: [] for line in trials[4:]}
    for line in trials:
        rewards.get(line["genotype"], []).append(line["reward"])
    found = Genotype.load(tmp_path / "search/genotype.json").fingerprint
    assert sum(rewards[found]) == max(map(sum, rewards.values()))
    row = next(
        line for line in segnas_once("trials", tmp_path)[1].splitlines() if "fast_nas" in line
    )
    assert row.split()[3] == "4"


def test_a_strategy_that_no_recipe_names_is_said(
    runs: list[Path], tmp_path: Path, segnas_once: Run
) -> None:
    run = shutil.copytree(runs[0], tmp_path / "unnamed")
    recipe = run / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("strategy: random", "strategy: null"))
    assert f" {USUAL} " in segnas_once("trials", run)[1]


def test_the_best_are_measured_as_they_would_ship(runs: list[Path], segnas_once: Run) -> None:
    code, _, err = segnas_once("trials", runs[0], "--latency")
    assert code == 0, err
    found = json.loads((runs[0] / "front.json").read_text())
    lines = read_log(runs[0] / "search/trials.jsonl")
    best = max(line["reward"] for line in lines)
    smallest = min(line["mparams"] for line in lines)
    measured = found["candidates"]
    assert best in {line["reward"] for line in measured}
    assert smallest in {line["mparams"] for line in measured}
    assert all(line["ms"] > 0 for line in measured)
    assert (found["runtime"], found["threads"], found["size"]) == ("onnxruntime", 1, [32, 48])
    assert images.read(runs[0] / "fronts.png").shape[1] > 300
    assert segnas_once("train", runs[0], "--set", "train.epochs=1")[0] == 0, "the search is whole"


def test_a_search_of_gradients_is_refused(tmp_path: Path, segnas_once: Run) -> None:
    code, _, err = segnas_once("trials", tmp_path)
    assert code == 2
    assert "holds no candidates that were tried" in err


def test_a_measured_front_has_a_panel_of_its_own(tmp_path: Path) -> None:
    lines = [{"step": i, "miou": i / 3, "gmacs": 1.0 + i, "mparams": 2.0 + i} for i in range(3)]
    widths = []
    for name in ("without", "with"):
        draw_fronts(lines, tmp_path / f"{name}.png")
        widths.append(images.read(tmp_path / f"{name}.png").shape[1])
        lines[1]["ms"] = 3.0
    assert widths[1] > widths[0]

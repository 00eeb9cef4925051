"""Workers: 'segnas search RECIPE --worker', as it is typed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from runs import STAGE, owned
from searcher.checkpoint import STATE
from sharing import JOURNAL

ROOT = Path(__file__).parent.parent
RECIPE = """
system: fast_nas
out: {out}
data: {{name: streets, size: [32, 48], train: 12, val: 2}}
search: {{trials: 2, batch: 2, size: [32, 48], sizes: {{encoder: 4, head: 4}},
  proxy: {{epochs: 1}}}}
compute: {{precision: fp32, device: cpu, threads: 1}}
"""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.format(out=tmp_path / "run"))
    return path


def refused(outcome: tuple[int, str, str], *words: str) -> None:
    code, _, err = outcome
    assert code == 2, err
    sentence = err.splitlines()[-1]
    assert sentence.startswith("segnas: ")
    for word in words:
        assert word in sentence


def test_what_a_worker_tried_is_not_tried_again_and_nothing_differs(
    recipe: Path, tmp_path: Path, segnas_once: Run
) -> None:
    """The record of the stage holds the hash of every result."""
    run, alone = tmp_path / "run/search", tmp_path / "alone"
    code, out, err = segnas_once("search", recipe, "--worker")
    assert (code, out.splitlines()[0]) == (0, "trials run here: 2; none is left to begin"), err
    assert {path.name for path in run.iterdir()} == {JOURNAL, f"{JOURNAL}.locks"}
    before = (run / JOURNAL).read_bytes()
    assert segnas_once("search", recipe)[0] == 0
    assert (run / JOURNAL).read_bytes() == before
    assert segnas_once("search", recipe, "--set", f"out={alone}")[0] == 0
    assert (run / STAGE).read_bytes() == (alone / "search" / STAGE).read_bytes()
    assert not (run / STATE).exists()
    _, out, _ = segnas_once("search", recipe, "--worker")
    assert out.startswith("trials run here: 0")


def test_a_storage_that_a_recipe_names_is_shared(
    recipe: Path, tmp_path: Path, segnas_once: Run
) -> None:
    words = ["--set", f"search.storage=sqlite:///{tmp_path}/trials.db"]
    _, out, err = segnas_once("search", recipe, "--worker", *words)
    assert out.startswith("trials run here: 2"), err
    assert f"search {recipe} --set=search.storage=sqlite:///" in out
    assert not (tmp_path / "run").exists()
    assert segnas_once("search", recipe, *words)[0] == 0
    refused(
        segnas_once("search", recipe, *words, "--set", "seed=1", "--set", f"out={tmp_path}/b"),
        "trials.db",
        "seed: 0 -> 1",
        "another storage",
    )


def test_sigterm_gives_the_running_trial_back(recipe: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "segnas", "search", str(recipe), "--worker"]
    words += ["--set", "search.proxy.epochs=100000"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    worker = subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 120
    journal = tmp_path / "run/search" / JOURNAL
    while not (journal.exists() and '"turn":0' in journal.read_text()):
        assert time.monotonic() < until
        time.sleep(0.01)
    worker.send_signal(signal.SIGTERM)
    _, said = worker.communicate(timeout=120)
    assert worker.returncode == 143
    assert said.splitlines()[-1].startswith("segnas: stopped, what was saved before is kept")
    last = json.loads(journal.read_text().splitlines()[-1])
    assert (last["trial_id"], last["state"]) == (0, 3)


@pytest.mark.parametrize(
    ("storage", "words"),
    [
        ("nowhere/trials.journal", ["there is no folder nowhere", "make it"]),
        ("recipe.yaml", ["recipe.yaml is no journal", "another file"]),
        ("folder", ["folder", "another file"]),
        ("sqlite:///nowhere/trials.db", ["nowhere/trials.db", "cannot be used"]),
        ("sqlite://", ["sqlite:///trials.db"]),
        ("sqlite:///recipe.yaml", ["recipe.yaml", "not a database"]),
        ("oracel://me:secret@host/x", ["oracel://me:***@host/x", "oracel", "cannot be used"]),
        ("''", ["search.storage"]),
    ],
)
def test_a_storage_that_is_none(
    recipe: Path, segnas_once: Run, monkeypatch: pytest.MonkeyPatch, storage: str, words: list[str]
) -> None:
    monkeypatch.chdir(recipe.parent)
    (recipe.parent / "folder").mkdir()
    before = recipe.read_bytes()
    refused(segnas_once("search", recipe, "--worker", "--set", f"search.storage={storage}"), *words)
    assert recipe.read_bytes() == before


def test_a_journal_that_is_damaged(recipe: Path, tmp_path: Path, segnas_once: Run) -> None:
    assert segnas_once("search", recipe, "--worker")[0] == 0
    journal = tmp_path / "run/search" / JOURNAL
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:3], lines[3][:-9] + b"\n", *lines[4:]]))
    refused(segnas_once("search", recipe, "--worker"), str(journal), "is damaged", "delete it")


def test_gradients_have_no_trials_to_share(recipe: Path, segnas_once: Run) -> None:
    words = ["search", recipe, "--set", "system=darts"]
    refused(segnas_once(*words, "--worker"), "--worker", "'darts'", "search.strategy=random")
    refused(segnas_once(*words, "--set", "search.storage=x"), "search.storage", "'darts'")


def test_halving_keeps_its_trials_in_order(recipe: Path, segnas_once: Run) -> None:
    more = ("search.strategy=halving", "search.proxy.epochs=3", "search.trials=4")
    words = ["search", recipe, *(word for one in more for word in ("--set", one))]
    refused(segnas_once(*words, "--worker"), "search.strategy halving", "alone")
    refused(segnas_once(*words, "--set", "search.storage=x"), "search.storage", "halving")


def test_a_search_that_was_begun_alone_is_not_shared(
    recipe: Path, tmp_path: Path, segnas_once: Run
) -> None:
    with owned(tmp_path / "run"):
        refused(segnas_once("search", recipe, "--worker"), "in use by process")
    state = tmp_path / "run/search" / STATE
    state.parent.mkdir(parents=True)
    state.touch()
    refused(segnas_once("search", recipe, "--worker"), "begun by one process alone", "--worker")
    storage = ["--set", f"search.storage={tmp_path / 'trials.journal'}"]
    refused(segnas_once("search", recipe, *storage), "begun by one process alone", "out=DIR")

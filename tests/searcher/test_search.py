"""What a search records of its mixtures, and what it says when a cell collapses."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from models.genotype import Edge, Genotype
from pace import Pace, never
from searcher.checkpoint import read_log
from searcher.search import TRIALS, WEIGHTS, search
from searcher.settling import Mixtures
from searcher.strategies import Trial
from searcher.strategies.bilevel import Bilevel
from searcher.systems import SYSTEMS
from searcher.task import Task
from sections import Search

SETTINGS = Search(
    epochs=3, warmup=1, batch=2, layers=3, nodes=2, sizes={"width": 2, "stem": 4, "head": 4}
)


class Killed(Exception):
    """The process ends here."""


def quiet(step: int, scores: Mapping[str, float]) -> None:
    """Report to nobody."""


def run(task: Task, folder: Path, system: str, kill: int = 0) -> Bilevel:
    """A search; the process dies after epoch ``kill``, before its state is saved."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    strategy = SYSTEMS[system](task, SETTINGS)
    assert isinstance(strategy, Bilevel)

    def report(step: int, scores: Mapping[str, float]) -> None:
        if step == kill:
            raise Killed

    search(strategy, SETTINGS.epochs, folder, report, key={})
    return strategy


@pytest.mark.parametrize("system", ["darts", "auto_deeplab"])
def test_the_weights_of_every_epoch_are_recorded(
    tiny_task: Callable[[], Task], tmp_path: Path, system: str
) -> None:
    supernet = run(tiny_task(), tmp_path, system).supernet
    lines, trials = read_log(tmp_path / WEIGHTS), read_log(tmp_path / TRIALS)
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert lines[-1]["weights"] == supernet.named(supernet.weights())
    assert lines[0]["weights"] != lines[1]["weights"] != lines[2]["weights"]
    for line, trial in zip(lines, trials, strict=True):
        genotype = Genotype.from_document(line["genotype"])
        assert genotype.fingerprint == trial["genotype"]
        assert set(trial["entropy"]) == set(genotype.graphs)
        assert all(0.9 < value <= 1 for value in trial["entropy"].values())
        assert set(trial["skips"]) == set(genotype.graphs) - {"path"}


def test_a_kill_changes_no_byte_of_the_record(
    tiny_task: Callable[[], Task], tmp_path: Path
) -> None:
    run(tiny_task(), tmp_path / "whole", "darts")
    with pytest.raises(Killed):
        run(tiny_task(), tmp_path / "killed", "darts", kill=2)
    assert len(read_log(tmp_path / "killed" / WEIGHTS)) == 1
    run(tiny_task(), tmp_path / "killed", "darts")
    for name in (WEIGHTS, TRIALS):
        whole, killed = ((tmp_path / x / name).read_bytes() for x in ("whole", "killed"))
        assert whole == killed


SKIPS = ((0, 2, "skip_connect"), (1, 2, "skip_connect"))
CONVS = ((0, 2, "sep_conv_3x3"), (1, 2, "skip_connect"))


class Scripted:
    """A strategy that finds what it is told to, one genotype a step."""

    def __init__(self, cells: Sequence[Sequence[tuple[int, int, str]]], weight: float) -> None:
        self.cells, self.weight, self.done = cells, weight, 0

    def step(self, between: Callable[[], None] = never) -> Trial:
        edges = tuple(Edge(*edge) for edge in self.cells[self.done])
        self.done += 1
        shares = {f"{e.src}-{e.dst}": {e.op: self.weight, "none": 1 - self.weight} for e in edges}
        weights: Mixtures = {"normal": shares} if self.weight else {}
        return Trial(Genotype("cell_stack", {"normal": edges}), 0.5, weights=weights)

    def choose(self, trials: Sequence[Trial]) -> Trial:
        return trials[-1]

    def state_dict(self) -> dict[str, Any]:
        return {"done": self.done}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.done = state["done"]


def told(folder: Path, cells: Sequence[Sequence[tuple[int, int, str]]], weight: float) -> list[str]:
    """What such a search says."""
    said: list[str] = []
    search(Scripted(cells, weight), len(cells), folder, quiet, key={}, pace=Pace(note=said.append))
    return said


def test_a_collapse_is_said_once_and_logged_each_time(tmp_path: Path) -> None:
    said = told(tmp_path, [CONVS, SKIPS, SKIPS, CONVS, SKIPS], 0.9)
    assert [sentence.partition(":")[0] for sentence in said] == ["step 2", "step 5"]
    found = [line.get("collapsed") for line in read_log(tmp_path / TRIALS)]
    assert found == [None, ["normal"], ["normal"], None, ["normal"]]
    assert [line["skips"]["normal"] for line in read_log(tmp_path / TRIALS)] == [0.5, 1, 1, 0.5, 1]


def test_a_strategy_without_a_supernet_leaves_no_weights(tmp_path: Path) -> None:
    assert told(tmp_path, [SKIPS], 0) == []
    assert not (tmp_path / WEIGHTS).exists()
    (line,) = (json.loads(text) for text in (tmp_path / TRIALS).read_text().splitlines())
    assert set(line) == {"step", "miou", "genotype"}

"""A shared search: any processes, killed anywhere, and every turn counts once."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.storages import InMemoryStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from models.genotype import Genotype
from pace import Pace, StoppedError, never
from searcher import search as alone
from searcher import workers
from searcher.cost import read_cost
from searcher.liveness import BEAT, Beats
from searcher.search import CANDIDATES, GENOTYPE, TRIALS
from searcher.spaces.fast_nas import FastNas
from searcher.strategies import Trial
from searcher.strategies.evolution import aging
from searcher.strategies.finals import Finals
from searcher.strategies.reinforce import Policy
from searcher.strategies.sampling import Proposal, Sampling, near_best, uniform
from searcher.studies import TURN, Claim, Study, begun, study

SPACE = FastNas({})
KEY = {"system": "fast_nas", "search": {"trials": 6}}
STEPS = 6
FORK = multiprocessing.get_context("fork")
COST = {"wall_s": 1.0, "cpu_s": 1.0, "sessions": 1, "machines": ["one"], "process": "a:1"}

Estimate = Callable[..., Trial]
PROPOSALS: Mapping[str, Callable[[], Proposal]] = {
    "random": lambda: uniform(SPACE),
    "local": lambda: near_best(SPACE),
    "evolution": lambda: aging(SPACE, 3, 2),
    "ppo": lambda: Policy(SPACE, 0),
}


def pooling(
    genotype: Genotype,
    seed: int,
    between: Callable[[], None] = never,
    before: Sequence[Trial] = (),
) -> Trial:
    """A score without a training: the share of pools."""
    between()
    ops = [edge.op for edges in genotype.graphs.values() for edge in edges]
    share = sum("pool" in op for op in ops) / len(ops)
    return Trial(genotype, share, {"mparams": 1.0, "gmacs": 1 / 3}, checks=(share / 3, share))


def sampling(estimate: Estimate = pooling, kind: str = "random", finals: int = STEPS) -> Sampling:
    return Sampling(PROPOSALS[kind](), estimate, 3, Finals(finals, 1) if finals < STEPS else None)


def silent(step: int, scores: Mapping[str, float]) -> None:
    """Nobody is told."""


def work(storage: str, estimate: Estimate = pooling, finals: int = STEPS) -> int:
    with study(storage, KEY, STEPS, finals) as shared:
        return workers.work(sampling(estimate, finals=finals), shared, silent, Pace(), "miou")


def write_down(storage: str, folder: Path, kind: str = "random", finals: int = STEPS) -> bytes:
    made, where = sampling(kind=kind, finals=finals), (STEPS, folder, silent)
    workers.search(made, *where, key=KEY, storage=storage, finals=finals)
    return results(folder)


def results(folder: Path) -> bytes:
    return b"".join((folder / name).read_bytes() for name in (TRIALS, CANDIDATES, GENOTYPE))


def expected(folder: Path, kind: str = "random", finals: int = STEPS) -> bytes:
    """What one process finds that shares nothing."""
    alone.search(sampling(kind=kind, finals=finals), STEPS, folder, silent, key=KEY)
    return results(folder)


def start(target: Callable[..., Any], *arguments: Any) -> multiprocessing.process.BaseProcess:
    process = FORK.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


def until(true: Callable[[], bool]) -> None:
    """Wait for another process, which may be slow."""
    end = time.monotonic() + 120
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


class Noted:
    """An estimate that notes every trial as a line, and waits where it is told to."""

    def __init__(self, calls: Path, wait: Callable[[list[str]], bool] = lambda lines: False):
        self.calls, self.wait = calls, wait

    def __call__(
        self,
        genotype: Genotype,
        seed: int,
        between: Callable[[], None] = never,
        before: Sequence[Trial] = (),
    ) -> Trial:
        with self.calls.open("a") as stream:
            stream.write(f"{seed} {os.getpid()}\n")
        until(lambda: not self.wait(lines(self.calls)))
        return pooling(genotype, seed, between)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


@pytest.fixture(params=["journal", "sqlite"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    names = {"journal": str(tmp_path / "trials.journal"), "sqlite": f"sqlite:///{tmp_path}/t.db"}
    return names[request.param]


@pytest.mark.parametrize("finals", [STEPS, 4])
@pytest.mark.parametrize("kind", PROPOSALS)
def test_one_process_finds_what_it_finds_alone(
    kind: str, finals: int, storage: str, tmp_path: Path
) -> None:
    found = write_down(storage, tmp_path / "shared", kind, finals)
    assert found == expected(tmp_path / "alone", kind, finals)


@pytest.mark.parametrize("finals", [STEPS, 4])
def test_two_processes_run_every_turn_once(
    finals: int, storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "WAIT", 0.01)
    calls = tmp_path / "calls"

    def lonely(found: list[str]) -> bool:
        return len({line.split()[1] for line in found}) < 2

    both = [start(work, storage, Noted(calls, lonely), finals) for _ in range(2)]
    for process in both:
        process.join(120)
        assert process.exitcode == 0
    assert len({line.split()[0] for line in lines(calls)}) == len(lines(calls)) == STEPS
    found = write_down(storage, tmp_path / "shared", finals=finals)
    assert found == expected(tmp_path / "alone", finals=finals)
    assert read_cost(tmp_path / "shared")["sessions"] == 2


def test_a_killed_process_loses_its_running_trial_alone(storage: str, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    killed = start(work, storage, Noted(calls, lambda found: len(found) == 3))
    until(lambda: len(lines(calls)) == 3)
    killed.kill()
    killed.join()
    assert write_down(storage, tmp_path / "shared") == expected(tmp_path / "alone")
    with study(storage, KEY, STEPS, STEPS) as shared:
        trials = shared.storage.get_all_trials(shared.number)
    states = [(trial.user_attrs[TURN], trial.state.name) for trial in trials]
    complete = [(turn, "COMPLETE") for turn in range(STEPS)]
    assert states == [*complete[:2], (2, "FAIL"), *complete[2:]]


def test_who_writes_it_down_waits_for_the_living_and_replaces_the_dead(
    storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "WAIT", 0.01)
    calls, folder = tmp_path / "calls", tmp_path / "shared"
    slow = start(work, storage, Noted(calls, lambda found: True))
    until(lambda: len(lines(calls)) == 1)
    writer = start(write_down, storage, folder)
    until(lambda: len(lines(folder / TRIALS)) == STEPS - 1)
    assert writer.is_alive()
    assert not (folder / GENOTYPE).exists()
    slow.kill()
    writer.join(120)
    assert writer.exitcode == 0
    assert results(folder) == expected(tmp_path / "alone")


def test_who_is_stopped_gives_its_turn_back(storage: str, tmp_path: Path) -> None:
    pace = Pace()

    def asked(
        genotype: Genotype,
        seed: int,
        between: Callable[[], None] = never,
        before: Sequence[Trial] = (),
    ) -> Any:
        pace.stop.ask(signal.SIGTERM)
        return pooling(genotype, seed, between)

    with study(storage, KEY, STEPS, STEPS) as shared:
        with pytest.raises(StoppedError, match="what was saved before is kept"):
            workers.work(sampling(asked), shared, silent, pace, "miou")
        assert not shared.counting()
        claim = shared.take()
        assert claim is not None
        assert claim.turn == 0


def test_a_trial_that_cannot_be_run_is_nobodys(storage: str) -> None:
    def broken(*words: object) -> Any:
        raise ValueError("the images are gone")

    with pytest.raises(ValueError, match="the images are gone"):
        work(storage, broken)
    assert work(storage) == STEPS


@pytest.mark.parametrize("cut", [1, 20, 90])
def test_a_line_that_was_half_written_is_cut_off(cut: int, tmp_path: Path) -> None:
    """Of the last trial it leaves a part of what was found, or a trial without an end."""
    journal = tmp_path / "trials.journal"
    work(str(journal))
    journal.write_bytes(journal.read_bytes()[:-cut])
    assert write_down(str(journal), tmp_path / "shared") == expected(tmp_path / "alone")
    with study(str(journal), KEY, STEPS, STEPS) as shared:
        assert len(shared.storage.get_all_trials(shared.number)) == STEPS + 1


def test_another_search_is_refused_and_leaves_nothing(storage: str, tmp_path: Path) -> None:
    work(storage)
    other = {**KEY, "search": {"trials": 9}}
    with (
        pytest.raises(ValueError, match=r"other settings \(search\.trials: 6 -> 9\)"),
        study(storage, other, 9, 9),
    ):
        pass
    assert write_down(storage, tmp_path / "shared") == expected(tmp_path / "alone")


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def database(tmp_path: Path) -> Iterator[RDBStorage]:
    """As a server's: nobody can see who lives."""
    storage = RDBStorage(f"sqlite:///{tmp_path}/t.db")
    yield storage
    storage.engine.dispose()


def test_who_is_silent_is_replaced_and_can_no_longer_finish(database: RDBStorage) -> None:
    clock, number = Clock(), begun(database, KEY, "it")
    asleep, other = (
        Study(database, Beats(database, 1e6, 60, clock), number, 1, 1) for _ in range(2)
    )
    mine = asleep.take()
    assert mine is not None
    assert other.take() is None
    clock.now += 59
    database.set_trial_user_attr(mine.trial_id, BEAT, 1)
    assert other.take() is None
    clock.now += 60
    assert other.take() is None
    clock.now += 1
    theirs = other.take()
    assert theirs is not None
    asleep.finish(mine, Trial(SPACE.sample(random.Random(0)), 0.9), COST)
    assert not asleep.finished()
    other.finish(theirs, Trial(SPACE.sample(random.Random(1)), 0.2), COST)
    assert asleep.finished()[0].score == 0.2
    for one, claim in ((asleep, mine), (other, theirs)):
        one.liveness.end(claim.turn)


def test_a_process_that_lives_is_heard(database: RDBStorage) -> None:
    beats = Beats(database, every=0.01)
    shared = Study(database, beats, begun(database, KEY, "it"), 1, 1)
    claim = shared.take()
    assert claim is not None
    with shared.running(claim):
        until(lambda: shared.counting()[0].user_attrs.get(BEAT, 0) > 1)
    assert beats.thread is None


class Raced(InMemoryStorage):
    """Another process always begins just before."""

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        super().create_new_trial(study_id, template_trial)
        return super().create_new_trial(study_id, template_trial)


def test_of_two_that_begin_at_once_the_first_has_the_turn() -> None:
    storage = Raced()
    number = begun(storage, KEY, "it")
    shared = Study(storage, Marked(set()), number, 2, 2)
    assert shared.take() is None
    assert [trial.number for trial in shared.counting().values()] == [0, 2]


class Marked:
    """Liveness of who is not marked as dead."""

    def __init__(self, dead: set[int]) -> None:
        self.dead = dead

    def free(self, turn: int, trial: FrozenTrial | None) -> bool:
        return trial is None or trial.number in self.dead

    def begin(self, trial_id: int) -> None: ...

    def end(self, turn: int) -> None: ...


@given(
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["step", "die", "wake"])), max_size=60),
    st.integers(0, 4),
)
def test_whatever_dies_and_wakes_a_turn_that_counts_stays_and_finals_wait(
    story: list[tuple[int, str]], finals: int
) -> None:
    storage, dead = InMemoryStorage(), set[int]()
    number = begun(storage, KEY, "it")
    processes = [Study(storage, Marked(dead), number, 4, finals) for _ in range(3)]
    running: dict[int, Claim] = {}
    asleep: list[tuple[Study, Claim]] = []
    counted: dict[int, float] = {}
    genotype = SPACE.sample(random.Random(0))
    for moment, (who, what) in enumerate([*story, *((who, "step") for who in (0, 1, 2) * 12)]):
        shared = processes[who]
        if what == "die" and who in running:
            dead.add(storage.get_trial(running[who].trial_id).number)
            asleep.append((shared, running.pop(who)))
        elif what == "wake" and asleep:
            late, claim = asleep.pop()
            late.finish(claim, Trial(genotype, moment / 1000), COST)
        elif what == "step" and who in running:
            shared.finish(running.pop(who), Trial(genotype, moment / 1000), COST)
        elif what == "step" and (taken := shared.take()):
            running[who] = taken
            assert taken.turn < finals or shared.finished().keys() >= set(range(finals))
        now = {turn: trial.score for turn, trial in shared.finished().items()}
        assert now.items() >= counted.items()
        counted = now
    assert list(counted) == [0, 1, 2, 3]
    assert len(shared.costs()) == 4


def test_what_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    storage = InMemoryStorage()
    number = begun(storage, KEY, "it")
    storage.create_new_trial(number, create_trial(state=TrialState.WAITING))
    shared = Study(storage, Marked(set()), number, 1, 1)
    claim = shared.take()
    assert claim is not None
    assert storage.get_all_trials(number)[0].state == TrialState.WAITING

"""Do workers share a search, and does a kill cost only its trial?  One JSON line.

python benchmarks/workers.py [--trials 8] [--kills 0] [--root CAMVID] [--seed 1]

The same trials (random search of Fast NAS's decoders; streets, or CamVid at ``--root``) are run by
one worker and by two, each on one thread, in turn, twice; the time goes from the start of the
processes, which read their images first, to the end of the last one.  With ``--kills`` a worker,
then two, are killed with -9 at random moments and started again until that many have hit, in as
many searches as that takes.  No trial that was finished may be lost or change, none may count
twice, and the result must be that of the search that nobody killed: exit code 1 otherwise.

A worker is a fork of one process that has imported everything, and runs the command as typed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from shutil import rmtree
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ["OMP_NUM_THREADS"] = "1"

import stages  # noqa: F401  (imported here so that no child has to)
from benchmarks.forked import fork
from export.machine import cpu_model
from files import sha256
from searcher import workers  # noqa: F401
from searcher.search import CANDIDATES, GENOTYPE, TRIALS
from sharing import JOURNAL

RECIPE = """
system: fast_nas
out: {out}
data: {data}
search: {{trials: {trials}, strategy: random, batch: 4, size: [96, 128],
  sizes: {{encoder: 10, head: 16}}, proxy: {{epochs: 1}}}}
compute: {{precision: fp32, device: cpu, threads: 1}}
"""
RUNNING, COMPLETE, FAIL = 0, 1, 3
"""States of a trial in a journal."""


def searching(run: Path, *words: str) -> int:
    """The process id of a fork that searches, or helps to."""
    return fork(run / "said", "search", str(run / "recipe.yaml"), *words)


def ended(child: int, block: bool = True) -> bool:
    """Whether a process has ended by itself; an error raises."""
    found, status = os.waitpid(child, 0 if block else os.WNOHANG)
    if found and status:
        raise RuntimeError(f"a worker ended with {os.waitstatus_to_exitcode(status)}")
    return bool(found)


def fresh(work: Path, arguments: argparse.Namespace) -> Path:
    """The empty folder of a search."""
    rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    data = "{name: streets, size: [96, 128], train: 40, val: 2}"
    if arguments.root:
        data = f"{{name: camvid, root: {arguments.root}, size: [96, 128]}}"
    text = RECIPE.format(out=work / "run", data=data, trials=arguments.trials)
    (work / "recipe.yaml").write_text(text)
    return work


def seconds(run: Path, count: int) -> float:
    """How long ``count`` workers take for all trials of a search."""
    start = time.perf_counter()
    for child in [searching(run, "--worker") for _ in range(count)]:
        ended(child)
    return time.perf_counter() - start


def finished(run: Path) -> dict[int, tuple[int, Any]]:
    """The trials of a journal that are finished: turns, and what was found."""
    path = run / "run/search" / JOURNAL
    *lines, _ = path.read_text().split("\n") if path.exists() else [""]
    turns: list[int] = []
    results: dict[int, Any] = {}
    done: list[int] = []
    for line in map(json.loads, lines):
        if line["op_code"] == 4:
            turns.append(line["user_attrs"]["turn"])
        elif line["op_code"] == 8 and "result" in line["user_attr"]:
            results[line["trial_id"]] = line["user_attr"]["result"]
        elif line["op_code"] == 6 and line["state"] == COMPLETE:
            done.append(line["trial_id"])
    return {trial: (turns[trial], results[trial]) for trial in done}


def killed_once(run: Path, children: list[int], wait: float, before: dict[int, Any]) -> bool:
    """Kill one of the workers after ``wait`` seconds, and start another; whether it hit."""
    time.sleep(wait)
    victim = children.pop(0)
    os.kill(victim, signal.SIGKILL)
    _, status = os.waitpid(victim, 0)
    if status not in (0, signal.SIGKILL):
        raise RuntimeError(f"a worker ended with {os.waitstatus_to_exitcode(status)}")
    now = finished(run)
    if not before.items() <= now.items():
        raise RuntimeError("a finished trial was lost or has changed")
    before.update(now)
    if status:
        children.append(searching(run, "--worker"))
    return status != 0


def written(run: Path) -> dict[str, str]:
    """What the search ends with once one process has written it down."""
    ended(searching(run))
    return {name: sha256(run / "run/search" / name) for name in (GENOTYPE, TRIALS, CANDIDATES)}


def hunt(
    run: Path, count: int, kills: int, rng: random.Random, whole: float, trials: int
) -> tuple[int, dict[str, str]]:
    """A search of ``count`` workers with at most ``kills`` kills; how many hit, and its end."""
    children, before, hits = [searching(run, "--worker") for _ in range(count)], dict[int, Any](), 0
    while hits < kills and children:
        hits += killed_once(run, children, rng.uniform(0, whole / 2), before)
    for child in children:
        ended(child)
    found = written(run)
    turns = Counter(turn for turn, _ in finished(run).values())
    if not before.items() <= finished(run).items() or turns != Counter(range(trials)):
        raise RuntimeError(f"turns were lost or counted twice: {turns}")
    return hits, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        times: dict[int, list[float]] = {1: [], 2: []}
        for count in (1, 2, 2, 1):
            run = fresh(work / str(count), arguments)
            times[count].append(seconds(run, count))
        expected = written(work / "1")
        differs = int(written(work / "2") != expected)
        kills = searches = 0
        while kills < arguments.kills:
            count = 1 + searches % 2
            run = fresh(work / "killed", arguments)
            most = min(arguments.kills - kills, 2 * arguments.trials)
            hits, found = hunt(run, count, most, rng, min(times[1]), arguments.trials)
            kills, searches = kills + hits, searches + 1
            differs += found != expected
    one, two = (statistics.mean(times[count]) for count in (1, 2))
    row = {
        "trials": arguments.trials,
        "data": "camvid" if arguments.root else "streets",
        "one_worker_s": [round(t, 2) for t in times[1]],
        "two_workers_s": [round(t, 2) for t in times[2]],
        "speedup": round(one / two, 2),
        "kills": kills,
        "killed_searches": searches,
        "differing_results": differs,
        "device": cpu_model(),
        "threads_per_worker": 1,
        "precision": "fp32",
    }
    sys.stdout.write(json.dumps(row) + "\n")
    raise SystemExit(differs > 0)


if __name__ == "__main__":
    main()

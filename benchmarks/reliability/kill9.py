"""Kill -9 at random moments of a search and a training: what is left must not differ.  JSON lines.

python benchmarks/reliability/kill9.py --kills 200 [--seed 1] [--forget optimizer]

Every start is a fork of one process that has imported everything, and runs the command as typed.
It is killed after a random part of the time that an undisturbed one takes, and started again until
one ends before it is killed; then every final file is compared with the undisturbed one's, and a
new round begins.  Where ``--kills`` have hit, the last round is finished, compared, and counted.
``--forget`` is the negative control: states that lack a part, which must be noticed (exit code 1).
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from shutil import copytree, rmtree
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ["OMP_NUM_THREADS"] = "1"

import torch

import stages  # noqa: F401  (imported here so that no child has to)
from benchmarks.forked import fork
from export.machine import cpu_model
from files import sha256
from searcher.learner import Learner
from searcher.strategies.bilevel import Bilevel

RECIPE = """
system: darts
out: {out}
seed: 3
data: {{name: streets, size: [32, 48], train: 12, val: 2}}
search: {{epochs: 4, warmup: 1, batch: 2, layers: 2, nodes: 1, sizes: {{width: 2, head: 4}}}}
train: {{epochs: 4, batch: 2, sizes: {{width: 2, head: 4}}, validate_every: 2}}
compute: {{precision: fp32, device: cpu, threads: 1, checkpoint_minutes: 0.000001}}
"""
FILES = {
    "search": ("genotype.json", "trials.jsonl", "architecture.jsonl", "stage.json"),
    "train": ("network.json", "weights.safetensors", "metrics.jsonl", "stage.json"),
}
"""What is compared; ``stage.json`` holds the hashes of the pictures too.

``cost.json`` is left out: it holds the seconds that a run took, and no two take equally long.
"""
LIMIT = 120.0
"""Seconds after which a start counts as stuck."""


def start(command: str, run: Path) -> int:
    """The process id of a fork that runs the command."""
    return fork(run.parent / "said", command, str(run.parent / "recipe.yaml"))


def ended_within(child: int, seconds: float) -> bool:
    """Whether the process ended well by itself; else it is killed, and an error raises."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            if status:
                raise RuntimeError(f"a start ended with {os.waitstatus_to_exitcode(status)}")
            return True
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return status == 0


def digests(folder: Path) -> dict[str, str]:
    """The hashes of a stage's final files; half written ones have no place beside them."""
    assert not list(folder.rglob("*.part")), folder
    return {name: sha256(folder / name) for name in FILES[folder.name]}


def phase(folder: Path) -> str:
    """How far a killed stage had come."""
    last = FILES[folder.name][0]
    if (folder / "stage.json").exists():
        return "finished"
    if (folder / last).exists():
        return "writing results"
    return "between states" if (folder / "state.pt").exists() else "before the first state"


def fresh(work: Path, found: Path | None) -> Path:
    """The folder of a new round's run, which holds the undisturbed search for a training."""
    rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    (work / "recipe.yaml").write_text(RECIPE.format(out=work / "run"))
    if found is not None:
        copytree(found, work / "run" / "search")
    return work / "run"


def undisturbed(command: str, work: Path, found: Path | None) -> tuple[dict[str, str], float]:
    """What a run that nobody kills leaves, and the seconds that it takes."""
    run = fresh(work, found)
    begin = time.monotonic()
    if not ended_within(start(command, run), LIMIT):
        raise RuntimeError(f"{command} takes more than {LIMIT} s")
    return digests(run / command), time.monotonic() - begin


def campaign(command: str, kills: int, rng: random.Random, work: Path) -> dict[str, Any]:
    """Kill ``kills`` starts of one command; what came of it."""
    found = work / "whole/run/search" if command == "train" else None
    whole = work / ("whole" if command == "search" else "whole_train")
    expected, life = undisturbed(command, whole, found)
    phases: Counter[str] = Counter()
    rounds = different = 0
    begin = time.monotonic()
    while phases.total() < kills:
        run = fresh(work / "killed", found)
        while phases.total() < kills:
            if ended_within(start(command, run), rng.uniform(0, life)):
                break
            phases[phase(run / command)] += 1
        ended_within(start(command, run), LIMIT)
        rounds += 1
        different += digests(run / command) != expected
    seconds = round(time.monotonic() - begin)
    row = {"kills": phases.total(), "rounds": rounds, "different": different, "seconds": seconds}
    return {**row, "undisturbed_s": round(life, 2), "killed": dict(phases)}


def forget(part: str) -> None:
    """Plant a bug: a state whose optimizers are not put back."""
    for owner in (Learner, Bilevel):
        whole = owner.load_state_dict

        def load(
            self: Any, state: Mapping[str, Any], whole: Any = whole, owner: Any = owner
        ) -> None:
            kept = {name: inner for name, inner in self.parts().items() if part in name}
            fresh = {name: inner.state_dict() for name, inner in kept.items()}
            whole(self, {**state, **fresh})

        setattr(owner, "load_state_dict", load)  # noqa: B010 (mypy refuses the assignment)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--forget", choices=["optimizer"])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.forget:
        forget(arguments.forget)
    gc.freeze()
    rng = random.Random(arguments.seed)
    row: dict[str, Any] = {"seed": arguments.seed, "forget": arguments.forget}
    with tempfile.TemporaryDirectory() as folder:
        for command in FILES:
            row[command] = campaign(command, arguments.kills, rng, Path(folder))
    row |= {"threads": 1, "precision": "fp32", "device": cpu_model(), "torch": torch.__version__}
    sys.stdout.write(json.dumps(row) + "\n")
    raise SystemExit(any(row[command]["different"] for command in FILES))


if __name__ == "__main__":
    main()

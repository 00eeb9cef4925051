"""Exports killed at any moment leave a whole bundle or none: figure E4.  One JSON line.

python benchmarks/reliability/kill_export.py --kills 100 [--seed 1] [--in-place]

A small run is trained; then 'segnas export' of it is killed again and again, each time after
another part of what it takes: by turns where there is no bundle yet, and where there is one that
answers with something else.  What stands there afterwards must be whole, and in the end a last
export must leave nothing but its bundle.  ``--in-place`` is the negative control: a writer that
fills the bundle's own folder must be noticed (exit code 1).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

from benchmarks.forked import fork
from benchmarks.reliability.mutations import GENOTYPE, RECIPE
from export.bundle import Bundle
from export.machine import cpu_model
from recipe import Recipe
from stages import Build

OUTPUTS = ("labels", "logits")


def trained(folder: Path) -> Build:
    """A run that is trained and not exported."""
    (folder / "mine.json").write_text(GENOTYPE)
    words = {"out": folder / "run", "genotype": folder / "mine.json", "formats": "[onnx]"}
    (folder / "recipe.yaml").write_text(RECIPE.format(**words))
    build = Build(Recipe.load(folder / "recipe.yaml"))
    build.search()
    build.train()
    return build


def export(run: Path, output: str, said: Path) -> int:
    """The process id of an export that has begun."""
    return fork(said, "export", str(run), "--output", output)


def in_place(run: Path, whole: Path) -> int:
    """That of a careless one."""
    if child := os.fork():
        return child
    for file in sorted(path for path in whole.rglob("*") if path.is_file()):
        target = run / "bundle" / file.relative_to(whole)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
        time.sleep(0.02)
    os._exit(0)


def killed(begin: Callable[[], int], after: float) -> bool:
    """Kill what begins ``after`` seconds from now; whether it was still at work."""
    child = begin()
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1] == signal.SIGKILL


def left(bundle: Path) -> str:
    """What stands where the bundle should be."""
    if not bundle.exists():
        return "absent"
    try:
        Bundle.load(bundle)
    except ValueError as error:
        return f"torn: {str(error).replace(str(bundle), 'BUNDLE')}"
    return "whole"


def campaign(run: Path, said: Path, whole: Path, asked: argparse.Namespace) -> Counter[str]:
    """What stood there after each kill; there is a bundle at ``whole`` to be careless with."""
    rng, found = random.Random(asked.seed), Counter[str]()
    takes = seconds(lambda: finished(run, said))
    shutil.copytree(run / "bundle", whole)
    for turn in range(asked.kills):
        shutil.rmtree(run / "bundle", ignore_errors=True)
        if turn % 2:
            shutil.copytree(whole, run / "bundle")
        begin, longest = partial(export, run, OUTPUTS[1], said), 1.5 * takes
        if asked.in_place:
            begin, longest = partial(in_place, run, whole), 0.2
        before = "one" if turn % 2 else "none"
        early = killed(begin, rng.uniform(0, longest))
        found[f"{before}, {'killed' if early else 'done'}: {left(run / 'bundle')}"] += 1
    return found


def finished(run: Path, said: Path) -> None:
    """Export to the end."""
    if os.waitpid(export(run, OUTPUTS[0], said), 0)[1]:
        raise RuntimeError(said.read_text())


def seconds(work: Callable[[], None]) -> float:
    start = time.monotonic()
    work()
    return time.monotonic() - start


def torn(found: Counter[str]) -> int:
    return sum(count for how, count in found.items() if "torn" in how)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--in-place", action="store_true")
    return parser.parse_args()


def main() -> None:
    asked, start = arguments(), time.monotonic()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run, said = trained(folder).run, folder / "said"
        found = campaign(run, said, folder / "whole", asked)
        if not torn(found):
            finished(run, said)
        rest = sorted(p.name for p in run.iterdir() if "bundle" in p.name and p.name != "bundle")
    row = {"figure": "E4", "seed": asked.seed, "kills": asked.kills, "found": dict(found)}
    row |= {"torn": torn(found), "left_over": rest, "device": cpu_model()}
    row |= {"seconds": round(time.monotonic() - start)}
    sys.stdout.write(json.dumps(row) + "\n")
    raise SystemExit(bool(torn(found) or rest))


if __name__ == "__main__":
    main()

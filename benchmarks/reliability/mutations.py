"""Mutated files of a run: each is refused in one line that names it, and none is read.  JSON.

python benchmarks/reliability/mutations.py --mutations 500 [--seed 1] [--naive]

A small run is made; then every kind of file is damaged as often as ``--mutations`` says, by flipped
bits, cuts, lost, doubled and foreign bytes, and read as the program reads it, in this process:
hashes are checked before a parser sees a byte.  ``silent`` is what was read though it is another
file, ``unclear`` an error that is no single line with the file's name, ``crashed`` anything else.
Of a recipe nobody has a hash: what still is one counts as ``edited``, as if a person had done it.
``--naive`` is the negative control: genotypes and weights are read without their hashes, and some
are read silently (exit code 1).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import torch

from export.bundle import Bundle
from models import weights
from models.genotype import Genotype
from recipe import Recipe
from searcher import checkpoint
from stages import Build

RECIPE = """
system: given
out: {out}
data: {{name: streets, size: [32, 48], train: 6, val: 2}}
search: {{genotype: {genotype}}}
train: {{epochs: 1, batch: 2}}
export: {{examples: 1, gate: 2, formats: {formats}, capabilities: ["8.6"]}}
compute: {{precision: fp32, device: cpu, threads: 1}}
"""
GENOTYPE = (
    '{"family": "pyramid", "graphs": {"stages": [[16, 17, "conv_3x3"], [32, 33, "conv_1x1"]]}, '
    '"schema": 1, "sizes": {"head": 8, "widths": [8, 16, 24]}}'
)
KEY = {"seed": 0}

Read = Callable[[], object]
Files = Mapping[str, tuple[Path, Read]]
"""By kind: the file, and what reads it."""


def made(folder: Path) -> tuple[Files, Files]:
    """A run with its bundle and a state; its files as the program reads them, and naively."""
    (folder / "mine.json").write_text(GENOTYPE)
    engines = find_spec("tensorrt_rtx") is not None
    text = RECIPE.format(
        out=folder / "run",
        genotype=folder / "mine.json",
        formats="[tensorrt-rtx]" if engines else "[onnx]",
    )
    (folder / "recipe.yaml").write_text(text)
    build = Build(Recipe.load(folder / "recipe.yaml"))
    build.search()
    build.train()
    build.export()
    run, bundle, jobs = build.run, build.bundle, folder / "job"
    jobs.mkdir()
    checkpoint.save(jobs, {"w": torch.arange(500.0), "epoch": 2}, KEY)
    genotype, trained = run / "search/genotype.json", run / "train/weights.safetensors"
    checked: dict[str, tuple[Path, Read]] = {
        "genotype": (genotype, build.found),
        "recipe": (run / "recipe.yaml", lambda: Recipe.find(run)),
        "state": (jobs / checkpoint.STATE, lambda: checkpoint.resume(jobs, KEY)),
        "weights": (trained, build.export),
    }
    names = {"onnx": "model.onnx", "manifest": "manifest.json", "example": "examples/00.png"}
    names |= {"engine": "rtx.engine", "side-car": "rtx.engine.json"} if engines else {}
    for kind, name in names.items():
        checked[kind] = (bundle / name, lambda: Bundle.load(bundle))
    naive: dict[str, tuple[Path, Read]] = {
        "genotype": (genotype, lambda: Genotype.load(genotype)),
        "weights": (trained, lambda: weights.load(run / "train")),
    }
    return checked, naive


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Something else."""
    first, last = sorted(rng.randrange(len(content) + 1) for _ in "ab")
    last = min(last, first + rng.choice((1, 4, 64, len(content))))
    part = content[first:last]
    at = rng.randrange(len(content))
    flipped = bytes([content[at] ^ (1 << rng.randrange(8))])
    found = rng.choice(
        (
            content[:at] + flipped + content[at + 1 :],
            content[:at] + rng.randbytes(1) + content[at + 1 :],
            content[:first],
            content[:first] + content[last:],
            content[:last] + part + content[last:],
            content[:first] + bytes(len(part)) + content[last:],
            content[:first] + rng.randbytes(rng.randrange(1, 9)) + content[first:],
        )
    )
    return mutated(content, rng) if found == content else found


def outcome(path: Path, read: Read, kind: str) -> str:
    """What became of reading a mutated file."""
    try:
        with open(os.devnull, "w") as nowhere, redirect_stderr(nowhere):
            read()
    except (ValueError, OSError) as error:
        words = str(error)
        named = path.name in words or kind == "manifest"
        return "refused" if named and "\n" not in words else "unclear"
    except Exception as error:  # a traceback for whoever typed the command
        sys.stderr.write(f"{kind}: {type(error).__name__}: {error}\n")
        return "crashed"
    return "edited" if kind == "recipe" else "silent"


def campaign(files: Files, count: int, rng: random.Random) -> dict[str, Counter[str]]:
    """The outcomes of ``count`` mutations of each file, which is whole again afterwards."""
    found: dict[str, Counter[str]] = {}
    for kind, (path, read) in files.items():
        whole, found[kind] = path.read_bytes(), Counter()
        beside = {p.name for p in path.parent.iterdir()}
        for _ in range(count):
            path.write_bytes(mutated(whole, rng))
            found[kind][outcome(path, read, kind)] += 1
            for added in {p.name for p in path.parent.iterdir()} - beside:
                (path.parent / added).unlink()
        path.write_bytes(whole)
        read()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mutations", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--naive", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, redirect_stderr(sys.stderr):
        checked, naive = made(Path(folder))
        files = naive if asked.naive else checked
        found = campaign(files, asked.mutations, random.Random(asked.seed))
    bad = sum(c[how] for c in found.values() for how in ("silent", "unclear", "crashed"))
    row: dict[str, Any] = {"seed": asked.seed, "naive": asked.naive, "mutations": asked.mutations}
    row |= {"found": found, "bad": bad, "seconds": round(time.monotonic() - begin)}
    sys.stdout.write(json.dumps(row) + "\n")
    raise SystemExit(bad > 0)


if __name__ == "__main__":
    main()

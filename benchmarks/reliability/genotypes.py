"""Genotypes, good and bad: figure A6.  One JSON line.

python benchmarks/reliability/genotypes.py [--count 10000] [--seed 0] [--careless]

As many are drawn, from the spaces of all systems by turns.  Each comes back from its JSON, the same
bytes, and is built and run on an image.  Then one thing in it is made wrong: it must be refused by
a ``ValueError`` that names where it stands, when it is read or when it is built.  ``--careless`` is
the negative control: what is wrong is left out, so that nothing is refused (exit code 1).
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

from benchmarks.reliability.drawn import drawn
from export.machine import cpu_model
from models.genotype import Genotype
from models.network import build

SIZE, CLASSES = (32, 48), 3
Document = dict[str, Any]
Harm = Callable[[Document, random.Random], str]
"""Makes one thing in a document wrong; where it stands, as a message must say it."""


def comes_back(genotype: Genotype) -> bool:
    """Whether its JSON gives the genotype and the same bytes again."""
    again = Genotype.from_json(genotype.to_json())
    return again == genotype and again.to_json().encode() == genotype.to_json().encode()


def runs(genotype: Genotype) -> bool:
    """Whether its network has a finite logit for every pixel and class."""
    with torch.no_grad():
        logits = build(genotype, CLASSES).eval()(torch.full((1, 3, *SIZE), 127.0))
    return logits.shape == (1, CLASSES, *SIZE) and bool(logits.isfinite().all())


def lost_key(raw: Document, rng: random.Random) -> str:
    del raw[key := rng.choice(sorted(raw))]
    return key


def strange_key(raw: Document, rng: random.Random) -> str:
    raw[key := f"key{rng.randrange(1000)}"] = 1
    return key


def other_schema(raw: Document, rng: random.Random) -> str:
    raw["schema"] = rng.choice([0, 2, -1, "1", 1.0, None, True, [1]])
    return "schema"


def other_family(raw: Document, rng: random.Random) -> str:
    raw["family"] = rng.choice(["", "resnet", 7, None, raw["family"] + "s"])
    return "family"


def no_graph(raw: Document, rng: random.Random) -> str:
    raw["graphs"][graph := rng.choice(sorted(raw["graphs"]))] = rng.choice([None, {}, "x", 3])
    return f"graphs.{graph}"


def strange_graph(raw: Document, rng: random.Random) -> str:
    raw["graphs"][graph := f"graph{rng.randrange(1000)}"] = []
    return f"graphs.{graph}"


def lost_graph(raw: Document, rng: random.Random) -> str:
    """Not the last of several: a sequence of cells may be shorter."""
    names = sorted(raw["graphs"])
    del raw["graphs"][graph := rng.choice(names[:-1] or names)]
    return f"graphs.{graph}"


def no_edge(raw: Document, rng: random.Random) -> str:
    graph, i = edge_of(raw, rng)
    edge = raw["graphs"][graph][i]
    wrong = [None, [], edge[:2], [*edge, 1], [str(edge[0]), *edge[1:]], [0.5, *edge[1:]], "edge"]
    raw["graphs"][graph][i] = rng.choice(wrong)
    return f"graphs.{graph}[{i}]"


def strange_op(raw: Document, rng: random.Random) -> str:
    graph, i = edge_of(raw, rng)
    raw["graphs"][graph][i][2] = rng.choice(["", "conv", "conv_9x9", "__class__", "skip connect"])
    return f"graphs.{graph}"


def nowhere(raw: Document, rng: random.Random) -> str:
    graph, i = edge_of(raw, rng)
    raw["graphs"][graph][i][rng.randrange(2)] = rng.choice([-1, -(10**9), 10**6, 10**18])
    return f"graphs.{graph}"


def no_size(raw: Document, rng: random.Random) -> str:
    raw["sizes"][name := rng.choice(sorted(raw["sizes"]))] = rng.choice([None, "8", 1.5, [1.5], {}])
    return f"sizes.{name}"


def extreme_size(raw: Document, rng: random.Random) -> str:
    raw["sizes"][name := rng.choice(sorted(raw["sizes"]))] = rng.choice([0, -1, 10**9, []])
    return f"sizes.{name}"


def strange_size(raw: Document, rng: random.Random) -> str:
    raw["sizes"][name := f"size{rng.randrange(1000)}"] = 8
    return f"sizes.{name}"


HARMS: tuple[Harm, ...] = (
    *(lost_key, strange_key, other_schema, other_family, no_graph, strange_graph, lost_graph),
    *(no_edge, strange_op, nowhere, no_size, extreme_size, strange_size),
)


def edge_of(raw: Document, rng: random.Random) -> tuple[str, int]:
    """A graph that has edges, and the number of one."""
    graph = rng.choice([name for name in sorted(raw["graphs"]) if raw["graphs"][name]])
    return graph, rng.randrange(len(raw["graphs"][graph]))


def refusal(genotype: Genotype, rng: random.Random, harms: tuple[Harm, ...]) -> str:
    """What became of it: ``refused``, or which harm was taken or refused without its place."""
    raw = json.loads(genotype.to_json())
    harm = rng.choice(HARMS)
    where = harm(raw, rng) if harm in harms else "nowhere"
    try:
        build(Genotype.from_document(raw), CLASSES)
    except ValueError as error:
        return "refused" if where in str(error) else f"{harm.__name__}: unclear: {error}"
    return f"{harm.__name__}: taken"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--careless", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rng, begin = random.Random(asked.seed), time.monotonic()
    good = drawn(asked.count, rng)
    lost = sum(not comes_back(genotype) for genotype in good)
    still = sum(not runs(genotype) for genotype in good)
    bad = Counter(refusal(genotype, rng, () if asked.careless else HARMS) for genotype in good)
    row: dict[str, Any] = {"figure": "A6", "seed": asked.seed, "genotypes": len(good)}
    row |= {"different": len({g.fingerprint for g in good}), "not_back": lost, "not_run": still}
    row |= {"refused": bad.pop("refused", 0), "others": dict(bad.most_common(20))}
    row |= {"families": Counter(genotype.family for genotype in good)}
    row |= {"seconds": round(time.monotonic() - begin), "size": SIZE, "threads": 1}
    row |= {"device": cpu_model(), "torch": torch.__version__}
    sys.stdout.write(json.dumps(row) + "\n")
    raise SystemExit(bool(lost or still or bad))


if __name__ == "__main__":
    main()

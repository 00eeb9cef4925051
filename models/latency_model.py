"""The latency model: milliseconds of a network on one device, from its workload.

What a table measures op by op, this learns from whole networks: what each kind of work costs there.
So it is of any runtime and precision that a network can be exported to.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from files import write_text
from models.genotype import expect, expect_keys
from models.latency import FACTS, is_ms, load_measured, measured_of, parse_measured
from models.workload import WORK, Workload

SCHEMA = 2
REST = "rest"
"""What every network costs: reading the image, and each call."""
COSTS = (*WORK, REST)
KEYS = (*FACTS, "costs", "schema", "size", "threads")


@dataclass(frozen=True)
class LatencyModel:
    """Milliseconds of each kind of work, by :data:`models.workload.WORK`, and of the rest.

    ``device`` is the processor's name, ``version`` the runtime's; ``size`` is the height and width
    of the image.
    """

    device: str
    runtime: str
    version: str
    precision: str
    threads: int
    size: tuple[int, int]
    costs: Mapping[str, float]

    def price(self, work: Workload) -> float:
        """Milliseconds of a network."""
        return self.costs[REST] + sum(self.costs[name] * work[name] for name in WORK)

    def to_json(self) -> str:
        """Canonical JSON: equal models give equal text."""
        facts = {name: getattr(self, name) for name in FACTS}
        costs = {name: round(cost, 9) for name, cost in self.costs.items()}
        where = {"threads": self.threads, "size": list(self.size)}
        return json.dumps({"schema": SCHEMA, **facts, **where, "costs": costs}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> LatencyModel:
        """Parse; ``ValueError`` says which key is wrong."""
        raw = parse_measured(text, "latency model", KEYS, SCHEMA)
        expect_keys(raw["costs"], "costs", COSTS)
        for name, cost in raw["costs"].items():
            expect(is_ms(cost), f"costs.{name}", "a number from 0")
        return cls(**measured_of(raw), costs=raw["costs"])

    def save(self, path: Path) -> None:
        write_text(path, self.to_json() + "\n")

    @classmethod
    def load(cls, path: Path) -> LatencyModel:
        """Read a model; ``ValueError`` names the file and the key."""
        return load_measured(path, cls.from_json, "latency model")


def fitted(work: Sequence[Workload], ms: Sequence[float]) -> dict[str, float]:
    """The costs that explain the milliseconds of networks best: none below 0, errors as shares."""
    table = np.array([[*(w[name] for name in WORK), 1.0] for w in work])
    table /= np.array(ms)[:, None]
    scale = table.max(0)
    found = not_negative(table / scale, np.ones(len(ms))) / scale
    return dict(zip(COSTS, map(float, found), strict=True))


def not_negative(table: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Least squares without negative numbers: those that would be are left out, one by one."""
    kept = list(range(table.shape[1]))
    while True:
        found, *_ = np.linalg.lstsq(table[:, kept], wanted, rcond=None)
        if (found >= 0).all():
            break
        del kept[int(found.argmin())]
    whole = np.zeros(table.shape[1])
    whole[kept] = found
    return whole

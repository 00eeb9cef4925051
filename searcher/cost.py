"""What a long job cost: the seconds of all its sessions, beside its results.

``cost.json`` is no result: no two runs take equally long, so no stage seals it, and what compares
a killed and resumed run with one that nobody killed leaves it out.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

COST = "cost.json"
UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


class Meter:
    """Counts the seconds of this session, on top of those of the sessions before.

    What a killed session did after its last state is not in them: it led to nothing.
    """

    def __init__(self, clock: Callable[[], float], machine: str) -> None:
        """``clock`` counts wall seconds; ``machine`` names where this session runs."""
        self.clock, self.machine = clock, machine
        self.began = clock(), cpu_seconds()
        self.before: Mapping[str, Any] = {}

    def resume(self, before: Mapping[str, Any]) -> None:
        """Go on from what :meth:`read` gave in the session before."""
        self.before = before

    def read(self) -> dict[str, Any]:
        """Seconds on the wall and of all CPUs, how many sessions, and where they ran."""
        wall, cpu = self.clock() - self.began[0], cpu_seconds() - self.began[1]
        machines = [*self.before.get("machines", []), self.machine]
        return {
            "wall_s": round(self.before.get("wall_s", 0.0) + wall, 3),
            "cpu_s": round(self.before.get("cpu_s", 0.0) + cpu, 3),
            "sessions": self.before.get("sessions", 0) + 1,
            "machines": list(dict.fromkeys(machines)),
        }


def total(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The cost of a job whose parts several processes ran; each says which, as ``process``."""
    found = list(parts)
    return {
        "wall_s": round(sum(part["wall_s"] for part in found), 3),
        "cpu_s": round(sum(part["cpu_s"] for part in found), 3),
        "sessions": len({part["process"] for part in found}),
        "machines": list(dict.fromkeys(name for part in found for name in part["machines"])),
    }


def cpu_seconds() -> float:
    """Of this process with all its threads, and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def read_cost(folder: Path) -> dict[str, Any]:
    """What a stage's folder says of its cost; empty where it says nothing that can be read."""
    try:
        found = json.loads((folder / COST).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def spent(verb: str, folder: Path) -> str:
    """``searched in 4 min 10 s (7 min 2 s of CPU)``; empty where the cost is not known."""
    cost = read_cost(folder)
    if not {"wall_s", "cpu_s", "sessions"} <= cost.keys():
        return ""
    sessions = f", {cost['sessions']} sessions" if cost["sessions"] > 1 else ""
    return f"{verb} in {duration(cost['wall_s'])} ({duration(cost['cpu_s'])} of CPU{sessions})"


def duration(seconds: float) -> str:
    """The two largest units, such as ``4 min 10 s``."""
    left = round(seconds)
    words: list[str] = []
    for name, size in UNITS:
        count, left = divmod(left, size)
        if count or (name == "s" and not words):
            words.append(f"{count} {name}")
    return " ".join(words[:2])

"""Networks by what they take and how well they score, as a picture.

python benchmarks/pareto.py docs/images/pareto.json docs/images/pareto.png

The JSON file lists networks: ``name``, ``ms``, ``miou`` and ``kind``.  Those of one kind were
trained alike and have one colour; those with a name are named.
"""

from __future__ import annotations

import argparse
import json
import sys
from itertools import groupby
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from matplotlib.figure import Figure

from searcher.fronts import Line, front
from searcher.pictures import ACCENT, CURVES, INK, save


def draw(networks: list[Line], path: Path) -> None:
    """Score against milliseconds, with the front of all."""
    figure = Figure(figsize=(7.6, 4.4), layout="constrained")
    axes = figure.add_subplot()
    points = [(n["ms"], n["miou"]) for n in networks]
    axes.plot(*zip(*front(points), strict=True), color=ACCENT, lw=1, zorder=0)
    ordered = sorted(networks, key=lambda n: n["kind"])
    for colour, (kind, alike) in zip(CURVES, groupby(ordered, lambda n: n["kind"]), strict=False):
        pairs = [(n["ms"], n["miou"]) for n in alike]
        axes.plot(*zip(*pairs, strict=True), "o", color=colour, ms=6, label=kind)
    for n in networks:
        axes.annotate(
            n["name"],
            (n["ms"], n["miou"]),
            (6, -3),
            textcoords="offset points",
            color=INK,
            fontsize=8,
        )
    axes.set_xscale("log")
    ticks = [5, 8, 12, 17, 25, 40, 60]
    axes.set_xticks(ticks, map(str, ticks), minor=False)
    axes.set_xticks([], minor=True)
    axes.set_xlabel("milliseconds, ONNX Runtime, 1 thread")
    axes.set_ylabel("val mIoU")
    axes.legend(frameon=False, loc="upper left")
    axes.spines[["top", "right"]].set_visible(False)
    save(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("networks", type=Path)
    parser.add_argument("picture", type=Path)
    given = parser.parse_args()
    networks = json.loads(given.networks.read_text())
    draw(networks, given.picture)
    sys.stdout.write(json.dumps({"networks": len(networks), "picture": str(given.picture)}) + "\n")


if __name__ == "__main__":
    main()

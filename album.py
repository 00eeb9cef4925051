"""A search as pictures: what it found, how it went, and how its architecture settled."""

from __future__ import annotations

from pathlib import Path

from console import busy
from export.report import Frame, document, stepper
from files import write_text
from models.genotype import Genotype
from searcher.blueprints import draw_architecture
from searcher.checkpoint import read_log
from searcher.frames import frames
from searcher.fronts import alike, draw_fronts, draw_trials
from searcher.heatmaps import draw_weights
from searcher.pictures import draw_history
from searcher.search import CANDIDATES, GENOTYPE, TRIALS, WEIGHTS

ARCHITECTURE, HISTORY, SETTLING = "architecture.png", "history.png", "settling.html"
FRONTS = "fronts.png"
TITLE = "How the architecture settled"
LARGEST = 1_500_000
"""Bytes of pictures that a run's page takes in."""


def draw_search(folder: Path) -> list[str]:
    """Draw what a search left in ``folder``; the names of the files.

    The same log gives the same bytes.  Without a supernet there are candidates and no weights.
    """
    draw_architecture(Genotype.load(folder / GENOTYPE), folder / ARCHITECTURE)
    if not (folder / WEIGHTS).is_file():
        trials = alike(read_log(folder / TRIALS))
        draw_trials(trials, folder / HISTORY)
        draw_fronts(trials, folder / FRONTS)
        return [ARCHITECTURE, HISTORY, CANDIDATES, FRONTS]
    draw_history(read_log(folder / TRIALS), folder / HISTORY)
    lines = read_log(folder / WEIGHTS)
    with busy("drawing the search"):
        maps = {f"weights-{graph}.png": graph for graph in lines[-1]["weights"]}
        for name, graph in maps.items():
            draw_weights(lines, graph, folder / name)
        page = document(f"{folder.parent.name}: the search", stepper(TITLE, frames(lines)))
        write_text(folder / SETTLING, page)
    return [ARCHITECTURE, HISTORY, WEIGHTS, SETTLING, *maps]


def drawings(run: Path) -> dict[str, Path]:
    """The pictures of a run that are there, by their captions."""
    search = run / "search"
    maps = {p.stem.removeprefix("weights-"): p for p in sorted(search.glob("weights-*.png"))}
    found = {
        "The architecture that was found": search / ARCHITECTURE,
        "The search": search / HISTORY,
        "What the candidates cost": search / FRONTS,
        **{f"Weights over time: {graph}": path for graph, path in maps.items()},
        "The training": run / "train" / HISTORY,
    }
    return {caption: path for caption, path in found.items() if path.is_file()}


def settling(run: Path) -> list[Frame]:
    """The pictures to step through on a run's page.

    None where the search had no supernet, or where they are too many bytes (a graph for each of
    many cells): then ``settling.html`` alone has them.
    """
    path = run / "search" / WEIGHTS
    found = frames(read_log(path)) if path.is_file() else []
    return found if sum(len(png) for _, png in found) <= LARGEST else []

"""The page's own HTML: header, message, tiles and legend, with every name escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from export.bundle import Manifest
from export.runtimes import Facts
from serve.predictor import Timing


def header(name: str, manifest: Manifest, facts: Facts) -> str:
    """Which network this is, how good it was, and what it runs on; the camera reads it too.

    ``name`` is what the API calls it.
    """
    height, width = manifest.size
    said = [manifest.system, manifest.data, f"network input {width} x {height}"]
    if "miou" in manifest.scores:
        said.insert(2, f"val mIoU {100 * manifest.scores['miou']:.1f} %")
    threads = f"{facts.threads} thread" + "s" * (facts.threads != 1)
    runs = f"{facts.runtime} {facts.version}", facts.provider, facts.arithmetic, threads
    model, engine = escape(name), escape(f"{facts.runtime} {facts.precision}")
    return (
        f'<h1 data-model="{model}" data-engine="{engine}">{escape(manifest.name)}</h1>'
        f"<p>{items(said)}</p>"
        f'<p class="engine" title="{escape(facts.device)}">{items(runs)}</p>'
    )


def items(texts: Iterable[str]) -> str:
    return "".join(f"<span>{escape(text)}</span>" for text in texts)


def alert(text: str) -> str:
    """One sentence that says what went wrong and what to do."""
    return f'<p role="alert">{escape(text)}</p>'


def timing(took: Timing) -> str:
    """Milliseconds of read, resize, infer and draw apart, and the FPS that inference allows."""
    spans = [(name, f"{span:.1f}", "ms") for name, span in vars(took).items()]
    return tiles([*spans, ("infer rate", f"{took.fps:.0f}", "FPS")])


def tiles(rows: Iterable[tuple[str, str, str]]) -> str:
    """A name, a value and a unit each."""
    return f'<dl class="tiles">{"".join(tile(*row) for row in rows)}</dl>'


def tile(name: str, value: str, unit: str) -> str:
    return (
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)} <small>{escape(unit)}</small></dd></div>"
    )


def classes(manifest: Manifest) -> str:
    """Every class with its colour: the legend of a page that has no picture yet."""
    return (
        '<section class="legend"><h2>Classes</h2>'
        f"{chips(manifest, range(len(manifest.classes)))}</section>"
    )


def legend(manifest: Manifest, shares: Sequence[float]) -> str:
    """The classes in the picture, largest first, each a switch; then those that are not in it."""
    ranked = sorted(range(len(shares)), key=lambda index: -shares[index])
    rows = [row(manifest, index, shares[index]) for index in ranked if shares[index] > 0]
    absent = [index for index, share in enumerate(shares) if share == 0]
    rest = f"<h2>Not in this picture</h2>{chips(manifest, absent)}" if absent else ""
    return (
        '<section class="legend"><div class="switches"><h2>Share of the picture</h2>'
        f'{SWITCHES}</div><ul class="shares">{"".join(rows)}</ul>{rest}</section>'
    )


SWITCHES = (
    '<button type="button" data-switch="all">all</button>'
    '<button type="button" data-switch="none">none</button>'
)


def chips(manifest: Manifest, indices: Iterable[int]) -> str:
    names = [
        f'<li style="{colour(manifest, i)}"><i></i>{escape(manifest.classes[i])}</li>'
        for i in indices
    ]
    return f'<ul class="chips">{"".join(names)}</ul>'


def colour(manifest: Manifest, index: int) -> str:
    return "--colour: rgb({}, {}, {})".format(*manifest.palette[index])


def row(manifest: Manifest, index: int, share: float) -> str:
    """A class that is in the picture, whose colour can be switched off."""
    return (
        f'<li style="{colour(manifest, index)}; --share: {share:.4f}"><label>'
        f'<input type="checkbox" checked data-class="{index}" autocomplete="off"><i></i>'
        f"<span>{escape(manifest.classes[index])}</span><b>{percent(share)}</b><u></u></label></li>"
    )


def percent(share: float) -> str:
    """``12.3 %``; what is there but would round to nothing is ``< 0.1 %``."""
    return f"{100 * share:.1f} %" if share >= 0.0005 else "&lt; 0.1 %"

"""The viewer: a picture under its classes' colours, blended and uncovered in the browser itself.

The labels travel as numbers, so that opacity, the cut between before and after, and classes that
are switched off cost the server nothing; ``page.js`` draws them.
"""

from __future__ import annotations

import json
import zlib
from base64 import b64encode
from html import escape

import images
from images import Labels, Pixels
from serve.predictor import View

OPACITY = 0.55


def viewer(view: View) -> str:
    """The element that shows a view, with a slider for its opacity and one that uncovers it."""
    height, width = view.labels.shape
    data = f'data-labels="{packed(view.labels)}" data-palette="{palette(view)}"'
    return (
        f'<div class="viewer" data-width="{width}" data-height="{height}" {data}>'
        f'<div class="stage" style="aspect-ratio: {width} / {height}">'
        f'<img src="{jpeg(view.pixels)}" alt="The picture"><canvas></canvas>'
        f"{range_input('cut', 'Before and after: uncover the picture from the left', 0)}"
        '<span class="line" aria-hidden="true"></span></div>'
        f'<label class="opacity"><span>Opacity</span>{range_input("opacity", "", OPACITY)}</label>'
        "</div>"
    )


def range_input(sets: str, label: str, value: float) -> str:
    named = f' aria-label="{escape(label)}"' if label else ""
    return (
        f'<input type="range" min="0" max="1" step="0.01" value="{value}" '
        f'data-sets="{sets}"{named} autocomplete="off">'
    )


def palette(view: View) -> str:
    return escape(json.dumps(view.palette, separators=(",", ":")))


def packed(labels: Labels) -> str:
    """Rows of class numbers, a byte each, deflated, in base64: what a browser inflates itself."""
    return b64encode(zlib.compress(labels.tobytes(), 1)).decode("ascii")


def jpeg(pixels: Pixels) -> str:
    """A picture as an address that holds it: no file is left, and nobody else can ask for it."""
    return f"data:image/jpeg;base64,{b64encode(images.encode_jpeg(pixels)).decode('ascii')}"

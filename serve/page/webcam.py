"""The tab of the camera: the browser sends one picture after another to the API, and times them."""

from __future__ import annotations

import gradio as gr

from serve import fragments
from serve.service import Service
from serve.viewer import OPACITY, range_input

SILENT = (
    ("pictures", "-", "FPS"),
    ("there and back", "-", "ms"),
    ("on the server", "-", "ms"),
    ("waiting", "-", "ms"),
)
"""What ``page.js`` fills in, in this order."""


def tab(service: Service) -> gr.HTML:
    """A camera that nobody has asked for yet; ``page.js`` knows the rest.  Its legend."""
    gr.HTML(camera(), elem_id="camera", elem_classes="segnas-html")
    classes = fragments.classes(service.bundle.manifest)
    return gr.HTML(classes, elem_id="camera-legend", elem_classes="segnas-html")


def camera() -> str:
    """What the camera sees, its switch, and its numbers."""
    return (
        '<div class="result camera">'
        '<div class="segnas-message" role="status" aria-live="polite"></div>'
        '<div class="viewer"><div class="stage" style="aspect-ratio: 4 / 3">'
        '<canvas class="seen"></canvas><canvas class="drawn"></canvas>'
        f"{range_input('cut', 'Before and after: uncover the picture from the left', 0)}"
        '<span class="line" aria-hidden="true"></span>'
        "<p>Pictures go to this server only, and none is kept.</p></div>"
        '<div class="bar"><button type="button" class="segnas-button" data-camera>'
        "Start the camera</button>"
        f'<label class="opacity"><span>Opacity</span>{range_input("opacity", "", OPACITY)}</label>'
        f"</div></div>{fragments.tiles(SILENT)}"
        "<video muted playsinline hidden></video></div>"
    )

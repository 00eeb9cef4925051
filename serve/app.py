"""The page: a picture goes in, its classes come out, with the time that each step took."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import gradio as gr
from fastapi import FastAPI
from gradio.processing_utils import save_bytes_to_cache

import images
from export.bundle import Manifest
from serve import fragments
from serve.palette import shares
from serve.predictor import View
from serve.queueing import Refused
from serve.service import Service

LONGEST = 1280
"""Pixels of the longer side of what is drawn: the mask has all of the picture's, for download."""
OPACITY = 0.55
SESSIONS = 200
"""Visitors whose last picture is kept for the slider, at most 7 MB each."""
WAITING = 32
"""Pictures that may wait for the engine before more are refused."""

Upload = Mapping[str, str]
"""What Gradio knows of an uploaded file; ``path`` is where its bytes are."""
Shown = tuple[str, str | None, str | None, str, str, View | None]
"""Message, overlay, mask, timing, legend, and the view that the slider blends."""


def mount(server: FastAPI, service: Service) -> FastAPI:
    """Put the page of a service at ``/``, under all routes that ``server`` already has."""
    return gr.mount_gradio_app(
        server,
        layout(service),
        path="/",
        root_path=server.root_path or None,
        allowed_paths=[],
        max_file_size=images.MAX_BYTES,
        show_error=False,
        ssr_mode=False,
        enable_monitoring=False,
        run_history=False,
        footer_links=[],
        theme=theme(),
        css_paths=[Path(__file__).with_name("page.css")],
    )


def theme() -> gr.themes.Base:
    """Colours and the system's own fonts: a font service would be an outside request."""
    base = gr.themes.Default(
        primary_hue="teal",
        neutral_hue="slate",
        radius_size="lg",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )
    return base.set(body_background_fill="*neutral_100", block_shadow="0 1px 3px #0f172a14")


def layout(service: Service) -> gr.Blocks:
    """Header, then picture and overlay, then mask and legend; side by side where there is room."""
    manifest = service.bundle.manifest
    with gr.Blocks(
        title=f"{manifest.name} - segnas", analytics_enabled=False, delete_cache=(300, 900)
    ) as page:
        gr.HTML(fragments.header(manifest, service.owner.facts), elem_id="header")
        message = gr.HTML(elem_id="message")
        with gr.Row(equal_height=False):
            with gr.Column():
                picture = picture_input(service.bundle.path)
            with gr.Column():
                overlay = image_output("Overlay", "overlay")
                opacity = gr.Slider(0, 1, OPACITY, step=0.05, label="Opacity", elem_id="opacity")
        with gr.Row(equal_height=False):
            with gr.Column():
                mask = image_output("Mask", "mask")
            with gr.Column():
                timing = gr.HTML(elem_id="timing")
                legend = gr.HTML(fragments.classes(manifest), elem_id="legend")
        view = gr.State(time_to_live=900)
        connect(service, picture, opacity, [message, overlay, mask, timing, legend, view])
    harden(page)
    return page


def picture_input(bundle: Path) -> gr.Image:
    picture = gr.Image(
        label="Picture",
        elem_id="picture",
        type="filepath",
        sources=["upload", "clipboard"],
        buttons=[],
        placeholder="# Drop a picture here\nor click to choose one, or paste it",
    )
    examples = [str(p) for p in sorted((bundle / "examples").glob("*")) if p.suffix in SUFFIXES]
    if examples:
        gr.Examples(examples, picture, label="Or try one of these", api_visibility="private")
    return picture


SUFFIXES = (".png", ".jpg")


def image_output(label: str, elem_id: str) -> gr.Image:
    return gr.Image(
        label=label, elem_id=elem_id, interactive=False, buttons=["download", "fullscreen"]
    )


def connect(
    service: Service,
    picture: gr.Image,
    opacity: gr.Slider,
    outputs: list[gr.components.Component],
) -> None:
    """A new picture runs the network; a moved slider only blends again."""
    _, overlay, *_, view = outputs

    def show(upload: Upload | None, opacity: float) -> Shown:
        return shown(service, upload, opacity, Path(overlay.GRADIO_CACHE))

    def blend(view: View | None, opacity: float) -> str | None:
        return blended(view, opacity, Path(overlay.GRADIO_CACHE)) if view else None

    # preprocess=False: Gradio would decode the file, and write it again, before images.read sees it
    picture.change(
        show,
        [picture, opacity],
        outputs,
        preprocess=False,
        concurrency_id="engine",
        concurrency_limit=1,
        api_visibility="private",
    )
    opacity.change(
        blend,
        [view, opacity],
        overlay,
        show_progress="hidden",
        concurrency_limit=4,
        api_visibility="private",
    )


def shown(service: Service, upload: Upload | None, opacity: float, cache: Path) -> Shown:
    """Everything that the page says about a picture, or why it cannot."""
    manifest = service.bundle.manifest
    if upload is None:
        return nothing(manifest)
    try:
        path = uploaded(upload, cache)
        with service.owner.admit() as place:
            predict = service.predictor(place).predict
            took = predict(path, opacity, longest=LONGEST, name="The picture")
    except (images.BadImage, Refused) as error:
        return nothing(manifest, fragments.alert(str(error)))
    return (
        "",
        cached(images.encode_jpeg(took.overlay), "overlay.jpg", cache),
        cached(images.encode_png(took.labels, manifest.palette), "mask.png", cache),
        fragments.timing(took.timing),
        fragments.legend(manifest, shares(took.labels, len(manifest.classes))),
        took.view,
    )


def nothing(manifest: Manifest, message: str = "") -> Shown:
    return message, None, None, "", fragments.classes(manifest), None


def uploaded(upload: Upload, cache: Path) -> Path:
    """Where Gradio put an upload: a request may name any path, and only its cache is the page's."""
    path = Path(str(upload.get("path"))).resolve()
    if not path.is_relative_to(cache.resolve()):
        raise images.BadImage("The picture was not uploaded here: choose it again.")
    return path


def blended(view: View, opacity: float, cache: Path) -> str:
    return cached(images.encode_jpeg(view.overlay(opacity)), "overlay.jpg", cache)


def cached(data: bytes, name: str, cache: Path) -> str:
    path: str = save_bytes_to_cache(data, name, str(cache))
    return path


def harden(page: gr.Blocks) -> None:
    """What Gradio leaves open, or unlimited, in a page that is mounted rather than launched."""
    page.queue(max_size=WAITING, api_open=False)
    page.state_session_capacity = SESSIONS
    # Until this is set Gradio takes any path of this machine for an uploaded file.
    page.has_launched = True

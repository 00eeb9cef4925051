"""The layout of the page: its header, its tabs, and what Gradio would leave open."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import gradio as gr
from fastapi import FastAPI
from gradio.routes import App
from starlette.routing import Mount

import images
from serve import fragments
from serve.choices import Choices
from serve.dossier import dossier
from serve.page import compare, picture, video, webcam
from serve.queueing import Refused
from serve.service import Service

SESSIONS = 200
"""Visitors whose place on the page is remembered."""
WAITING = 32
"""Events that may wait before more are refused."""
HERE = Path(__file__).parent
NARROW = "@media (max-width: 640px) { .gradio-container .fillable { padding: 12px !important; } }"
"""Gradio puts every rule of ``page.css`` below this element, so that it cannot be named there."""
HEAD = f"<style>{NARROW}</style><script>{(HERE / 'page.js').read_text('utf-8')}</script>"


def mount(server: FastAPI, choices: Choices) -> FastAPI:
    """Put the page at ``/``, under all routes that ``server`` already has."""
    return gr.mount_gradio_app(
        server,
        layout(choices),
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
        css_paths=[HERE / "page.css"],
        head=HEAD,
    )


def ending(server: FastAPI, choices: Choices) -> Callable[[], None]:
    """What lets open pages go: a browser holds an event stream as long as its page is open."""
    mounts = [route.app for route in server.routes if isinstance(route, Mount)]
    page = next(mounted for mounted in mounts if isinstance(mounted, App))

    def end() -> None:
        choices.ending.set()
        page.stop_event.set()

    return end


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


def layout(choices: Choices) -> gr.Blocks:
    """Which network it is, and a tab for each thing to do with it."""
    first = choices.first
    title = f"{first.bundle.manifest.name} - segnas"
    with gr.Blocks(title=title, analytics_enabled=False, delete_cache=(300, 900)) as page:
        with gr.Row(elem_id="top", equal_height=False):
            header = gr.HTML(named(first), elem_id="header", min_width=280)
            choice = selector(choices, "choice")
        with gr.Tabs(elem_id="tabs", overflow_behavior="wrap"):
            with gr.Tab("Picture", id="picture"):
                picture.tab(choices, choice)
            with gr.Tab("Webcam", id="webcam"):
                beside_camera = webcam.tab(first)
            with gr.Tab("Video", id="video"):
                beside_film = video.tab(choices, choice)
            with gr.Tab("Compare", id="compare"):
                compare.tab(choices)
            with gr.Tab("About", id="about"):
                about = gr.HTML(dossier(first.bundle), elem_id="about", elem_classes="segnas-html")
        choice.change(
            lambda name: chosen(choices, name),
            choice,
            [header, about, beside_camera, beside_film],
            preprocess=False,
            concurrency_limit=4,
            api_visibility="private",
        )
    harden(page)
    return page


def selector(choices: Choices, elem_id: str) -> gr.Dropdown:
    """What can be run here."""
    label = "Network, runtime and precision" if choices.several else "Runtime and precision"
    return gr.Dropdown(
        choices.names,
        value=choices.names[0],
        label=label,
        elem_id=elem_id,
        filterable=False,
        min_width=240,
        scale=0,
    )


def named(service: Service) -> str:
    return fragments.header(service.name, service.bundle.manifest, service.owner.facts)


def chosen(choices: Choices, name: object) -> list[object]:
    """Header, dossier and legends of another choice, begun now; as they were if it does not go."""
    try:
        service = choices.service(name)
    except Refused:
        return [gr.skip()] * 4
    legend = fragments.classes(service.bundle.manifest)
    return [named(service), dossier(service.bundle), legend, legend]


def harden(page: gr.Blocks) -> None:
    """What Gradio leaves open, or unlimited, in a page that is mounted rather than launched."""
    page.queue(max_size=WAITING, api_open=False)
    page.state_session_capacity = SESSIONS
    # Until this is set Gradio takes any path of this machine for an uploaded file.
    page.has_launched = True

"""The tab of a video: it goes in, a video of classes comes out, with a bar until then."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import gradio as gr

import images
from serve import fragments
from serve.choices import Choices
from serve.frames import MAX_FRAMES
from serve.page.cache import folder, uploaded
from serve.queueing import Refused
from serve.video import BadVideo, Progress, segmented
from serve.viewer import OPACITY

EVERY = 0.4
"""Seconds from one word about a video to the next."""
NAME = "segmented.mp4"
LIMITS = (
    f"MP4, MOV, WebM, MKV or AVI of at most {images.MAX_BYTES >> 20} MiB and {MAX_FRAMES} frames "
    "(a minute at 30 a second). Sound is left out, and nothing is kept."
)

Told = tuple[str, str, object]
"""Message, progress, and the video once it is there."""


def tab(choices: Choices, choice: gr.Dropdown) -> gr.HTML:
    """A video on the left, what came of it on the right.  Its legend."""
    message = gr.HTML(elem_id="video-message", elem_classes="segnas-message")
    with gr.Row(equal_height=False):
        with gr.Column():
            film = gr.Video(label="Video", sources=["upload"], elem_id="film", buttons=[])
            gr.HTML(f'<p class="soft">{LIMITS}</p>', elem_classes="segnas-html")
            opacity = gr.Slider(0, 1, OPACITY, step=0.05, label="Opacity", elem_id="film-opacity")
            with gr.Row():
                start = gr.Button("Segment it", variant="primary", elem_id="film-start")
                stop = gr.Button("Stop", elem_id="film-stop")
        with gr.Column():
            made = gr.Video(
                label="Its classes", interactive=False, elem_id="made", buttons=["download"]
            )
            progress = gr.HTML(elem_id="progress", elem_classes="segnas-html")
            classes = fragments.classes(choices.first.bundle.manifest)
            legend = gr.HTML(classes, elem_id="film-legend", elem_classes="segnas-html")

    def run(upload: object, opacity: object, name: object) -> Iterator[Told]:
        yield from told(choices, upload, opacity, name)

    running = gr.on(
        [film.upload, start.click],
        run,
        [film, opacity, choice],
        [message, progress, made],
        preprocess=False,  # Gradio would look at the file with a program that may not be there
        show_progress="hidden",
        concurrency_id="video",
        concurrency_limit=1,
        trigger_mode="once",
        api_visibility="private",
    )
    stop.click(lambda: "", None, progress, cancels=[running], api_visibility="private")
    return legend


def told(choices: Choices, upload: object, opacity: object, name: object) -> Iterator[Told]:
    """What the page says while a video is made, and why it cannot be."""
    try:
        yield "", bar(Progress(0, 0, 0, 0)), None
        service, path = choices.service(name), path_of(upload)
        blend = min(1.0, max(0.0, float(opacity))) if isinstance(opacity, int | float) else OPACITY
        with room() as place:
            out, last, at = place / NAME, Progress(0, 0, 0, 0), 0.0
            for last in segmented(path, out, service, blend, choices.ending.is_set):
                if time.monotonic() > at + EVERY:
                    at = time.monotonic()
                    yield "", bar(last), gr.skip()
            yield "", numbers(last), str(out)
    except (images.BadImage, BadVideo, Refused) as error:
        yield fragments.alert(str(error)), "", None


@contextmanager
def room() -> Iterator[Path]:
    """A folder in the cache for what is made; gone where it is not made to its end."""
    place = Path(tempfile.mkdtemp(dir=folder()))
    try:
        yield place
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise


def path_of(upload: object) -> Path:
    if not isinstance(upload, Mapping):
        raise BadVideo("There is no video yet: choose one first.")
    return uploaded(upload)


def bar(progress: Progress) -> str:
    """How far it is; without an end where the file does not say how many frames it has."""
    end = max(progress.frames, progress.done)
    far = f'value="{progress.done}" max="{end}"' if progress.frames else ""
    drawn = f'<progress {far} aria-label="Progress"></progress>'
    return f'<div class="card">{drawn}{words(progress)}</div>'


def words(progress: Progress) -> str:
    of = f" of {progress.frames}" if progress.frames else ""
    return f"<p>{progress.done}{of} frames, {progress.fps:.1f} FPS</p>"


def numbers(progress: Progress) -> str:
    """What a video that is done amounts to."""
    return fragments.tiles(
        [
            ("frames", str(progress.done), ""),
            ("all of it", f"{progress.seconds:.1f}", "s"),
            ("mean rate", f"{progress.fps:.1f}", "FPS"),
            ("infer, mean", f"{progress.infer:.1f}", "ms"),
        ]
    )

"""The tab of a picture: it goes in, its classes come out, with the time that each step took."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import gradio as gr

import images
from export.inspection import EXAMPLES_FOLDER, named
from serve import fragments
from serve.choices import Choices
from serve.page.cache import cached, uploaded
from serve.palette import colour, shares
from serve.predictor import Prediction
from serve.queueing import Refused
from serve.service import Service
from serve.viewer import OPACITY, viewer

LONGEST = 1280
"""Pixels of the longer side of what is shown: what is taken away has all of the picture's."""
AT_A_TIME = 2
"""Pictures of up to 120 MB each that are in memory, whatever engine they wait for."""
EXAMPLES = 8
DOWNLOADS = ("labels.png", "colours.png", "overlay.jpg", "shares.json")

Shown = tuple[object, ...]
"""Message, result, and what can be taken away."""


@dataclass(frozen=True)
class Answer:
    """A picture as a service sees it."""

    service: Service
    found: Prediction
    waited: float
    """Milliseconds in the queue."""

    @property
    def shares(self) -> list[float]:
        return shares(self.found.labels, len(self.service.bundle.manifest.classes))

    def html(self) -> str:
        manifest = self.service.bundle.manifest
        parts = viewer(self.found.view), fragments.timing(self.found.timing)
        return (
            f'<div class="result">{"".join(parts)}{fragments.legend(manifest, self.shares)}</div>'
        )

    def document(self) -> dict[str, object]:
        """Everything as JSON."""
        manifest, facts = self.service.bundle.manifest, self.service.owner.facts
        height, width = self.found.labels.shape
        ranked = sorted(enumerate(self.shares), key=lambda pair: -pair[1])
        return {
            "model": self.service.name,
            "runtime": facts.runtime,
            "precision": facts.arithmetic,
            "device": facts.device,
            "threads": facts.threads,
            "height": height,
            "width": width,
            "classes": [
                {"index": index, "name": manifest.classes[index], "share": share}
                for index, share in ranked
            ],
            "milliseconds": {**vars(self.found.timing), "queue": self.waited},
        }

    def files(self) -> list[bytes]:
        """What :data:`DOWNLOADS` names."""
        labels, palette = self.found.labels, self.service.bundle.manifest.palette
        return [
            images.encode_png(labels),
            images.encode_png(colour(labels, palette)),
            images.encode_jpeg(self.found.overlay),
            json.dumps(self.document(), indent=2).encode(),
        ]


def tab(choices: Choices, choice: gr.Dropdown) -> None:
    """Picture on the left, what is seen in it on the right; one column where there is no room."""
    message = gr.HTML(elem_id="message", elem_classes="segnas-message")
    with gr.Row(equal_height=False):
        with gr.Column():
            picture = picture_input(choices, "picture")
        with gr.Column():
            result = gr.HTML(nothing(choices.first), elem_id="result", elem_classes="segnas-html")
            with gr.Row(elem_id="downloads"):
                buttons = [download(name) for name in DOWNLOADS]
    gr.on(
        [picture.change, choice.change],
        lambda upload, name: shown(choices, upload, name),
        [picture, choice],
        [message, result, *buttons],
        # Gradio would decode the file, and write it again, before images.read sees it
        preprocess=False,
        concurrency_id="pictures",
        concurrency_limit=AT_A_TIME,
        trigger_mode="always_last",
        api_name="show",
        api_visibility="private",
    )


def picture_input(choices: Choices, elem_id: str) -> gr.Image:
    picture = gr.Image(
        label="Picture",
        elem_id=elem_id,
        type="filepath",
        sources=["upload", "clipboard"],
        buttons=[],
        placeholder="# Drop a picture here\nor click to choose one, or paste it",
    )
    if found := examples(choices):
        gr.Examples(found, picture, label="Or try one of these", api_visibility="private")
    return picture


def examples(choices: Choices) -> list[str]:
    """Pictures of the bundles that are served, none twice."""
    found: dict[str, Path] = {}
    for service in choices.services.values():
        digests = service.bundle.manifest.files
        for name, path in list(named(service.bundle, EXAMPLES_FOLDER).items())[:EXAMPLES]:
            if path.suffix in (".png", ".jpg"):
                found.setdefault(digests[f"{EXAMPLES_FOLDER}/{name}"], path)
    return [str(path) for path in list(found.values())[:EXAMPLES]]


def download(name: str) -> gr.DownloadButton:
    stem, _, kind = name.partition(".")
    label = f"{stem.capitalize()} ({kind.upper()})"
    return gr.DownloadButton(label, size="sm", min_width=120, interactive=False, elem_id=stem)


def shown(choices: Choices, upload: object, name: object) -> Shown:
    """Everything that the page says about a picture, or why it cannot."""
    try:
        service = choices.service(name)
        if upload is None:
            return refused(service)
        answer = answered(service, uploaded(upload))
    except (images.BadImage, Refused) as error:
        return refused(choices.first, str(error))
    files = zip(answer.files(), DOWNLOADS, strict=True)
    updates = [gr.update(value=cached(data, name), interactive=True) for data, name in files]
    return "", answer.html(), *updates


def answered(service: Service, path: Path) -> Answer:
    """A picture's way through the queue of a service: what it waited is no part of ``infer``."""
    with service.owner.admit() as place:
        predict = service.predictor(place).predict
        found = predict(path, OPACITY, longest=LONGEST, name="The picture")
        waited = 1000 * place.waited
    timing = replace(found.timing, infer=max(1e-3, found.timing.infer - waited))
    return Answer(service, replace(found, timing=timing), waited)


def refused(service: Service, message: str = "") -> Shown:
    said = fragments.alert(message) if message else ""
    return said, nothing(service), *empty(DOWNLOADS)


def nothing(service: Service) -> str:
    """The result of a page that has no picture yet."""
    return f'<div class="result">{fragments.classes(service.bundle.manifest)}</div>'


def empty(names: Sequence[str]) -> list[object]:
    return [gr.update(value=None, interactive=False) for _ in names]

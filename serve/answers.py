"""What the REST routes answer: a picture's labels, shares or overlay, and what a model is."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from fastapi import Response
from pydantic import BaseModel

import images
from images import Labels
from serve.choices import on
from serve.palette import overlay, shares
from serve.queueing import Place
from serve.service import Service

NAME = "The picture"
"""What messages call it: a sender's own name for it is never repeated."""

Output = Literal["labels", "shares", "overlay"]


class Share(BaseModel):
    """How much of the picture a class covers, 0..1."""

    index: int
    name: str
    share: float


class Shares(BaseModel):
    """What is in a picture, largest first; what is missing from 1 has no class."""

    model: str
    height: int
    width: int
    classes: list[Share]


class Described(BaseModel):
    """A model: what it answers, and what it runs on."""

    name: str
    title: str
    classes: list[str]
    palette: list[tuple[int, int, int]]
    height: int
    width: int
    data: str
    scores: Mapping[str, float]
    runtime: str
    precision: str
    device: str
    threads: int
    ready: bool
    engines: list[str]
    """What it can be run on here, by ``?engine=``."""


@dataclass(frozen=True)
class Answer:
    """What goes back."""

    body: bytes
    media_type: str
    timing: str
    """The header ``Server-Timing``: milliseconds of reading, waiting and all of it."""

    def response(self) -> Response:
        headers = {"Server-Timing": self.timing, "X-Content-Type-Options": "nosniff"}
        return Response(self.body, headers=headers, media_type=self.media_type)


def described(service: Service) -> Described:
    manifest, facts = service.bundle.manifest, service.owner.facts
    return Described(
        name=service.name,
        title=manifest.name,
        classes=list(manifest.classes),
        palette=list(manifest.palette),
        height=manifest.size[0],
        width=manifest.size[1],
        data=manifest.data,
        scores=manifest.scores,
        runtime=facts.runtime,
        precision=facts.arithmetic,
        device=facts.device,
        threads=facts.threads,
        ready=service.ready,
        engines=list(dict.fromkeys(on(service))),
    )


def answered(
    service: Service, data: bytes, output: Output, opacity: float, place: Place
) -> Response:
    """Read, infer and write a picture, in a worker's thread."""
    start = time.perf_counter()
    pixels = images.decode(data, NAME)
    read = time.perf_counter()
    labels = service.predictor(place)(pixels)
    body, media_type = written(service, pixels, labels, output, opacity)
    spans = {"read": read - start, "wait": place.waited, "total": time.perf_counter() - start}
    timing = ", ".join(f"{name};dur={1000 * span:.1f}" for name, span in spans.items())
    return Answer(body, media_type, timing).response()


def written(
    service: Service, pixels: images.Pixels, labels: Labels, output: Output, opacity: float
) -> tuple[bytes, str]:
    """The answer's bytes and their type."""
    palette = service.bundle.manifest.palette
    if output == "labels":
        return images.encode_png(labels, palette), "image/png"
    if output == "overlay":
        return images.encode_jpeg(overlay(pixels, labels, palette, opacity)), "image/jpeg"
    return counted(service, labels).model_dump_json().encode(), "application/json"


def counted(service: Service, labels: Labels) -> Shares:
    names, (height, width) = service.bundle.manifest.classes, labels.shape
    rows = [
        Share(index=index, name=names[index], share=share)
        for index, share in enumerate(shares(labels, len(names)))
    ]
    ranked = sorted(rows, key=lambda row: -row.share)
    return Shares(model=service.name, height=height, width=width, classes=ranked)

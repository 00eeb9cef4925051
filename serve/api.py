"""The REST routes: a picture in, its labels, shares or overlay out; models, health, metrics."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

import images
from images import BadImage, Labels
from serve import problems
from serve.choices import Choices, on
from serve.metrics import Metrics
from serve.palette import overlay, shares
from serve.problems import RESPONSES, Problem, problem_of
from serve.queueing import Late, Place, Refused
from serve.service import Service
from serve.uploads import Uploads

NAME = "The picture"
"""What messages call it: a sender's own name for it is never repeated."""
LEFT = 499
"""The status of a request whose sender did not wait; only the metrics see it."""

Output = Literal["labels", "shares", "overlay"]
Model = Annotated[str | None, Query(max_length=200, description="The first, if not named.")]
Chosen = Annotated[
    str | None,
    Query(max_length=200, description="Such as 'openvino int8'; as served, if not named."),
]
Opacity = Annotated[float, Query(ge=0, le=1, description="Of the colours in an overlay.")]

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
ALLOWED = {"segment": "POST", "models": "GET"}

BODY = {"schema": {"type": "string", "format": "binary"}}
FORM = {
    "schema": {
        "type": "object",
        "required": ["image"],
        "properties": {"image": {"type": "string", "format": "binary"}},
    }
}
DESCRIBED = {
    "requestBody": {
        "required": True,
        "description": "JPEG, PNG, WebP, BMP, TIFF or GIF of at most 20 MiB and 40 megapixels.",
        "content": {"application/octet-stream": BODY, "multipart/form-data": FORM},
    }
}
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "PNG of class numbers in the classes' colours, JSON of shares, or JPEG",
        "content": {"image/png": BODY, "image/jpeg": BODY},
    }
}


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


class Api:
    """The routes over some services."""

    def __init__(
        self,
        services: Sequence[Service],
        uploads: Uploads | None = None,
        choices: Choices | None = None,
    ) -> None:
        self.services = {service.name: service for service in services}
        self.uploads, self.metrics = uploads or Uploads(), Metrics(services)
        self.choices = choices or Choices(services)

    def router(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route(
            "/v1/segment",
            self.segment,
            methods=["POST"],
            response_model=Shares,
            responses={**ANSWERS, **RESPONSES},
            openapi_extra=DESCRIBED,
        )
        router.add_api_route("/v1/models", self.models, response_model=list[Described])
        router.add_api_route("/healthz", self.healthz)
        router.add_api_route("/readyz", self.readyz)
        router.add_api_route("/metrics", self.measured, include_in_schema=False)
        # Without it the page, which is at /, would answer for what the API does not have.
        router.add_api_route("/v1/{path:path}", absent, methods=METHODS, include_in_schema=False)
        return router

    @asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        """Engines that were begun on the way are put away when all have been answered."""
        yield
        await asyncio.to_thread(self.choices.close)

    async def segment(
        self,
        request: Request,
        model: Model = None,
        output: Output = "labels",
        opacity: Opacity = 0.55,
        engine: Chosen = None,
    ) -> Response:
        """The labels of a picture as a PNG, the classes' shares as JSON, or its overlay as JPEG."""
        service = await self.chosen(self.find(model), engine)
        began, status = time.perf_counter(), 500
        try:
            response = await self.answer(request, service, output, opacity)
            status = response.status_code
            return response
        except Problem as problem:
            status = problem.status
            raise
        finally:
            self.metrics.count(service, status, time.perf_counter() - began)

    async def answer(
        self, request: Request, service: Service, output: Output, opacity: float
    ) -> Response:
        """What a service says of the picture in a request; a ``Problem`` says why nothing."""
        try:
            async with self.uploads.picture(request) as data:
                work = partial(answered, service, data, output, opacity)
                return await carried_out(request, service, work)
        except (BadImage, Refused) as error:
            raise problem_of(error) from None

    def find(self, model: str | None) -> Service:
        name = next(iter(self.services)) if model is None else model
        if name not in self.services:
            raise Problem(404, "There is no model of that name: /v1/models lists them.")
        return self.services[name]

    async def chosen(self, service: Service, engine: str | None) -> Service:
        """The service on another engine of its bundle, which is begun where it is not."""
        if engine is None:
            return service
        name = self.choices.called(service.name, engine)
        if name not in self.choices.offered:
            raise Problem(404, "There is no such engine: /v1/models lists them.")
        try:
            return await asyncio.to_thread(self.choices.service, name)
        except Refused as error:
            raise problem_of(error) from None

    async def models(self) -> list[Described]:
        """What is served."""
        return [described(service) for service in self.services.values()]

    async def healthz(self) -> dict[str, str]:
        """Answered as long as the process serves requests."""
        return {"status": "ok"}

    async def readyz(self) -> JSONResponse:
        """200 where every model answers: its bundle whole, its warm-up right, and not stuck."""
        ready = {name: service.ready for name, service in self.services.items()}
        status = "ready" if all(ready.values()) else "not ready"
        body = {"status": status, "models": ready}
        return JSONResponse(body, 200 if all(ready.values()) else 503)

    async def measured(self) -> Response:
        """Prometheus's text."""
        return Response(self.metrics.text(), media_type=CONTENT_TYPE_LATEST)


def rest(
    services: Sequence[Service], uploads: Uploads | None = None, choices: Choices | None = None
) -> FastAPI:
    """The API over some services.  It has no page for its docs: theirs load from outside."""
    api = Api(services, uploads, choices)
    app = FastAPI(title="segnas", docs_url=None, redoc_url=None, lifespan=api.lifespan)
    problems.install(app)
    app.include_router(api.router())
    return app


async def absent(path: str) -> None:
    """Every other path and method below ``/v1``."""
    if path not in ALLOWED:
        raise HTTPException(404)
    raise HTTPException(405, headers={"Allow": ALLOWED[path]})


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


async def carried_out(
    request: Request, service: Service, work: Callable[[Place], Response]
) -> Response:
    """Let a worker do ``work`` in a place of the queue, until the deadline or the sender leaves.

    The place is free when the work has ended, also where nobody waits for it any more.  An error
    knows the frames it came through: this one must not know the error, or the picture would stay
    until Python looks for such circles.
    """
    place = service.owner.admit()
    future: Future[Response] = service.workers.submit(work, place)
    future.add_done_callback(lambda _: place.close())
    task = asyncio.wrap_future(future)
    gone = asyncio.create_task(left(request))
    either: set[asyncio.Future[Any]] = {task, gone}
    try:
        await asyncio.wait(either, timeout=place.remaining, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        if gone.done():
            return Response(status_code=LEFT)
        raise Late
    finally:
        gone.cancel()
        if not task.done():
            place.leave()
            task.cancel()
        del task, future, either


async def left(request: Request) -> None:
    """Returns when the sender of a request that is read to its end closes the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass

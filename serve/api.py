"""The REST routes: a picture in, its labels, shares or overlay out; models, health, metrics."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST

from images import BadImage
from serve import problems
from serve.answers import Described, Output, Shares, answered, described
from serve.choices import Choices
from serve.metrics import Metrics
from serve.problems import RESPONSES, Problem, problem_of
from serve.queueing import Late, Place, Refused
from serve.service import Service
from serve.uploads import Uploads

LEFT = 499
"""The status of a request whose sender did not wait; only the metrics see it."""

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

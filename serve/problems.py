"""Problems: every refusal of the API as one sentence in JSON (RFC 9457), and nothing else in it."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from images import BadImage
from serve.queueing import Busy, Late, Refused

MEDIA_TYPE = "application/problem+json"
ELSEWHERE = "There is nothing of this kind here: /openapi.json says what there is."


class Problem(Exception):
    """A request that is refused with a status and a sentence."""

    def __init__(self, status: int, detail: str, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.retry_after = status, detail, retry_after


class ProblemDetails(BaseModel):
    """RFC 9457: what went wrong and what to do."""

    title: str
    status: int
    detail: str


def problem_of(error: BadImage | Refused) -> Problem:
    """What the queue or the decoder said, with its status."""
    if isinstance(error, BadImage):
        return Problem(422, str(error))
    if isinstance(error, Late):
        return Problem(504, str(error))
    return Problem(503, str(error), error.seconds if isinstance(error, Busy) else 1)


def answer(problem: Problem) -> JSONResponse:
    title = HTTPStatus(problem.status).phrase
    body = ProblemDetails(title=title, status=problem.status, detail=problem.detail)
    wait = problem.retry_after
    headers = {} if wait is None else {"Retry-After": str(wait)}
    return JSONResponse(body.model_dump(), problem.status, headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Let every error of ``app`` be a problem.

    FastAPI's own answers repeat what was sent; what was sent is never repeated here.
    """

    @app.exception_handler(Problem)
    async def refused(_: Request, error: Problem) -> JSONResponse:
        return answer(error)

    @app.exception_handler(HTTPException)
    async def unsuitable(_: Request, error: HTTPException) -> JSONResponse:
        found = answer(Problem(error.status_code, ELSEWHERE))
        found.headers.update(error.headers or {})
        return found

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        return answer(Problem(422, f"{first['loc'][-1]}: {first['msg']}."))

    @app.exception_handler(Exception)
    async def failed(_: Request, __: Exception) -> JSONResponse:
        return answer(Problem(500, "The server made a mistake: its log says which."))


RESPONSES: dict[int | str, dict[str, object]] = {
    status: {
        "description": why,
        "content": {MEDIA_TYPE: {"schema": ProblemDetails.model_json_schema()}},
    }
    for status, why in {
        400: "The body is empty, or not what its type says",
        404: "No such model",
        408: "The body did not arrive in time",
        413: "The body is larger than 20 MiB",
        415: "The body is compressed",
        422: "Not a picture that can be read, or a parameter out of range",
        503: "The queue is full; Retry-After says when to come again",
        504: "The picture was not done in time",
    }.items()
}
"""For the API's description."""

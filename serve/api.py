"""The REST routes: is the server alive."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()


@router.get("/healthz")
def healthz() -> dict[str, str]:
    """Answered as long as the process serves requests."""
    return {"status": "ok"}

"""/healthz, /readyz and /metrics."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from serve.api.errors import ApiError
from serve.api.keys import AdminDep
from serve.api.schemas import Reply
from serve.api.service import ServiceDep

router = APIRouter(tags=["Operations"])


class Health(Reply):
    status: Literal["ok"] = "ok"


class Readiness(Reply):
    """`waiting_for` names what is not there yet; nothing more is said to the unauthenticated."""

    status: Literal["ready", "not ready"]
    waiting_for: Literal["engine", "database", "shutdown"] | None = None


@router.get("/healthz")
async def healthz() -> Health:
    """The process lives."""
    return Health()


@router.get("/readyz", response_model=Readiness, responses={503: {"model": Readiness}})
async def readyz(service: ServiceDep) -> JSONResponse:
    """Whether turns can be answered now."""
    missing: Literal["engine", "database", "shutdown"] | None = None
    try:
        await service.store.ping()
        missing = None if service.migrated else "database"
    except ApiError:
        missing = "database"
    if service.drain.begun:
        missing = "shutdown"
    elif missing is None and not await service.slot.ready():
        missing = "engine"
    status = Readiness(status="not ready" if missing else "ready", waiting_for=missing)
    return JSONResponse(status.model_dump(), 503 if missing else 200, {"Retry-After": "1"} if missing else None)


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(caller: AdminDep, service: ServiceDep) -> Response:
    """Prometheus metrics of all processes; needs an admin's key."""
    return Response(service.metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")

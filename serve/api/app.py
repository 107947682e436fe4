"""The application: its parts, routes and layers, and what happens at its start and end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.routing import APIRoute

from dialog.errors import DialogError
from serve.api import chat, conversations, feedback, health, models, moderations, page, responses, tools, turns
from serve.api.admission import Admission
from serve.api.cors import Cors
from serve.api.document import describe
from serve.api.drain import Drain, on_signals
from serve.api.errors import ApiError, add_error_handlers
from serve.api.limits import Limits
from serve.api.loading import AgentSlot
from serve.api.metrics import Metrics
from serve.api.middleware import BodyGuard, Envelope, KeyGuard
from serve.api.runner import Runner
from serve.api.service import Service, known_roles
from serve.api.storage import Store, upgrade
from serve.api.storage.database import Database
from serve.api.telemetry import Tracer
from serve.errors import ServeError, SettingsError
from serve.settings import Settings

logger = logging.getLogger(__name__)

SETTINGS_VARIABLE = "GROUNDLING_WORKER_SETTINGS"
"""How a worker process is given the settings that its parent resolved."""

WORKER_FAILED = signal.SIGUSR1
"""How a worker tells its parent that none of them can start."""

DATABASE_RETRY_SECONDS = 2.0
SWEEP_SECONDS = 3_600.0


def create_app(
    settings: Settings, *, on_failure: Callable[[], None] = lambda: None, tracer: Tracer | None = None
) -> FastAPI:
    """The API with these settings; the agent is loaded once it runs.

    `on_failure` is called where the agent cannot be loaded at all. Raises RoleError, SettingsError.
    """
    service = build_service(settings, tracer or Tracer(settings))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        tasks = [
            asyncio.create_task(_prepare(service, on_failure)),
            asyncio.create_task(service.slot.load(on_failure)),
            asyncio.create_task(_sweep(service)),
        ]
        try:
            yield
        finally:
            service.drain.begin(0.0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await service.slot.aclose()
            await service.store.aclose()
            service.tracer.close()

    from importlib.metadata import PackageNotFoundError, version

    try:
        release = version("groundling")
    except PackageNotFoundError:
        release = "0"
    app = FastAPI(
        title="Groundling",
        version=release,
        summary="A grounded dialog agent: filtered, ranked, checked with tools, cited.",
        lifespan=lifespan,
        docs_url=None,  # the interactive pages load scripts from elsewhere; docs/api.md is the reference
        redoc_url=None,
        openapi_url="/openapi.json",
        generate_unique_id_function=_operation_id,
    )
    app.state.service = service
    for room in (chat, responses, moderations, models, turns, conversations, feedback, tools, health):
        app.include_router(room.router)
    app.include_router(models.native)
    if settings.page:
        app.include_router(page.router)
    describe(app)
    add_error_handlers(app)
    app.add_middleware(BodyGuard, max_bytes=settings.max_body_bytes, seconds=settings.body_seconds)
    app.add_middleware(KeyGuard, settings=settings, store=service.store, limits=service.limits)
    app.add_middleware(Envelope, settings=settings, metrics=service.metrics)
    if settings.cors_origins:
        app.add_middleware(Cors, origins=settings.cors_origins)
    return app


def build_service(settings: Settings, tracer: Tracer) -> Service:
    """The parts, connected; nothing is opened or loaded yet. Raises RoleError."""
    store = Store(Database(settings.database))
    slot = AgentSlot(settings)
    metrics = Metrics()
    admission = Admission(settings.max_running, settings.max_queue, metrics.set_queue)
    limits = Limits(store, settings)
    drain = Drain()
    runner = Runner(settings, slot, store, admission, limits, metrics, tracer, drain)
    roles, own = known_roles(settings.role)
    return Service(
        settings, slot, store, admission, limits, metrics, tracer, runner, roles=roles, own_role=own, drain=drain
    )


def worker_app() -> FastAPI:
    """The application of a worker process, from the settings that its parent left in the environment.

    What cannot be loaded here could not be in another worker either, so the parent is told to end them all.
    """
    from serve.api.logs import set_up_logs

    def on_failure() -> None:
        os.kill(os.getppid(), WORKER_FAILED)

    settings = Settings.model_construct(**Settings.model_validate_json(os.environ[SETTINGS_VARIABLE]).model_dump())
    set_up_logs(settings)
    try:
        app = create_app(settings, on_failure=on_failure)
        on_signals(app.state.service.drain, settings.drain_seconds)
        return app
    except Exception as error:
        logger.error("a worker cannot start: %s", error, exc_info=not isinstance(error, ServeError | DialogError))
        on_failure()
        raise SystemExit(1) from None


async def _prepare(service: Service, on_failure: Callable[[], None]) -> None:
    """Bring the database up to date, as soon as it is there; `on_failure` where that cannot be."""
    while True:
        try:
            await upgrade(service.store.database)
            service.migrated = True
            return
        except ApiError:
            await asyncio.sleep(DATABASE_RETRY_SECONDS)
        except SettingsError as error:
            service.slot.failure = error
            logger.error("the database cannot be used: %s", error)
            on_failure()
            return


async def _sweep(service: Service) -> None:
    """Delete what is past its retention period, now and every hour."""
    days = service.settings.retention_days
    while True:
        await asyncio.sleep(min(5.0, SWEEP_SECONDS))
        try:
            before = time.time() - days * 86_400 if days is not None else 0.0
            deleted = await service.store.delete_before(before)
            if deleted:
                logger.info("deleted turns past retention", extra={"turns": deleted})
        except ApiError:
            pass  # the database is down; it was logged, and the next sweep tries again
        await asyncio.sleep(SWEEP_SECONDS)


def _operation_id(route: APIRoute) -> str:
    return route.name

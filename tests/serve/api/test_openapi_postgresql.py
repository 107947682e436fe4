"""A few of the requests that schemathesis makes, on PostgreSQL: it is stricter about text than SQLite is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error

from serve.settings import load_settings

from .conftest import SCRIPTED, Running, running
from .postgres import Postgres
from .test_openapi import schema


@pytest.fixture(scope="module")
def on_postgresql(postgres: Postgres) -> Iterator[Running]:
    """A service in a thread with a loop of its own: schemathesis calls it from sync code."""
    postgres.wipe()
    found: list[Running] = []
    up, end = threading.Event(), threading.Event()

    async def serve() -> None:
        async with running(load_settings(agent=SCRIPTED, database=postgres.url, deadline_seconds=5)) as service:
            found.append(service)
            up.set()
            await asyncio.to_thread(end.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert up.wait(60)
    yield found[0]
    end.set()
    thread.join()


@schema.include(path_regex="conversations|turns|responses").parametrize()
@settings(
    max_examples=5, deadline=None, derandomize=True, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
def test_no_request_breaks_the_service(case, on_postgresql: Running):
    case.headers = {**(case.headers or {}), "Authorization": f"Bearer {on_postgresql.key}"}
    response = case.call(base_url=on_postgresql.url)
    case.validate_response(response, checks=(not_a_server_error,))

"""How many connections there may be, and what those past the bound are told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

import httpx

from serve.settings import Settings

from .conftest import Running, eventually, running


async def connect(service: Running, stack: AsyncExitStack) -> asyncio.StreamWriter:
    """An open connection without a request."""
    _, writer = await asyncio.open_connection("127.0.0.1", int(service.url.rsplit(":", 1)[1]))
    stack.callback(writer.close)
    return writer


async def test_a_connection_too_many_is_refused_in_the_one_shape_and_closed(settings_for: Callable[..., Settings]):
    settings = settings_for(max_connections=3, cors_origins=("https://app.example",))
    async with running(settings) as service, AsyncExitStack() as stack, service.client() as early:
        assert (await early.get("/v1/models")).status_code == 200
        held = [await connect(service, stack) for _ in range(2)]
        async with service.client() as late:
            refused = await late.get("/v1/models", headers={"Origin": "https://app.example"})
            probes = [await late.get(path) for path in ("/healthz", "/readyz")]
        assert refused.status_code == 503
        assert refused.json()["error"]["code"] == "too_many_connections"
        assert refused.json()["error"]["message"].startswith("3 connections are open already.")
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["connection"] == "close"
        assert refused.headers["x-request-id"]
        assert refused.headers["access-control-allow-origin"] == "https://app.example"
        assert "server" not in refused.headers
        assert [probe.status_code for probe in probes] == [200, 200]
        # Whoever was there before is served all the same, and a place that is given back is taken.
        assert (await early.get("/v1/models")).status_code == 200
        held[0].close()

        async def served() -> bool:
            async with httpx.AsyncClient(base_url=service.url) as another:
                return (await another.get("/web/app.js")).status_code == 200

        await eventually(served)

"""What happens around every request: HEAD as GET, and the key before the body."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import pytest

from serve.settings import Settings

from .conftest import Running, running


@pytest.mark.parametrize("path", ["/", "/web/app.js", "/healthz", "/readyz", "/metrics", "/v1/models", "/v1/turns/no"])
async def test_head_answers_as_get_does_without_the_body(service: Running, path: str):
    async with service.client() as client:
        got, head = await client.get(path), await client.head(path)
    assert head.status_code == got.status_code
    assert head.content == b""
    assert head.headers["content-type"] == got.headers["content-type"]
    if path != "/metrics":  # which counts the requests themselves
        assert head.headers["content-length"] == got.headers["content-length"]


async def test_head_is_refused_where_get_is_and_counted_as_itself(service: Running):
    async with service.client() as client:
        refused = await client.head("/v1/chat/completions")
        await client.head("/v1/models")
        counted = (await client.get("/metrics")).text
    assert refused.status_code == 405
    assert 'groundling_requests_total{method="HEAD",route="/v1/models",status="200"} 1.0' in counted


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        ("/v1/turns", b"{", "application/json"),
        ("/v1/chat/completions", b"\xff", "application/json"),
        ("/v1/responses", b"{}", "text/plain"),
        ("/v1/moderations", b"x" * 2_000_000, "application/json"),
        ("/v1/tools/none", b"[]", "application/json"),
        ("/v1/nowhere", b"{}", "application/json"),
    ],
)
async def test_who_has_no_key_is_told_so_whatever_they_send(service: Running, path: str, body: bytes, kind: str):
    for key, code in (("", "missing_api_key"), ("gl_wrong", "invalid_api_key")):
        async with service.client(key) as client:
            answer = await client.post(path, content=body, headers={"Content-Type": kind})
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, code)
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_who_has_no_key_cannot_hold_a_connection_with_a_slow_body(settings_for: Callable[..., Settings]):
    async with running(settings_for(header_seconds=0.4)) as service:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(service.url.rsplit(":", 1)[1]))
        head = "POST /v1/turns HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
        writer.write(head.encode())
        answered = asyncio.create_task(reader.read())

        async def dawdle() -> None:
            with contextlib.suppress(ConnectionError):
                while not answered.done():
                    writer.write(b" ")
                    await writer.drain()
                    await asyncio.sleep(0.05)

        async with asyncio.timeout(10):
            await dawdle()
        with contextlib.suppress(ConnectionError):
            assert (await answered).startswith(b"HTTP/1.1 401")
        writer.close()

"""Pages of other origins: what the official JavaScript client and the feedback of a page of one's own need."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from serve.settings import Settings

from .conftest import Running, running

ORIGIN = "https://app.example"
SDK_HEADERS = (
    "authorization,content-type,x-stainless-arch,x-stainless-lang,x-stainless-os,x-stainless-package-version,"
    "x-stainless-retry-count,x-stainless-runtime,x-stainless-runtime-version,x-stainless-timeout"
)
"""What a browser asks to send for the openai package of npm."""


@pytest.fixture
async def opened(settings_for: Callable[..., Settings]) -> AsyncIterator[Running]:
    """A service that one origin's pages may call."""
    settings = settings_for(cors_origins=(ORIGIN,), max_body_bytes=1_000, requests_per_minute=1)
    async with running(settings) as found:
        yield found


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("POST", "/v1/chat/completions", SDK_HEADERS),
        ("PUT", "/v1/turns/turn_1/feedback", "authorization,content-type"),
        ("PATCH", "/v1/conversations/conv_1", "authorization,content-type"),
        ("DELETE", "/v1/data", "authorization"),
        ("GET", "/v1/models", "authorization"),
    ],
)
async def test_a_named_origin_may_ask_with_any_headers(opened: Running, method: str, path: str, headers: str):
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers}
    async with opened.client("") as client:  # a browser sends no key with this
        answer = await client.options(path, headers=asked)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert method in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-headers"] == headers


async def test_another_origin_is_refused_in_the_one_shape(opened: Running):
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    async with opened.client("") as client:
        answer = await client.options("/v1/turns", headers=asked)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "cors_refused"
    assert "https://evil.example" in answer.json()["error"]["message"]
    assert "access-control-allow-origin" not in answer.headers
    assert "Origin" in answer.headers["vary"]


async def test_every_error_can_be_read_by_the_page(opened: Running):
    json_type = {"Content-Type": "application/json"}
    async with opened.client() as client, opened.client("") as stranger:
        client.headers["Origin"] = stranger.headers["Origin"] = ORIGIN
        answers = [
            await stranger.get("/v1/models"),
            await client.get("/v1/turns/turn_1"),
            await client.get("/nowhere"),
            await client.put("/v1/turns", json={}),
            await client.post("/v1/turns", content=b"x" * 2_000, headers=json_type),
            await client.post("/v1/turns", content=b"text", headers={"Content-Type": "text/plain"}),
            await client.post("/v1/turns", content=b"{", headers=json_type),
        ]
    assert [answer.status_code for answer in answers] == [401, 404, 404, 405, 413, 415, 400]
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == ORIGIN, answer.request
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


async def test_limits_and_the_requests_id_can_be_read_by_the_page(opened: Running):
    async with opened.client() as client:
        answer = await client.post("/v1/turns", json={"message": "hello"}, headers={"Origin": ORIGIN})
    readable = answer.headers["access-control-expose-headers"].lower().split(", ")
    assert {"x-request-id", "retry-after"} <= set(readable)
    given = {name for name in answer.headers if name.startswith("x-ratelimit-")}
    assert given
    assert given <= set(readable)

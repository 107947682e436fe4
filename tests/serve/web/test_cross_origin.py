"""A page of another origin in a real Chromium, which asks the way OpenAI's JavaScript client does."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
from playwright.async_api import Browser

from serve.settings import load_settings

from ..api.conftest import SCRIPTED, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

EMPTY_PAGE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 15\r\nConnection: close\r\n\r\n<!doctype html>"
)

CALL = """async ({ url, key, method, body }) => {
  const headers = { Authorization: `Bearer ${key}`, "Content-Type": "application/json",
                    "x-stainless-lang": "js", "x-stainless-runtime": "browser:chrome", "x-stainless-retry-count": "0" };
  const answer = await fetch(url, { method, headers, body: JSON.stringify(body) });
  return { status: answer.status, json: await answer.json(), id: answer.headers.get("x-request-id"),
           left: answer.headers.get("x-ratelimit-remaining-requests") };
}"""


async def test_a_page_of_another_origin_chats_and_gives_feedback(
    browser: Browser, tmp_path: Path, empty_database: Path
):  # fmt: skip
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(EMPTY_PAGE)
        await writer.drain()
        writer.close()

    shutil.copy(empty_database, tmp_path / "serve.db")
    other = await asyncio.start_server(answer, "127.0.0.1", 0)
    origin = f"http://127.0.0.1:{other.sockets[0].getsockname()[1]}"
    settings = load_settings(
        agent=SCRIPTED, database=f"sqlite:///{tmp_path / 'serve.db'}", cors_origins=(origin,), requests_per_minute=9,
        max_body_bytes=1_000,
    )  # fmt: skip
    async with other, running(settings) as service:
        page = await browser.new_page()
        await page.goto(origin)

        async def call(method: str, path: str, body: dict) -> dict:
            asked = {"url": service.url + path, "key": service.key, "method": method, "body": body}
            return await page.evaluate(CALL, asked)

        chat = {"model": "groundling", "messages": [{"role": "user", "content": "say hello"}]}
        answered = await call("POST", "/v1/chat/completions", chat)
        turn = answered["json"]["choices"][0]["groundling"]["turn_id"]
        thumb = await call("PUT", f"/v1/turns/{turn}/feedback", {"thumb": "up"})
        refused = await call("POST", "/v1/turns", {"message": "x" * 2_000})
        await page.close()
    assert answered["json"]["choices"][0]["message"]["content"] == "hello"
    assert answered["id"].startswith("req_")
    assert answered["left"] == "8"
    assert (thumb["status"], thumb["json"]["thumb"]) == (200, "up")
    assert (refused["status"], refused["json"]["error"]["code"]) == (413, "request_too_large")

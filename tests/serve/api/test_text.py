"""Text as JavaScript may send it: half an emoji is refused by the name of its field, on both databases."""

from __future__ import annotations

import json
from typing import Any

from .conftest import Running

HALF = "a\ud83d"
"""What `"a😀".slice(0, 2)` is in JavaScript."""
SAY = {"model": "groundling", "input": "hi"}
CHAT = {"model": "groundling", "messages": [{"role": "user", "content": "hi"}]}

HALVES: list[tuple[str, dict[str, Any], str | None]] = [
    ("/v1/turns", {"message": HALF}, "message"),
    ("/v1/turns", {"message": "hi", "messages": [{"role": "user", "content": HALF}]}, "messages.0.content"),
    ("/v1/turns", {"message": "hi", "conversation": HALF}, "conversation"),
    ("/v1/turns", {"message": "hi", "role": HALF}, "role"),
    ("/v1/turns", {"message": "hi", "stop": [HALF]}, "stop.0"),
    ("/v1/turns", {"message": "hi", "tools": [HALF]}, "tools.0"),
    ("/v1/conversations", {"title": HALF}, "title"),
    ("/v1/responses", {**SAY, "input": HALF}, "input"),
    ("/v1/responses", {**SAY, "input": [{"type": HALF, "role": "user", "content": "x"}]}, "input.0.type"),
    ("/v1/responses", {**SAY, "instructions": HALF}, "instructions"),
    ("/v1/responses", {**SAY, "user": HALF}, "user"),
    ("/v1/responses", {**SAY, "metadata": {"a": HALF}}, "metadata.a"),
    ("/v1/responses", {**SAY, "metadata": {HALF: "a"}}, "metadata"),
    ("/v1/responses", {**SAY, "tools": [{"type": HALF}]}, "tools.0.type"),
    ("/v1/responses", {**SAY, "previous_response_id": HALF}, "previous_response_id"),
    ("/v1/responses", {**SAY, "text": {"format": {"type": HALF}}}, "text.format.type"),
    ("/v1/chat/completions", {**CHAT, "model": HALF}, "model"),
    ("/v1/chat/completions", {**CHAT, "user": HALF}, "user"),
    ("/v1/chat/completions", {**CHAT, "tools": [{"type": "function", "function": {"name": HALF}}]}, None),
    ("/v1/chat/completions", {**CHAT, "response_format": {"type": HALF}}, "response_format.type"),
    ("/v1/chat/completions", {**CHAT, "modalities": [HALF]}, "modalities.0"),
    ("/v1/moderations", {"input": HALF}, "input"),
    ("/v1/moderations", {"input": [{"type": HALF, "text": "x"}]}, None),
    ("/v1/tools/calculator", {"query": HALF}, "query"),
]


async def test_half_an_emoji_is_refused_by_the_name_of_its_field(stored: Running):
    async with stored.client() as client:
        turn = (await client.post("/v1/turns", json={"message": "hello"})).json()["id"]
        feedback = [(f"/v1/turns/{turn}/feedback", {"thumb": "up", name: HALF}, name) for name in ("better", "comment")]
        for path, body, param in [*HALVES, *feedback]:
            content = json.dumps(body)  # with the half written as \ud83d
            answer = await client.post(path, content=content, headers={"Content-Type": "application/json"})
            assert answer.status_code == 400, (path, body, answer.text)
            error = answer.json()["error"]
            assert param is None or error["param"] == param, (path, body, error)
            assert "half of a surrogate pair" in error["message"], error


async def test_a_whole_emoji_is_taken(stored: Running):
    async with stored.client() as client:
        made = await client.post("/v1/conversations", json={"title": "😀"})
        turn = await client.post("/v1/turns", json={"message": "say 😀 whole", "conversation": made.json()["id"]})
    assert turn.json()["reply"] == "😀 whole"

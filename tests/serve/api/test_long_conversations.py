"""Long conversations: read a page at a time, gone on with from what was said; on SQLite and on PostgreSQL."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from serve.api.runner import CHARACTERS_PER_TOKEN
from serve.api.storage import tables as t

from .conftest import Running


async def a_conversation(stored: Running, *messages: str) -> str:
    async with stored.client() as client:
        made = (await client.post("/v1/conversations", json={})).json()["id"]
        for message in messages:
            answer = await client.post("/v1/turns", json={"message": message, "conversation": made})
            assert answer.status_code == 200, answer.text
    return made


async def change_turns(stored: Running, **values: Any) -> None:
    await stored.service.store.database.write(lambda connection: connection.execute(update(t.turns).values(values)))


async def test_a_conversation_is_read_a_page_at_a_time_and_exported_whole(
    stored: Running, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("serve.api.conversations.EXPORT_PAGE", 2)
    name = await a_conversation(stored, *(f"say {i}" for i in range(5)))
    async with stored.client() as client:
        first = (await client.get(f"/v1/conversations/{name}", params={"limit": 2})).json()
        await client.put(f"/v1/turns/{first['turns'][1]['id']}/feedback", json={"thumb": "up"})
        pages, more = [first], True
        while more:
            after = pages[-1]["turns"][-1]["id"]
            answer = await client.get(f"/v1/conversations/{name}", params={"limit": 2, "after": after})
            pages.append(answer.json())
            more = pages[-1]["has_more"]
        whole = (await client.get(f"/v1/conversations/{name}")).json()
        exported = await client.get(f"/v1/conversations/{name}/export")
        one = (await client.get(f"/v1/turns/{whole['turns'][1]['id']}")).json()
        other = await a_conversation(stored, "say x")
        elsewhere = await client.get(f"/v1/conversations/{other}", params={"after": one["id"]})
    assert [[turn["reply"] for turn in page["turns"]] for page in pages] == [["0", "1"], ["2", "3"], ["4"]]
    assert [turn["reply"] for turn in whole["turns"]] == ["0", "1", "2", "3", "4"]
    assert exported.json() == whole
    assert not whole["has_more"]
    assert whole["turns"][1] == one
    assert one["feedback"]["thumb"] == "up"
    assert elsewhere.status_code == 404


async def test_an_empty_conversation_is_read_and_exported(stored: Running):
    name = await a_conversation(stored)
    async with stored.client() as client:
        whole = (await client.get(f"/v1/conversations/{name}")).json()
        exported = (await client.get(f"/v1/conversations/{name}/export")).json()
    assert whole["turns"] == []
    assert exported == whole


async def test_a_conversation_goes_on_without_its_traces_being_read(stored: Running):
    name = await a_conversation(stored, "say one", "say two")
    await change_turns(stored, document="not a trace")
    async with stored.client() as client:
        answer = await client.post("/v1/turns", json={"message": "say three", "conversation": name})
    assert [m["content"] for m in answer.json()["messages"]] == ["say one", "one", "say two", "two", "say three"]


async def test_turns_of_the_first_release_are_gone_on_from(stored: Running):
    name = await a_conversation(stored, "say one", "say two")
    await change_turns(stored, message=None, reply=None)  # it kept the document only
    async with stored.client() as client:
        answer = await client.post("/v1/turns", json={"message": "say three", "conversation": name})
    assert [m["content"] for m in answer.json()["messages"]] == ["say one", "one", "say two", "two", "say three"]


async def test_what_no_model_could_read_is_left_out(stored: Running):
    context = stored.agent.decoder.info.context_length
    name = await a_conversation(stored, *(f"say {i}" for i in range(4)))
    await change_turns(stored, message="a" * (context * CHARACTERS_PER_TOKEN // 3))
    async with stored.client() as client:
        answer = await client.post("/v1/turns", json={"message": "say more", "conversation": name})
    assert [len(m["content"]) < 20 for m in answer.json()["messages"]] == [False, True, False, True, True]
    assert answer.json()["reply"] == "more"

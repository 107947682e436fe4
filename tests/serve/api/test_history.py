"""Text that was deleted is gone from what later turns tell too; on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest
from alembic import command
from sqlalchemy import select, update

from dialog.turn import Turn
from serve.api.storage import tables as t
from serve.api.storage import upgrade
from serve.api.storage.migrate import config

from .conftest import Running


async def say(client: httpx.AsyncClient, text: str, **more: Any) -> dict[str, Any]:
    answer = await client.post("/v1/turns", json={"message": f"say {text}", **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def respond(client: httpx.AsyncClient, given: Any, **more: Any) -> str:
    answer = await client.post("/v1/responses", json={"model": "groundling", "input": given, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()["id"]


async def told(client: httpx.AsyncClient, response_id: str) -> list[str]:
    """What a response's turn says that it was given."""
    turn = await client.get(f"/v1/turns/{response_id.replace('resp_', 'turn_')}")
    return [message["content"] for message in turn.json()["messages"]]


async def documents(stored: Running) -> list[dict[str, Any]]:
    query = select(t.turns.c.document).order_by(t.turns.c.created)
    rows = await stored.service.store.database.read(lambda connection: connection.execute(query).all())
    return [json.loads(row.document) for row in rows]


async def test_a_deleted_turn_is_gone_from_the_later_turns_of_its_conversation(stored: Running):
    once = {"Idempotency-Key": "last"}
    async with stored.client() as client:
        name = (await client.post("/v1/conversations", json={})).json()["id"]
        first = await say(client, "one", conversation=name)
        secret = await say(client, "hunter2", conversation=name)
        body = {"message": "say three", "conversation": name}
        last = (await client.post("/v1/turns", json=body, headers=once)).json()
        await client.put(f"/v1/turns/{last['id']}/feedback", json={"thumb": "up"})
        read = (await client.get(f"/v1/turns/{last['id']}")).json()
        assert {**read, "feedback": None} == last

        assert (await client.delete(f"/v1/turns/{secret['id']}")).status_code == 204
        read = await client.get(f"/v1/turns/{last['id']}")
        again = await client.post("/v1/turns", json=body, headers=once)
        whole = await client.get(f"/v1/conversations/{name}")
        exported = await client.get("/v1/feedback/export")
    assert [m["content"] for m in read.json()["messages"]] == ["say one", "one", "say three"]
    assert again.json()["messages"] == read.json()["messages"]
    assert [turn["id"] for turn in whole.json()["turns"]] == [first["id"], last["id"]]
    assert "say one" in exported.text
    assert "hunter2" not in read.text + again.text + whole.text + exported.text + str(await documents(stored))


async def test_what_is_past_retention_is_gone_from_the_later_turns_of_its_conversation(stored: Running):
    async with stored.client() as client:
        name = (await client.post("/v1/conversations", json={})).json()["id"]
        await say(client, "hunter2", conversation=name)
        moment = time.time()
        last = await say(client, "two", conversation=name)
        assert await stored.service.store.delete_before(moment) == 1
        read = await client.get(f"/v1/turns/{last['id']}")
    assert [m["content"] for m in read.json()["messages"]] == ["say two"]


async def test_a_turn_of_a_conversation_stores_only_what_is_its_own(stored: Running):
    async with stored.client() as client:
        name = (await client.post("/v1/conversations", json={})).json()["id"]
        for i in range(5):
            await say(client, str(i), conversation=name)
        made = await respond(client, "say last", conversation=name, instructions="Be brief.")
        before = [text for i in range(5) for text in (f"say {i}", str(i))]
        assert await told(client, made) == ["Be brief.", *before, "say last"]
    found = await documents(stored)
    assert [[m["content"] for m in turn["messages"]] for turn in found[:5]] == [[f"say {i}"] for i in range(5)]
    assert [m["content"] for m in found[5]["messages"]] == ["Be brief.", "say last"]


async def test_a_turn_tells_of_no_more_than_it_was_given(stored: Running, monkeypatch: pytest.MonkeyPatch):
    async with stored.client() as client:
        name = (await client.post("/v1/conversations", json={})).json()["id"]
        for i in range(4):
            await say(client, str(i), conversation=name)
        context = len("say 30") + len("say 20")
        monkeypatch.setattr("serve.api.runner.CHARACTERS_PER_TOKEN", (context + 0.5) / 20_000)
        last = await say(client, "more", conversation=name)
        read = (await client.get(f"/v1/turns/{last['id']}")).json()
    assert [m["content"] for m in last["messages"]] == ["say 2", "2", "say 3", "3", "say more"]
    assert read == last


async def test_a_deleted_response_is_gone_from_those_that_went_on_from_it(stored: Running):
    user, asked = ({"role": "user", "content": text} for text in ("say second", "hunter2"))
    developers = [{"role": "developer", "content": text} for text in ("Be kind.", "Hunter2!")]
    async with stored.client() as client:
        first = await respond(client, [developers[0], {"role": "user", "content": "say one"}], instructions="Be brief.")
        several = [developers[1], asked, {"role": "assistant", "content": "Yes?"}, user]
        secret = await respond(client, several, previous_response_id=first)
        third = await respond(client, "say three", previous_response_id=secret, instructions="Be quick.")
        last = await respond(client, "say four", previous_response_id=third)
        assert await told(client, last) == [
            "Be kind.", "Hunter2!", "say one", "one", "hunter2", "Yes?", "say second", "second", "say three", "three",
            "say four",
        ]  # fmt: skip
        await client.delete(f"/v1/responses/{secret}")
        assert await told(client, last) == ["Be kind.", "say one", "one", "say three", "three", "say four"]
        assert await told(client, third) == ["Be quick.", "Be kind.", "say one", "one", "say three"]
        more = await respond(client, "say five", previous_response_id=last)
        assert (await told(client, more))[-3:] == ["say four", "four", "say five"]
    assert "unter2" not in str(await documents(stored))


async def test_a_response_goes_on_from_a_turn_of_a_conversation_as_far_as_that_is_there(stored: Running):
    async with stored.client() as client:
        name = (await client.post("/v1/conversations", json={})).json()["id"]
        secret = await say(client, "hunter2", conversation=name)
        within = await respond(client, "say two", conversation=name, instructions="Be brief.")
        made = await respond(client, "say three", previous_response_id=within)
        assert await told(client, made) == ["say hunter2", "hunter2", "say two", "two", "say three"]
        await client.delete(f"/v1/turns/{secret['id']}")
        assert await told(client, made) == ["say two", "two", "say three"]
        await client.delete(f"/v1/conversations/{name}")
        assert await told(client, made) == ["say three"]


async def test_turns_that_were_stored_whole_are_rewritten_and_read_as_they_were(stored: Running):
    database, shown = stored.service.store.database, {}
    async with stored.client() as client:
        names = [(await client.post("/v1/conversations", json={})).json()["id"] for _ in range(2)]
        made = [await say(client, f"{name[-4:]} {i}", conversation=name) for i in range(3) for name in names]
        alone = await say(client, "alone", messages=[{"role": "user", "content": "Hi."}])
        await database.write(lambda connection: command.downgrade(config(connection), "0003"))
        for turn in made:  # as the release before stored them
            document = Turn.model_validate({name: turn[name] for name in Turn.model_fields}).model_dump_json()
            change = update(t.turns).where(t.turns.c.id == turn["id"]).values(document=document)
            await database.write(lambda connection, change=change: connection.execute(change))
        await upgrade(database)
        for turn in (*made, alone):
            shown[turn["id"]] = (await client.get(f"/v1/turns/{turn['id']}")).json()
        await client.delete(f"/v1/turns/{made[0]['id']}")
        left = await client.get(f"/v1/turns/{made[4]['id']}")
    assert shown == {turn["id"]: turn for turn in (*made, alone)}
    assert [len(turn["messages"]) for turn in await documents(stored)] == [1] * 5 + [2]
    assert [m["content"] for m in left.json()["messages"]] == [m["content"] for m in made[4]["messages"][2:]]

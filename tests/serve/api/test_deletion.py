"""All that is stored of someone can be deleted for good, and so can what a revoked key left; on both databases."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest
from click.testing import CliRunner

from serve.cli.main import main

from .conftest import Running, eventually


async def number_of_turns(stored: Running) -> int:
    read = stored.service.store.database.read
    return await read(lambda connection: connection.exec_driver_sql("SELECT count(*) FROM turns").scalar())


@pytest.mark.parametrize("stream", [False, True])
async def test_a_turn_that_runs_while_all_is_deleted_is_not_kept(stored: Running, stream: bool):
    other = await stored.another_key()
    body = {"message": "slow 0.6", "stream": stream}
    async with stored.client() as client, stored.client(other) as theirs:
        running = asyncio.create_task(client.post("/v1/turns", json=body))
        untouched = asyncio.create_task(theirs.post("/v1/turns", json=body))
        await eventually(lambda: stored.service.admission.running == 2)
        assert (await client.delete("/v1/data")).json() == {"deleted_turns": 0}
        answer = await running
        assert (await untouched).status_code == 200
        assert await number_of_turns(stored) == 1  # the other's
        assert (await client.post("/v1/turns", json={"message": "say again"})).status_code == 200
    assert "data_deleted" in answer.text
    assert answer.status_code == (200 if stream else 409)


async def test_turns_and_deletions_at_once_leave_nothing_behind(stored: Running):
    async with stored.client() as client:

        async def ask() -> httpx.Response:
            return await client.post("/v1/turns", json={"message": "hello"})

        for _ in range(5):
            *answers, deleted = await asyncio.gather(*(ask() for _ in range(6)), client.delete("/v1/data"))
            assert {answer.status_code for answer in answers} <= {200, 409}
            assert deleted.status_code == 200
            ids = [answer.json()["id"] for answer in answers if answer.status_code == 200]
            found = [(await client.get(f"/v1/turns/{name}")).status_code for name in ids]
            assert found.count(200) == await number_of_turns(stored)
            await client.delete("/v1/data")


async def test_the_data_of_a_revoked_key_can_be_deleted_by_command(stored: Running):
    text = await stored.another_key()
    key_id = text.split("_")[1]
    url = stored.service.settings.database
    async with stored.client(text) as client:
        await client.post("/v1/conversations", json={})
        await client.post("/v1/turns", json={"message": "hello"})
    await stored.service.store.revoke_key(key_id)

    def command(*arguments: str, answer: str | None = None):
        return CliRunner().invoke(main, ["keys", "--database", url, "delete-data", *arguments], input=answer)

    kept = await asyncio.to_thread(command, key_id, answer="n\n")
    assert kept.exit_code == 1
    assert await number_of_turns(stored) == 1
    done = await asyncio.to_thread(command, key_id, "--yes", "--json")
    assert json.loads(done.stdout) == {"key": key_id, "deleted_turns": 1}
    assert await number_of_turns(stored) == 0
    assert await stored.service.store.conversations(key_id, limit=9) == []
    unknown = await asyncio.to_thread(command, "f" * 16, "--yes")
    assert unknown.exit_code == 1
    assert "groundling keys list" in unknown.output

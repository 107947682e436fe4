"""A database of the first release: brought up to date with what is in it; on SQLite and on PostgreSQL."""

from __future__ import annotations

from alembic import command

from serve.api.storage import upgrade
from serve.api.storage.migrate import config

from .conftest import Running


async def test_what_the_first_release_stored_goes_on(stored: Running):
    database = stored.service.store.database
    once = {"Idempotency-Key": "old"}
    async with stored.client() as client:
        conversation = (await client.post("/v1/conversations", json={})).json()["id"]
        body = {"message": "say one", "conversation": conversation}
        old = (await client.post("/v1/turns", json=body, headers=once)).json()
        await client.put(f"/v1/turns/{old['id']}/feedback", json={"thumb": "up"})

        await database.write(lambda connection: command.downgrade(config(connection), "0001"))
        await upgrade(database)

        read = (await client.get(f"/v1/turns/{old['id']}")).json()
        assert read == {**old, "feedback": read["feedback"]}
        assert read["feedback"]["thumb"] == "up"
        assert (await client.post("/v1/turns", json=body, headers=once)).json()["id"] == old["id"]
        new = await client.post("/v1/turns", json={**body, "message": "say two"})
        assert [m["content"] for m in new.json()["messages"]] == ["say one", "one", "say two"]
        response = (await client.get(f"/v1/responses/{old['id'].replace('turn_', 'resp_')}")).json()
    assert response["model"] == "groundling"
    assert response["conversation"] == {"id": conversation}

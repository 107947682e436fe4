"""What is stored: conversations, feedback, retention, deletion, whose it is; on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path

import openai
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from dialog.finetune.records import Discrimination, Generation, Groundedness, Preference
from serve.api.app import _prepare, build_service
from serve.api.storage import Store
from serve.api.storage.tables import metadata
from serve.api.telemetry import Tracer
from serve.errors import SettingsError
from serve.settings import Settings, load_settings

from .conftest import SCRIPTED, Running, eventually, ready, running
from .postgres import Postgres


async def test_the_migrations_make_the_tables_that_the_code_uses(stored: Running):
    read = stored.service.store.database.read
    differences = await read(lambda connection: compare_metadata(MigrationContext.configure(connection), metadata))
    assert differences == []


async def test_processes_that_start_together_migrate_once(tmp_path: Path, postgres: Postgres):
    postgres.wipe()
    for url in (f"sqlite:///{tmp_path / 'new.db'}", postgres.url):
        stores = await asyncio.gather(*(Store.open(url) for _ in range(4)))
        await asyncio.gather(*(store.ping() for store in stores))
        await asyncio.gather(*(store.aclose() for store in stores))


async def test_a_conversation_goes_on_and_can_be_read_exported_and_deleted(stored: Running):
    async with stored.client() as client:
        made = (await client.post("/v1/conversations", json={"role": "everest"})).json()
        for message in ("say first", "say second"):
            turn = await client.post("/v1/turns", json={"message": message, "conversation": made["id"]})
            assert turn.json()["conversation"] == made["id"]
        assert [m["content"] for m in turn.json()["messages"]] == ["say first", "first", "say second"]
        assert turn.json()["role"] == "everest"

        whole = (await client.get(f"/v1/conversations/{made['id']}")).json()
        assert [turn["reply"] for turn in whole["turns"]] == ["first", "second"]
        assert whole["title"] == "say first"
        exported = await client.get(f"/v1/conversations/{made['id']}/export")
        assert exported.headers["content-disposition"].startswith("attachment")
        assert exported.json() == whole
        renamed = await client.patch(f"/v1/conversations/{made['id']}", json={"title": "Numbers"})
        assert renamed.json()["title"] == "Numbers"

        assert (await client.delete(f"/v1/conversations/{made['id']}")).status_code == 204
        assert (await client.get(f"/v1/conversations/{made['id']}")).status_code == 404
        assert (await client.get(f"/v1/turns/{turn.json()['id']}")).status_code == 404


async def test_openais_client_reads_changes_and_deletes_a_conversation(stored: Running):
    async with stored.openai() as client:
        made = await client.conversations.create(metadata={"topic": "rivers"})
        read = await client.conversations.retrieve(made.id)
        updated = await client.conversations.update(made.id, metadata={"topic": "lakes", "by": "me"})
        again = await client.conversations.retrieve(made.id)
        cleared = await client.conversations.update(made.id, metadata=None)
        gone = await client.conversations.delete(made.id)
        with pytest.raises(openai.NotFoundError):
            await client.conversations.retrieve(made.id)
        with pytest.raises(openai.NotFoundError):
            await client.conversations.update(made.id, metadata={})
    assert made.metadata == read.metadata == {"topic": "rivers"}
    assert updated.metadata == again.metadata == {"topic": "lakes", "by": "me"}
    assert cleared.metadata == {}
    assert (gone.id, gone.object, gone.deleted) == (made.id, "conversation.deleted", True)


async def test_a_conversation_goes_on_after_a_turn_of_it_was_deleted(stored: Running):
    async with stored.client() as client:
        made = (await client.post("/v1/conversations", json={})).json()
        turns = []
        for message in ("say first", "say second", "say third"):
            turns.append((await client.post("/v1/turns", json={"message": message, "conversation": made["id"]})).json())
        for gone in (turns[1], turns[0]):
            await client.delete(f"/v1/turns/{gone['id']}")
            again = await client.post("/v1/turns", json={"message": "say more", "conversation": made["id"]})
            assert again.status_code == 200, again.text
        response = await client.post(
            "/v1/responses", json={"input": "say last", "conversation": made["id"], "model": "groundling"}
        )
        assert response.status_code == 200, response.text
    assert [m["content"] for m in again.json()["messages"]] == ["say third", "third", "say more", "more", "say more"]


async def test_a_conversation_goes_on_past_the_most_messages_without_its_beginning(
    settings_for: Callable[..., Settings],
):
    async with running(settings_for(max_messages=6)) as service, service.client() as client:
        made = (await client.post("/v1/conversations", json={})).json()
        for i in range(5):
            turn = await client.post("/v1/turns", json={"message": f"say {i}", "conversation": made["id"]})
            assert turn.status_code == 200, turn.text
        previous = (await client.post("/v1/responses", json={"input": "say 0", "model": "groundling"})).json()["id"]
        for i in range(5):
            body = {"input": f"say {i}", "model": "groundling", "previous_response_id": previous}
            answer = await client.post("/v1/responses", json=body)
            assert answer.status_code == 200, answer.text
            previous = answer.json()["id"]
    assert [m["content"] for m in turn.json()["messages"]] == ["say 2", "2", "say 3", "3", "say 4"]


async def test_a_database_of_a_newer_release_is_said_to_be_one(tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'newer.db'}"
    store = await Store.open(url)
    await store.database.write(
        lambda connection: connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    )
    await store.aclose()
    with pytest.raises(SettingsError, match=r"not of this release: .*9999.* Use the release that made them"):
        await Store.open(url)
    failed = asyncio.Event()
    service = build_service(load_settings(agent=SCRIPTED, database=url), Tracer(load_settings()))
    await _prepare(service, failed.set)
    assert failed.is_set()
    await service.store.aclose()


async def test_conversations_are_listed_newest_first_in_pages(stored: Running):
    async with stored.client() as client:
        for i in range(5):
            await client.post("/v1/conversations", json={"title": f"c{i}"})
        first = (await client.get("/v1/conversations", params={"limit": 3})).json()
        before = first["data"][-1]["updated_at"]
        second = (await client.get("/v1/conversations", params={"limit": 3, "before": before})).json()
    assert [c["title"] for c in first["data"] + second["data"]] == ["c4", "c3", "c2", "c1", "c0"]
    assert (first["has_more"], second["has_more"]) == (True, False)


async def test_two_turns_at_once_in_one_conversation_conflict(stored: Running):
    async with stored.client() as client:
        made = (await client.post("/v1/conversations", json={})).json()
        body = {"message": "slow 0.3", "conversation": made["id"]}
        answers = await asyncio.gather(*(client.post("/v1/turns", json=body) for _ in range(4)))
        whole = (await client.get(f"/v1/conversations/{made['id']}")).json()
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    assert len(whole["turns"]) == 1


async def test_what_is_someone_elses_is_404(stored: Running):
    other = await stored.another_key()
    async with stored.client() as mine, stored.client(other) as theirs:
        conversation = (await mine.post("/v1/conversations", json={})).json()["id"]
        turn = (await mine.post("/v1/turns", json={"message": "hello", "conversation": conversation})).json()["id"]
        answers = [
            await theirs.get(f"/v1/conversations/{conversation}"),
            await theirs.get(f"/v1/conversations/{conversation}/export"),
            await theirs.patch(f"/v1/conversations/{conversation}", json={"title": "x"}),
            await theirs.delete(f"/v1/conversations/{conversation}"),
            await theirs.post("/v1/turns", json={"message": "hello", "conversation": conversation}),
            await theirs.get(f"/v1/turns/{turn}"),
            await theirs.delete(f"/v1/turns/{turn}"),
            await theirs.put(f"/v1/turns/{turn}/feedback", json={"thumb": "up"}),
            await theirs.get(f"/v1/responses/{turn.replace('turn_', 'resp_')}"),
            await theirs.post(
                "/v1/responses", json={"input": "hi", "previous_response_id": turn.replace("turn_", "resp_")}
            ),
        ]
        absent = await theirs.get(f"/v1/turns/{turn[:-1]}x")
        still = await mine.get(f"/v1/conversations/{conversation}")
    assert [answer.status_code for answer in answers] == [404] * 10
    assert answers[5].json()["error"]["code"] == absent.json()["error"]["code"]
    assert still.status_code == 200


async def test_feedback_becomes_finetuning_records(stored: Running):
    async with stored.client() as client:

        async def turn(message: str, **feedback: str) -> None:
            made = (await client.post("/v1/turns", json={"message": message})).json()
            given = await client.put(f"/v1/turns/{made['id']}/feedback", json=feedback)
            assert given.status_code == 200
            assert (await client.get(f"/v1/turns/{made['id']}")).json()["feedback"]["thumb"] == feedback["thumb"]

        await turn("Where does the Vistula flow?", thumb="up")
        await turn("say nonsense", thumb="down", reason="nonsense", better="A good answer.")
        await turn("unsafe things", thumb="down", reason="unsafe")
        exported = await client.get("/v1/feedback/export")
    rows = [json.loads(line) for line in exported.text.splitlines()]
    assert Generation.model_validate(rows[0]).response == "The Vistula is the longest river of Poland."
    assert [Discrimination.model_validate(row).attribute for row in rows[1:4]] == ["sensible", "specific", "safe"]
    assert Groundedness.model_validate(rows[4]).grounded == 1.0
    assert Generation.model_validate(rows[5]).response == "A good answer."
    assert Discrimination.model_validate(rows[6]).rating == 0.0
    assert Preference.model_validate(rows[7]).rejected == "nonsense"
    assert len(rows) == 8  # the fixed reply of the third turn teaches nothing


async def test_feedback_of_everybody_needs_an_admin(stored: Running):
    other = await stored.another_key()
    async with stored.client() as admin, stored.client(other) as user:
        made = (await user.post("/v1/turns", json={"message": "say x"})).json()
        await user.put(f"/v1/turns/{made['id']}/feedback", json={"thumb": "down", "reason": "dull"})
        await user.put(f"/v1/turns/{made['id']}/feedback", json={"thumb": "down", "reason": "vague"})
        everybody = await admin.get("/v1/feedback/export", params={"everybody": True})
        own = await admin.get("/v1/feedback/export")
        refused = await user.get("/v1/feedback/export", params={"everybody": True})
    assert [json.loads(line)["attribute"] for line in everybody.text.splitlines()] == ["specific"]
    assert own.text == ""
    assert refused.status_code == 403


async def test_turns_past_retention_and_all_of_a_caller_can_be_deleted(stored: Running):
    other = await stored.another_key()
    store: Store = stored.service.store
    async with stored.client() as client, stored.client(other) as theirs:
        old = (await client.post("/v1/turns", json={"message": "hello"})).json()
        await client.put(f"/v1/turns/{old['id']}/feedback", json={"thumb": "up"})
        moment = time.time()
        new = (await client.post("/v1/turns", json={"message": "hello"})).json()
        kept = (await theirs.post("/v1/turns", json={"message": "hello"})).json()
        assert await store.delete_before(moment) == 1
        assert (await client.get(f"/v1/turns/{old['id']}")).status_code == 404
        assert (await client.get("/v1/feedback/export")).text == ""
        assert (await client.delete("/v1/data")).json() == {"deleted_turns": 1}
        assert (await client.get(f"/v1/turns/{new['id']}")).status_code == 404
        assert (await theirs.get(f"/v1/turns/{kept['id']}")).status_code == 200


async def test_the_retention_period_is_kept_while_serving(
    settings_for: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("serve.api.app.SWEEP_SECONDS", 0.1)
    async with running(settings_for(retention_days=0.5 / 86_400)) as service, service.client() as client:
        made = (await client.post("/v1/turns", json={"message": "hello"})).json()

        async def gone() -> bool:
            return (await client.get(f"/v1/turns/{made['id']}")).status_code == 404

        await eventually(gone)


async def test_a_database_that_is_down_is_503_and_recovers(settings_for: Callable[..., Settings], postgres: Postgres):
    postgres.wipe()
    async with running(settings_for(database=postgres.url)) as service, service.client() as client:
        assert (await client.post("/v1/turns", json={"message": "hello"})).status_code == 200
        postgres.stop()
        try:
            down = await client.post("/v1/turns", json={"message": "hello"})
            not_ready = await client.get("/readyz")
        finally:
            postgres.start()
        assert down.status_code == 503
        assert down.json()["error"]["code"] == "database_unavailable"
        assert down.headers["retry-after"]
        assert not_ready.json()["waiting_for"] == "database"
        await eventually(lambda: ready(client))
        assert (await client.post("/v1/turns", json={"message": "hello"})).status_code == 200


async def test_a_database_that_is_down_at_the_start_is_waited_for(
    settings_for: Callable[..., Settings], postgres: Postgres, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("serve.api.app.DATABASE_RETRY_SECONDS", 0.1)
    postgres.wipe()
    postgres.stop()
    back = asyncio.get_running_loop().call_later(1.0, postgres.start)
    async with running(settings_for(database=postgres.url)) as service, service.client() as client:
        assert (await client.post("/v1/turns", json={"message": "hello"})).status_code == 200
    back.cancel()


FULL = """
CREATE FUNCTION full_disk() RETURNS trigger AS $$
BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END
$$ LANGUAGE plpgsql
"""


async def fill_disk(stored: Running, full: bool) -> None:
    """Make each turn fail as on a full disk: SQLite by its own limit on the file's size, PostgreSQL by its error."""
    if stored.service.store.database.is_sqlite:
        statements = [f"PRAGMA max_page_count={1 if full else 1_000_000}"]
    elif full:
        statements = [FULL, "CREATE TRIGGER full_disk AFTER INSERT ON turns EXECUTE FUNCTION full_disk()"]
    else:
        statements = ["DROP FUNCTION full_disk() CASCADE"]
    for statement in statements:
        await stored.service.store.database.write(lambda c, sql=statement: c.exec_driver_sql(sql))


async def test_a_full_disk_is_503_and_leaves_nothing_half_written(stored: Running):
    async with stored.client() as client:
        before = (await client.post("/v1/turns", json={"message": "hello"})).json()
        conversation = (await client.post("/v1/conversations", json={})).json()["id"]
        await fill_disk(stored, True)
        long = {"message": "long 9000", "conversation": conversation}
        full = await client.post("/v1/turns", json=long)
        stream = await client.post("/v1/turns", json={**long, "stream": True})
        await fill_disk(stored, False)
        left = (await client.get(f"/v1/conversations/{conversation}")).json()
        after = await client.post("/v1/turns", json={"message": "hello"})
        read = await client.get(f"/v1/turns/{before['id']}")
    assert full.status_code == 503
    assert full.json()["error"]["code"] == "database_unavailable"
    assert "event: turn" not in stream.text
    assert (left["title"], left["turns"]) == ("", [])
    assert (after.status_code, read.status_code) == (200, 200)


async def test_tools_can_be_listed_and_asked(service: Running):
    async with service.client() as client:
        listed = (await client.get("/v1/tools")).json()["data"]
        sum_ = (await client.post("/v1/tools/calculator", json={"query": "2 + 3"})).json()
        broken = await client.post("/v1/tools/broken", json={"query": "broken"})
        unknown = await client.post("/v1/tools/abacus", json={"query": "2"})
    assert [tool["name"] for tool in listed] == ["calculator", "retrieval", "broken"]
    assert sum_["results"][0]["text"] == "2 + 3 = 5"
    assert broken.status_code == 200
    assert "it broke" in broken.json()["error"]
    assert unknown.status_code == 404

"""The limit of tokens: what is prompted and sampled counts, whether or not a turn is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from serve.api.errors import unavailable

from .conftest import Running, eventually

MINUTE = 16_666_666


@pytest.fixture
async def limited(service: Running) -> AsyncIterator[tuple[Running, httpx.AsyncClient, str]]:
    """A service whose minute does not end, a client with a limit of tokens, and its key's id."""
    service.service.limits.clock = lambda: MINUTE * 60.0 + 5
    key = await service.another_key(tokens_per_minute=1_000_000)
    async with service.client(key) as client:
        yield service, client, key.split("_")[1]


async def spent(service: Running, owner: str) -> int:
    return (await service.service.store.count(owner, MINUTE))[1]


async def test_a_turn_costs_its_prompt_and_its_reply(limited):
    service, client, owner = limited
    usage = (await client.post("/v1/turns", json={"message": "say hello"})).json()["usage"]
    assert await spent(service, owner) == usage["prompt_tokens"] + usage["completion_tokens"]
    other = (await client.post("/v1/turns", json={"message": "say hello", "store": False})).json()["usage"]
    assert other == usage
    assert await spent(service, owner) == 2 * (usage["prompt_tokens"] + usage["completion_tokens"])


async def test_a_turn_whose_client_leaves_costs_its_prompt(limited):
    service, client, owner = limited
    with pytest.raises(httpx.TimeoutException):
        await client.post("/v1/turns", json={"message": "slow 30"}, timeout=0.5)
    await eventually(lambda: service.service.admission.running == 0)
    assert await spent(service, owner) > len("slow 30")


async def test_a_turn_that_fails_late_costs_what_was_sampled_too(limited, monkeypatch: pytest.MonkeyPatch):
    service, client, owner = limited
    await service.agent.prepare()

    async def score(*given):
        raise ValueError("it broke")

    monkeypatch.setattr(service.agent.decoder, "score", score)
    assert (await client.post("/v1/turns", json={"message": "slow 0"})).status_code == 500
    short = await spent(service, owner)
    assert (await client.post("/v1/turns", json={"message": "say " + "a" * 60})).status_code == 500
    assert await spent(service, owner) - short >= 120  # 60 in the prompt, 60 in the sample


async def test_a_request_that_is_refused_before_any_work_costs_nothing(limited):
    service, client, owner = limited
    assert (await client.post("/v1/turns", json={"message": "a" * 30_000})).status_code == 400
    assert (await client.post("/v1/turns", json={"message": " "})).status_code == 400
    assert await spent(service, owner) == 0


async def test_a_turn_that_is_replayed_costs_nothing(limited):
    service, client, owner = limited
    headers = {"Idempotency-Key": "once"}
    first = await client.post("/v1/turns", json={"message": "hello"}, headers=headers)
    before = await spent(service, owner)
    again = await client.post("/v1/turns", json={"message": "hello"}, headers=headers)
    assert again.json()["id"] == first.json()["id"]
    assert await spent(service, owner) == before


async def test_moderations_cost_the_texts_that_they_read(limited):
    service, client, owner = limited
    await client.post("/v1/moderations", json={"input": ["a" * 100, "b" * 50]})
    assert 150 <= await spent(service, owner) < 200


async def test_a_turn_that_is_stored_is_answered_though_counting_fails(limited, monkeypatch: pytest.MonkeyPatch):
    service, client, _ = limited
    store = service.service.store
    before = await client.post("/v1/turns", json={"message": "say one"})

    async def count(*given, **more):
        if more.get("tokens"):
            raise unavailable("The database cannot be used now. Nothing was stored; try again.", "database_unavailable")
        return await type(store).count(store, *given, **more)

    monkeypatch.setattr(store, "count", count)
    unpaid = await client.post("/v1/turns", json={"message": "say two"})
    assert unpaid.status_code == 503  # the prompt could not be counted, so nothing was begun
    monkeypatch.setattr(service.service.limits, "meter", lambda decoder, caller: None)
    kept = await client.post("/v1/turns", json={"message": "say three"})
    unkept = await client.post("/v1/turns", json={"message": "say three", "store": False})
    assert (kept.status_code, unkept.status_code) == (200, 200)
    read = store.database.read
    rows = await read(lambda connection: connection.exec_driver_sql("SELECT id FROM turns").all())
    assert {row.id for row in rows} == {before.json()["id"], kept.json()["id"]}


async def test_a_key_with_a_limit_of_requests_may_make_ten_times_as_many_calls_of_any_kind(
    service: Running, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("serve.api.limits.LEAST_CALLS", 15)
    service.service.limits.clock = lambda: MINUTE * 60.0 + 5
    few, more = [await service.another_key(requests_per_minute=n) for n in (1, 2)]
    async with service.client(few) as client, service.client(more) as other, service.client() as unlimited:
        found = [(await client.get("/v1/conversations")).status_code for _ in range(16)]
        others = [(await other.get("/v1/models")).status_code for _ in range(21)]
        refused = await client.get("/v1/turns/turn_x")
        free = [(await unlimited.get("/v1/models")).status_code for _ in range(30)]
        service.service.limits.clock = lambda: MINUTE * 60.0 + 65
        later = await client.get("/v1/conversations")
    assert found == [200] * 15 + [429]
    assert others == [200] * 20 + [429]
    assert free == [200] * 30
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    assert refused.json()["error"]["message"] == "This key may make 15 calls a minute. Try again in 55 s."
    assert refused.headers["retry-after"] == "55"
    assert later.status_code == 200


async def test_choices_are_kept_all_or_none(limited, monkeypatch: pytest.MonkeyPatch):
    service, client, _ = limited
    await service.agent.prepare()
    generate, calls = service.agent.decoder.generate, 0

    async def fail_once_late(*given):
        nonlocal calls
        calls += 1
        if calls == 2:
            await asyncio.sleep(0.3)  # the other choice is done by then
            raise ValueError("it broke")
        return await generate(*given)

    monkeypatch.setattr(service.agent.decoder, "generate", fail_once_late)
    body = {"model": "groundling", "messages": [{"role": "user", "content": "say one"}], "n": 2}
    assert (await client.post("/v1/chat/completions", json=body)).status_code == 500
    count = await service.service.store.database.read(
        lambda connection: connection.exec_driver_sql("SELECT count(*) FROM turns").scalar()
    )
    assert count == 0
    assert (await client.post("/v1/chat/completions", json=body)).status_code == 200

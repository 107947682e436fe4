"""Requests that are sent again under their idempotency key; on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from serve.settings import Settings

from .conftest import Running, eventually, running

TURN = ("/v1/turns", lambda text: {"message": text})
CHAT = ("/v1/chat/completions", lambda text: {"model": "groundling", "messages": [{"role": "user", "content": text}]})
RESPONSE = ("/v1/responses", lambda text: {"model": "groundling", "input": text})


async def send(client: httpx.AsyncClient, path: str, body: dict[str, Any], key: str = "z") -> httpx.Response:
    return await client.post(path, json=body, headers={"Idempotency-Key": key})


def ids_of(text: str) -> list[str]:
    """The ids that a stream of Responses events tells, in order."""
    found = [json.loads(line[6:]) for line in text.split("\n") if line.startswith("data: ")]
    return [event["response"]["id"] for event in found if "response" in event]


@pytest.mark.parametrize(("path", "asking"), [TURN, CHAT, RESPONSE])
async def test_a_key_that_came_with_another_request_is_refused(stored: Running, path: str, asking: Any):
    async with stored.client() as client:
        first = await send(client, path, asking("say A"))
        other = await send(client, path, asking("say B"))
        same = await send(client, path, asking("say A"))
    assert other.status_code == 422
    assert other.json()["error"]["code"] == "idempotency_key_reused"
    assert other.json()["error"]["param"] == "Idempotency-Key"
    assert same.json()["id"] == first.json()["id"]


async def test_the_same_request_to_two_conversations_needs_two_keys(stored: Running):
    async with stored.client() as client:
        one, two = [(await client.post("/v1/conversations", json={})).json()["id"] for _ in range(2)]
        assert (await send(client, "/v1/turns", {"message": "say A", "conversation": one})).status_code == 200
        other = await send(client, "/v1/turns", {"message": "say A", "conversation": two})
        again = await send(client, "/v1/turns", {"conversation": one, "message": "say A"})  # the order is no matter
        turns = [(await client.get(f"/v1/conversations/{name}")).json()["turns"] for name in (one, two)]
    assert other.status_code == 422
    assert again.json()["conversation"] == one
    assert [len(found) for found in turns] == [1, 0]


async def test_a_turn_can_be_had_again_as_a_stream_and_whole(stored: Running):
    path, asking = TURN
    async with stored.client() as client:
        whole = (await send(client, path, asking("say A"))).json()
        stream = await send(client, path, {**asking("say A"), "stream": True})
    assert whole["id"] in stream.text


async def test_a_stream_that_is_replayed_tells_of_one_response(stored: Running):
    path, asking = RESPONSE
    async with stored.client() as client:
        first = ids_of((await send(client, path, {**asking("say A"), "stream": True})).text)
        again = ids_of((await send(client, path, {**asking("say A"), "stream": True})).text)
        body = {**asking("slow 0.3"), "stream": True}
        together = await asyncio.gather(*(send(client, path, body, "both") for _ in range(3)))
    assert len(set(first + again)) == 1
    assert len({name for answer in together for name in ids_of(answer.text)}) == 1


async def test_two_requests_at_once_under_one_key_make_one_turn_and_one_refusal(stored: Running):
    path, asking = TURN
    async with stored.client() as client:
        bodies = [asking("slow 0.3"), asking("slow 0.31")]
        answers = await asyncio.gather(*(send(client, path, body) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [200, 422]


async def test_two_requests_at_once_under_one_key_make_one_turn_of_a_conversation(stored: Running):
    path, asking = TURN
    async with stored.client() as client:
        name = (await client.post("/v1/conversations", json={})).json()["id"]
        body = {**asking("slow 0.3"), "conversation": name}
        answers = await asyncio.gather(*(send(client, path, body) for _ in range(3)))
        turns = (await client.get(f"/v1/conversations/{name}")).json()["turns"]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert {answer.json()["id"] for answer in answers} == {turn["id"] for turn in turns}


async def test_choices_are_replayed_and_those_that_were_deleted_made_again(stored: Running):
    path, asking = CHAT
    body = {**asking("hello"), "n": 3}

    def turns(answer: httpx.Response) -> list[str]:
        return [choice["groundling"]["turn_id"] for choice in answer.json()["choices"]]

    async with stored.client() as client:
        first = turns(await send(client, path, body))
        again = turns(await send(client, path, body))
        await client.delete(f"/v1/turns/{first[1]}")
        mended = turns(await send(client, path, body))
        fewer = await send(client, path, {**body, "n": 2})
    assert again == first
    assert [mended[0], mended[2]] == [first[0], first[2]]
    assert mended[1] != first[1]
    assert fewer.status_code == 422


async def test_what_was_sent_again_is_answered_though_what_it_went_on_from_is_gone(stored: Running):
    path, asking = RESPONSE
    async with stored.client() as client:
        previous = (await client.post(path, json=asking("say one"))).json()["id"]
        body = {**asking("say two"), "previous_response_id": previous}
        first = await send(client, path, body)
        await client.delete(f"/v1/responses/{previous}")
        again = await send(client, path, body)
    assert again.json()["id"] == first.json()["id"]
    assert again.json()["previous_response_id"] == previous


async def test_what_was_made_before_is_given_again_when_no_place_is_free_and_counts_for_nothing(
    settings_for: Callable[..., Settings],
):
    async with running(settings_for(max_running=1, max_queue=0)) as service:
        service.service.limits.clock = lambda: 1_000_000_010.0  # stays within one minute
        key = await service.another_key(requests_per_minute=len((TURN, CHAT, RESPONSE)))
        async with service.client(key) as client, service.client() as other:
            first = [await send(client, path, asking("say A"), path) for path, asking in (TURN, CHAT, RESPONSE)]
            busy = asyncio.create_task(other.post("/v1/turns", json={"message": "slow 60"}))
            await eventually(lambda: service.service.admission.running == 1)
            again = [await send(client, path, asking("say A"), path) for path, asking in (TURN, CHAT, RESPONSE)]
            new = await other.post("/v1/turns", json={"message": "say B"})
            busy.cancel()
    assert [answer.status_code for answer in again] == [200] * 3, again[0].text
    assert [answer.json()["id"] for answer in again] == [answer.json()["id"] for answer in first]
    assert new.json()["error"]["code"] == "queue_full"


@pytest.mark.parametrize("depth", [0, 100, 900, 970])
async def test_a_request_that_is_nested_deeply_can_have_a_key(service: Running, depth: int):
    content = '{"message": "hi", "messages": []}'
    if depth:
        content = '{"model": "groundling", "messages": [{"role": "user", "content": "hi", "tool_calls": %s}]}' % (
            "[" * depth + "]" * depth
        )  # fmt: skip
    headers = {"Content-Type": "application/json", "Idempotency-Key": "deep"}
    path = "/v1/chat/completions" if depth else "/v1/turns"
    async with service.client() as client:
        answers = [await client.post(path, content=content, headers=headers) for _ in range(2)]
    assert {answer.status_code for answer in answers} <= {200, 400}
    assert answers[0].json().get("id") == answers[1].json().get("id")

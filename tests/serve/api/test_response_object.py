"""Every response that is sent fits the schema that the OpenAPI document gives of it, to the last field."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
import pytest

from serve.api.response_object import DeletedResponse, ResponseObject
from serve.settings import Settings

from .conftest import Running, running

ASKED = [
    {"input": "Where does the Vistula flow?", "metadata": {"a": "b"}, "temperature": 0.5, "user": "me"},
    {"input": "unsafe things", "instructions": "Be brief."},
    {"input": "long 60", "max_output_tokens": 5, "store": False},
]


def events(answer: httpx.Response) -> list[dict]:
    return [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]


@pytest.mark.parametrize("asked", ASKED)
async def test_whole_read_again_and_in_every_event(service: Running, asked: dict):
    async with service.client() as client:
        made = ResponseObject.model_validate((await client.post("/v1/responses", json=asked)).json())
        streamed = events(await client.post("/v1/responses", json={**asked, "stream": True}))
        if asked.get("store") is not False:
            ResponseObject.model_validate((await client.get(f"/v1/responses/{made.id}")).json())
            DeletedResponse.model_validate((await client.delete(f"/v1/responses/{made.id}")).json())
    told = [ResponseObject.model_validate(event["response"]) for event in streamed if "response" in event]
    assert [response.status for response in told] == ["in_progress", "in_progress", made.status]


async def test_one_that_failed_and_one_of_a_conversation(settings_for: Callable[..., Settings]):
    async with running(settings_for(deadline_seconds=2)) as service, service.client() as client:
        conversation = (await client.post("/v1/conversations", json={})).json()["id"]
        in_it = {"input": "say hello", "conversation": conversation}
        made = ResponseObject.model_validate((await client.post("/v1/responses", json=in_it)).json())
        follow = {"input": "say two", "previous_response_id": made.id}
        second = ResponseObject.model_validate((await client.post("/v1/responses", json=follow)).json())
        streamed = events(await client.post("/v1/responses", json={"input": "slow 9", "stream": True}))
    assert made.conversation is not None
    assert (made.conversation.id, second.previous_response_id) == (conversation, made.id)
    assert ResponseObject.model_validate(streamed[-1]["response"]).status == "failed"

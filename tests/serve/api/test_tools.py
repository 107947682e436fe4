"""The toolset by itself: one query to one tool, admitted, timed and given up on as a turn is."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

import httpx
import pytest

from serve.settings import Settings
from toolset import Result, Tool, Toolset

from .conftest import Running, eventually, running


class Bell(Tool):
    """Rings after a while; counts how many rings are under way and how many were given up."""

    name = "bell"
    description = "Rings."

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.at_once = self.most = self.cancelled = 0

    async def run(self, query: str) -> list[Result]:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.at_once -= 1
        return [Result(text="ding")]


async def test_a_tool_is_asked_by_itself(service: Running):
    async with service.client() as client:
        found = await client.post("/v1/tools/calculator", json={"query": "2 + 3"})
        unknown = await client.post("/v1/tools/abacus", json={"query": "2 + 3"})
    assert found.json()["results"][0]["text"] == "2 + 3 = 5"
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "tool_not_found")


async def test_queries_share_the_turns_slots_and_are_refused_past_the_queue(settings_for: Callable[..., Settings]):
    async with running(settings_for(max_running=2, max_queue=1)) as service, service.client() as client:
        bell = Bell(0.4)
        service.agent.toolset = Toolset([bell])
        answers = await asyncio.gather(*(client.post("/v1/tools/bell", json={"query": "ring"}) for _ in range(20)))
    assert Counter(answer.status_code for answer in answers) == {200: 3, 429: 17}
    assert bell.most == 2
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["error"]["code"] == "queue_full"
    assert int(refused.headers["retry-after"]) >= 1


async def test_a_query_past_the_deadline_is_given_up(settings_for: Callable[..., Settings]):
    async with running(settings_for(deadline_seconds=0.3)) as service, service.client() as client:
        bell = Bell(20)
        service.agent.toolset = Toolset([bell])
        late = await client.post("/v1/tools/bell", json={"query": "ring"})
        await eventually(lambda: bell.cancelled == 1)
    assert (late.status_code, late.json()["error"]["code"]) == (504, "deadline_exceeded")


async def test_a_query_whose_client_leaves_is_given_up(service: Running):
    bell = Bell(20)
    service.agent.toolset = Toolset([bell])
    async with service.client() as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.post("/v1/tools/bell", json={"query": "ring"}, timeout=0.3)
    await eventually(lambda: bell.cancelled == 1)
    await eventually(lambda: service.service.admission.running == 0)


async def test_a_keys_limit_is_told_and_holds(settings_for: Callable[..., Settings]):
    async with running(settings_for(requests_per_minute=1)) as service, service.client() as client:
        service.service.limits.clock = lambda: 1_000_000_010.0
        first, second = [await client.post("/v1/tools/calculator", json={"query": "2 + 3"}) for _ in range(2)]
    assert (first.status_code, second.status_code) == (200, 429)
    assert first.headers["x-ratelimit-remaining-requests"] == "0"

"""A tool that fails repeatedly is rested, says so, and is tried again."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tests.toolset.making import make
from toolset import Toolset


class Clock:
    """A clock that moves when told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


async def test_a_repeatedly_failing_tool_is_rested_and_tried_again():
    clock, broken, asked = Clock(), True, 0

    def run(query: str) -> str:
        nonlocal asked
        asked += 1
        if broken:
            raise ConnectionError("no route")
        return "back"

    async with Toolset([make("flaky", run)], rest_after=3, rest_seconds=30, clock=clock) as toolset:

        async def error() -> str | None:
            return (await toolset.arun("q")).calls[0].error

        assert [await error() for _ in range(3)] == ["ConnectionError: no route"] * 3
        assert toolset.resting == ("flaky",)
        clock.now += 6
        assert await error() == "resting for another 24 s after 3 failures in a row"
        assert asked == 3
        clock.now += 25  # the rest is over: one trial, which fails, and the next rest is twice as long
        assert await error() == "ConnectionError: no route"
        assert asked == 4
        clock.now += 59
        assert (await error() or "").startswith("resting for another 1 s after 4 failures")
        clock.now += 2
        broken = False
        assert await error() is None
        assert toolset.resting == ()
        broken = True  # whole again: it takes three failures anew
        assert [await error() for _ in range(2)] == ["ConnectionError: no route"] * 2
        assert toolset.resting == ()


async def test_a_rested_tool_tells_nobody_what_others_asked_of_it(caplog: pytest.LogCaptureFixture):
    def run(query: str) -> str:
        raise ValueError(f"cannot look up {query!r}")

    async with Toolset([make("leaky", run)], rest_after=1) as toolset:
        assert "hunter2" in ((await toolset.arun("hunter2")).calls[0].error or "")
        refused = (await toolset.arun("mine")).calls[0].error
    assert refused is not None
    assert "hunter2" not in refused
    assert "tool leaky is rested after failures in a row, the last one ValueError" in caplog.text
    assert "hunter2" not in caplog.text


async def test_only_one_call_tries_a_rested_tool():
    clock, release, asked = Clock(), threading.Event(), []

    def run(query: str) -> str:
        asked.append(query)
        if query == "fail":
            raise ValueError("x")
        release.wait(5)
        return "ok"

    async with Toolset([make("t", run)], rest_after=1, clock=clock) as toolset:
        await toolset.arun("fail")
        clock.now += 31
        trial = asyncio.create_task(toolset.arun("trial"))
        await asyncio.sleep(0.1)
        other = (await toolset.arun("other")).calls[0]
        release.set()
        assert (await trial).calls[0].error is None
    assert asked == ["fail", "trial"]
    assert other.error is not None
    assert other.error.startswith("resting until the call that tries it again returns")

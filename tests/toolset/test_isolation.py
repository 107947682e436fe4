"""What failing and hanging tools cannot do to a turn."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from tests.toolset.making import make
from toolset import Toolset


def fail(error: BaseException):
    def run(query: str) -> str:
        raise error

    async def arun(query: str) -> str:
        raise error

    return [make("failing", run), make("failing_async", arun)]


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no message for you")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("bad\nvalue\x1b[31m"), "ValueError: bad value"),
        (SystemExit(3), "SystemExit: 3"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (GeneratorExit(), "GeneratorExit"),
        (asyncio.CancelledError(), "CancelledError"),
        (StopIteration("x"), "StopIteration: x"),
        (RecursionError("deep"), "RecursionError: deep"),
        (Unprintable(), "Unprintable"),
        (ValueError("x" * 1_000_000), "ValueError: " + "x" * 299 + "…"),
    ],
)
async def test_an_exception_is_recorded_and_others_answer(error: BaseException, expected: str):
    async with Toolset([*fail(error), make("fine", lambda query: "fine")]) as toolset:
        answer = await toolset.arun("q")
    first, second, last = answer.calls
    assert first.error == expected
    # Python turns a StopIteration that leaves a coroutine into a RuntimeError.
    assert second.error == (
        "RuntimeError: coroutine raised StopIteration" if isinstance(error, StopIteration) else expected
    )
    assert first.results == second.results == ()
    assert [result.text for result in last.results] == ["fine"]


def hang(query: str) -> str:
    time.sleep(3)
    return "too late"


async def hang_politely(query: str) -> str:
    await asyncio.sleep(3)
    return "too late"


async def hang_the_loop(query: str) -> str:
    time.sleep(3)  # noqa: ASYNC251 - the mistake under test
    return "too late"


async def swallow_cancellation(query: str) -> str:
    ends = time.monotonic() + 3
    while time.monotonic() < ends:
        try:
            await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            continue
    return "too late"


@pytest.mark.parametrize("run", [hang, hang_politely, hang_the_loop, swallow_cancellation])
async def test_a_hanging_tool_costs_a_turn_its_time_budget_only(run):
    async with Toolset([make("hanging", run, timeout=0.2), make("fine", lambda query: "fine")]) as toolset:
        started = time.perf_counter()
        hanging, fine = (await toolset.arun("q")).calls
        assert time.perf_counter() - started < 2.0  # it hangs for 3 s
    assert hanging.error == "no answer within 0.2 s"
    assert [result.text for result in fine.results] == ["fine"]


async def test_a_blocked_event_loop_is_replaced():
    """An async tool that blocked on one query still answers the next ones."""

    async def run(query: str) -> str:
        if query == "hang":
            time.sleep(4)  # noqa: ASYNC251
        return query

    async with Toolset([make("a", run, timeout=0.3)], rest_after=99) as toolset:
        assert (await toolset.arun("hang")).calls[0].error
        await asyncio.sleep(1.1)
        assert [result.text for result in (await toolset.arun("again")).results] == ["again"]


@pytest.mark.parametrize("run", [hang, hang_the_loop, swallow_cancellation])
async def test_abandoned_calls_are_bounded(run):
    before = threading.active_count()
    async with Toolset([make("hanging", run, timeout=0.05)], rest_after=1_000) as toolset:
        errors = [(await toolset.arun("q")).calls[0].error for _ in range(30)]
        assert threading.active_count() - before <= 6
    assert errors[0] == "no answer within 0.05 s"
    if run is not hang_the_loop:  # calls that wait behind a blocked loop never start, so none is left behind
        assert (errors[-1] or "").startswith("ToolBusyError: 4 earlier calls were given up on and still run")


def test_a_hanging_tool_does_not_keep_the_interpreter_alive():
    script = """
        import time
        from toolset import Toolset, tool

        @tool(timeout=0.1)
        def hang(query: str) -> str:
            "Sleeps for an hour."
            time.sleep(3600)

        @tool(timeout=0.1)
        async def hang_async(query: str) -> str:
            "Blocks its loop for an hour."
            time.sleep(3600)

        with Toolset([hang, hang_async]) as toolset:
            print([call.error for call in toolset.run("q").calls])
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout == "['no answer within 0.1 s', 'no answer within 0.1 s']\n"
    assert done.stderr == ""


async def test_cancelling_a_turn_cancels_its_calls():
    cancelled = threading.Event()

    async def run(query: str) -> str:
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return "x"

    async with Toolset([make("slow", run), make("sync", lambda query: time.sleep(0.3))], rest_after=1) as toolset:
        turn = asyncio.create_task(toolset.arun("q"))
        await asyncio.sleep(0.1)
        turn.cancel()
        with pytest.raises(asyncio.CancelledError):
            await turn
        assert await asyncio.to_thread(cancelled.wait, 2)
        assert toolset.resting == ()  # being cancelled is no failure of the tool

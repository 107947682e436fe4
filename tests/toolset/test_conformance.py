"""The conformance suite passes good tools and names what is wrong with bad ones."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable

import pytest

from toolset import Result, Source, Tool, tool
from toolset.calculator import Calculator
from toolset.conformance import ConformanceError, check_tool, run_checks


def make(run: Callable, **options) -> Tool:
    options = {"name": "made", "description": "Made for a test.", "timeout": 0.5, **options}
    return tool(**options)(run)


def mine(query: str) -> str | None:
    return "yes" if query.startswith("ask ") else None


async def mine_async(query: str) -> Result | None:
    await asyncio.sleep(0)
    return Result(text="yes", source=Source(title="T")) if query.startswith("ask ") else None


@pytest.mark.parametrize("run", [mine, mine_async])
def test_a_good_tool_passes_every_check(run):
    checks = check_tool(make(run), examples=["ask it", "ask that"], foreign=["what is 2 + 2"])
    assert [check.name for check in checks] == [
        "contract", "answers", "leaves alone", "empty input", "hostile input",
        "thread safety", "event loops", "cancellation", "close",
    ]  # fmt: skip
    assert all(check.passed for check in checks)


def test_the_calculator_passes():
    check_tool(Calculator, examples=["15% of 80", "135 + 7721"], foreign=["hello", "who wrote Hamlet?"])


def test_without_examples_it_says_what_was_not_checked():
    checks = {check.name: check.detail for check in run_checks(make(mine))}
    assert checks["answers"] == "not checked: no example query was given"
    assert checks["leaves alone"] == "not checked: no foreign query was given"


class Unsafe(Tool):
    """Keeps the query on itself while it works, so that two calls at once mix their answers."""

    name, description = "unsafe", "x"

    def run(self, query: str) -> str | None:
        self.query = query
        time.sleep(0.001)
        return self.query if self.query.strip() else None


class LoopBound(Tool):
    """Can be called once at a time only: another thread's or loop's call finds the lock taken."""

    name, description = "loopbound", "x"

    def __init__(self) -> None:
        self.busy = threading.Lock()

    def run(self, query: str) -> None:
        if not self.busy.acquire(blocking=False):
            raise RuntimeError("already running")
        time.sleep(0.002)
        self.busy.release()


class ClosesOnce(Tool):
    name, description = "once", "x"
    closed = False

    def run(self, query: str) -> None:
        return None

    def close(self) -> None:
        if self.closed:
            raise RuntimeError("already closed")
        self.closed = True


class NoQuery(Tool):
    name, description = "noquery", "x"

    def run(self) -> None:  # type: ignore[override]
        return None


def hang_on_many_nines(query: str) -> None:
    if query.count("9") > 1_000:
        time.sleep(1)


def backtrack(query: str) -> str | None:
    """An exponential pattern, as is easily written by accident; `re` holds the interpreter's lock all the while."""
    return "matched" if re.fullmatch(r"(a+)+b", query[:23]) else None


@pytest.mark.parametrize(
    ("candidate", "failed", "detail"),
    [
        (lambda: make(mine, name="x").__class__, "contract", "is ABCMeta, not a Tool"),
        (NoQuery, "contract", "run does not take one query: too many positional arguments."),
        (lambda: make(mine, needs=frozenset({"luck"})), "contract", "needs holds ['luck']; use network, model."),
        (lambda: make(lambda query: None), "answers", "'ask it' is an example, but got no result."),
        (lambda: make(lambda query: 3), "answers", "'ask it': TypeError: returned int;"),
        (lambda: make(lambda query: "x" * 99, max_chars=10), "answers", "characters past max_chars were cut"),
        (lambda: make(lambda query: "always"), "leaves alone", "'what is 2 + 2' got 'always'. Return None"),
        (lambda: make(lambda query: query.split()[0] if "ask" in query or not query else None), "empty input",
         "'': IndexError: list index out of range."),
        (lambda: make(lambda query: mine(query) or (None if len(query) < 20 else str(int(query)))), "hostile input",
         "ValueError: invalid literal for int()"),
        (lambda: make(hang_on_many_nines, timeout=0.2), "hostile input", "(4000 characters)': no answer within 0.2 s."),
        (lambda: make(backtrack, timeout=0.05), "hostile input", "past the time budget of 0.05 s"),
        (Unsafe, "thread safety", "gets another answer when 8 threads ask at once. Share no state."),
        (LoopBound, "thread safety", "from 8 threads at once: RuntimeError: already running."),
        (ClosesOnce, "close", "closing twice: RuntimeError: already closed. Make close() safe to call again."),
    ],
)  # fmt: skip
def test_a_bad_tool_fails_the_check_that_finds_it(candidate, failed: str, detail: str):
    checks = {check.name: check for check in run_checks(candidate(), examples=["ask it"], foreign=["what is 2 + 2"])}
    assert not checks[failed].passed
    assert detail in checks[failed].detail


def test_check_tool_raises_with_all_failures():
    with pytest.raises(ConformanceError) as raised:
        check_tool(make(lambda query: "always"), foreign=["hello"])
    assert str(raised.value).splitlines() == [
        "2 of 9 checks failed:",
        "  leaves alone: 'hello' got 'always'. Return None for what is not the tool's.",
        "  empty input: '' got 'always'. Return None for what is not the tool's.",
    ]

"""Asks all tools one query, side by side, and records what each made of it.

The answer concatenates the tools' results in the order calculator, translator, retrieval, then the others, as in
LaMDA (arXiv 2201.08239, section 6.2). A tool cannot crash, hang or flood a turn: exceptions, time-outs, wrong
types and oversize output become part of its record, and a tool that fails repeatedly is rested.
Boundary: it is given its tools; `plugins` finds and configures them.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
import time
from collections.abc import Callable, Collection, Coroutine, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

from toolset.breaker import Breaker
from toolset.clean import clean_results, clean_text, describe_error, one_line
from toolset.errors import PluginError, ToolsetError
from toolset.isolation import Isolated, ToolBusyError
from toolset.tool import Result, Tool, ToolCall, as_results, check_definition

BUILTIN_ORDER = ("calculator", "translator", "retrieval")
MAX_QUERY = 4_000
"""Longest query, in characters; a longer one is a recorded error of every tool rather than a cut question."""

MAX_ITEMS = 1_000
"""Items of one answer that are looked at; far fewer are kept."""

T = TypeVar("T")

logger = logging.getLogger(__name__)


class ToolsetAnswer(BaseModel):
    """What the tools made of one query."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    query: str
    calls: tuple[ToolCall, ...]

    @property
    def results(self) -> tuple[Result, ...]:
        """All results, in the order of the calls."""
        return tuple(result for call in self.calls for result in call.results)


@dataclass(frozen=True)
class _Entry:
    """A tool with what was true of it when it was admitted; a tool that changes its name later changes nothing."""

    name: str
    tool: Tool
    timeout: float
    max_chars: int
    isolated: Isolated
    breaker: Breaker


class Toolset:
    """A fixed set of tools, asked together. May be used from several threads and event loops at once."""

    def __init__(
        self,
        tools: Iterable[Tool],
        *,
        max_seconds: float = 30.0,
        rest_after: int = 3,
        rest_seconds: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take `tools` in LaMDA's order.

        `max_seconds` bounds every tool's own time budget; a tool that failed `rest_after` times in a row is rested
        for `rest_seconds`, longer if it fails again after that, by `clock`.

        Raises ToolDefinitionError where a tool breaks the contract, PluginError where two have one name.
        """
        entries: dict[str, _Entry] = {}
        for tool in sorted(tools, key=_rank):
            check_definition(tool)
            if tool.name in entries:
                raise PluginError(f"two tools are named {tool.name!r}. Rename or disable one of them.")
            entries[tool.name] = _Entry(
                name=tool.name,
                tool=tool,
                timeout=min(tool.timeout, max_seconds),
                max_chars=tool.max_chars,
                isolated=Isolated(tool.name),
                breaker=Breaker(after=rest_after, rest=rest_seconds, clock=clock),
            )
        self._entries = entries
        self._closed = False

    @property
    def names(self) -> tuple[str, ...]:
        """The tools' names, in the order of their results."""
        return tuple(self._entries)

    @property
    def tools(self) -> tuple[Tool, ...]:
        """The tools, in the order of their results."""
        return tuple(entry.tool for entry in self._entries.values())

    @property
    def resting(self) -> tuple[str, ...]:
        """The tools that are rested at this moment."""
        return tuple(entry.name for entry in self._entries.values() if entry.breaker.resting)

    async def arun(self, query: str, only: Collection[str] | None = None) -> ToolsetAnswer:
        """Ask every tool, or those named in `only`. Takes as long as the slowest tool's time budget at most.

        Raises ToolsetError for an unknown name in `only` and after `aclose`; nothing that a tool does raises.
        Cancelling it gives up on every call.
        """
        if self._closed:
            raise ToolsetError("the toolset is closed. Make a new one.")
        if not isinstance(query, str):
            raise ToolsetError(f"a query is a string, got {type(query).__name__}.")
        unknown = sorted(set(only or ()) - set(self._entries))
        if unknown:
            raise ToolsetError(f"no tool is named {unknown[0]!r}. There are: {', '.join(self._entries) or 'none'}.")
        query = clean_text(query)
        asked = [entry for entry in self._entries.values() if only is None or entry.name in only]
        calls = await asyncio.gather(*(self._ask(entry, query) for entry in asked))
        return ToolsetAnswer(query=query, calls=tuple(calls))

    def run(self, query: str, only: Collection[str] | None = None) -> ToolsetAnswer:
        """As `arun`, for scripts; it may also be called where an event loop runs, which it then blocks."""
        return _run_anywhere(lambda: self.arun(query, only))

    async def aclose(self) -> None:
        """Close every tool, giving each its time budget; a tool that fails at it is logged. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        await asyncio.gather(*(self._close(entry) for entry in self._entries.values()))

    def close(self) -> None:
        """As `aclose`, for scripts."""
        _run_anywhere(self.aclose)

    async def __aenter__(self) -> Toolset:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

    def __enter__(self) -> Toolset:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _ask(self, entry: _Entry, query: str) -> ToolCall:
        started = time.perf_counter()

        def record(results: tuple[Result, ...] = (), error: str | None = None, cut: int = 0) -> ToolCall:
            seconds = time.perf_counter() - started
            return ToolCall(tool=entry.name, query=query, results=results, error=error, cut=cut, seconds=seconds)

        if len(query) > MAX_QUERY:
            return ToolCall(
                tool=entry.name,
                query=one_line(query, 200),
                error=f"the query has {len(query)} characters; a tool is asked at most {MAX_QUERY}",
            )
        refusal = entry.breaker.refusal()
        if refusal is not None:
            return record(error=refusal)
        try:
            outcome = await entry.isolated.call(
                functools.partial(entry.tool.run, query),
                seconds=entry.timeout,
                finish=functools.partial(_within_budget, max_chars=entry.max_chars),
            )
        except asyncio.CancelledError:
            entry.breaker.withdrawn()
            raise
        except (ToolBusyError, RuntimeError) as problem:  # RuntimeError: the machine has no more threads
            kind, outcome_error, timed_out = type(problem).__name__, describe_error(problem), False
        else:
            if outcome.error is None:
                entry.breaker.succeeded()
                results, cut = outcome.value
                return record(results, cut=cut)
            timed_out = isinstance(outcome.error, TimeoutError) and not str(outcome.error)
            kind, outcome_error = type(outcome.error).__name__, describe_error(outcome.error)
        error = f"no answer within {entry.timeout:g} s" if timed_out else outcome_error
        if entry.breaker.failed():
            # The kind only: an error's words may hold the query, which the log does not keep.
            logger.warning("tool %s is rested after failures in a row, the last one %s", entry.name, kind)
        return record(error=error)

    async def _close(self, entry: _Entry) -> None:
        try:
            if type(entry.tool).close is not Tool.close:
                outcome = await entry.isolated.call(entry.tool.close, seconds=entry.timeout, finish=lambda _: None)
                if outcome.error is not None:
                    logger.warning("closing tool %s failed: %s", entry.name, describe_error(outcome.error))
        except ToolBusyError as busy:
            logger.warning("tool %s was not closed: %s", entry.name, busy)
        finally:
            await asyncio.to_thread(entry.isolated.close)  # it waits a moment for the tool's loop


def _rank(tool: Tool) -> int:
    """Built-in tools first, in LaMDA's order; the others keep theirs."""
    name = getattr(tool, "name", None)
    return BUILTIN_ORDER.index(name) if name in BUILTIN_ORDER else len(BUILTIN_ORDER)


def _within_budget(output: object, max_chars: int) -> tuple[tuple[Result, ...], int]:
    """The results in `output`, cleaned and cut, and how many characters were cut. Raises TypeError as `as_results`."""
    past = 0
    if isinstance(output, list | tuple) and len(output) > MAX_ITEMS:
        past = sum(len(item) for item in output[MAX_ITEMS:] if isinstance(item, str))
        output = output[:MAX_ITEMS]
    results, cut = clean_results(as_results(output), max_chars)
    return results, cut + past


def _run_anywhere(start: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run the coroutine that `start` makes to its end, whether or not this thread runs an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(start())
    outcome: Future[T] = Future()

    def body() -> None:
        try:
            outcome.set_result(asyncio.run(start()))
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=body, name="toolset-run", daemon=True).start()
    return outcome.result()

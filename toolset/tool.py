"""The tool contract, whole, on one page: what a tool is given, what it returns, how to write one.

A tool takes one string and returns a list of results, as in LaMDA (arXiv 2201.08239, section 6.2). An empty
list means "not mine": the toolset asks every tool, so a tool that does not understand a query leaves it alone
and never guesses. Write a function:

    from toolset import tool

    @tool
    def shout(query: str) -> str | None:
        '''Repeats a query that starts with "shout" in capitals.'''
        return query[6:].upper() if query.startswith("shout ") else None

or, where a tool has state, a class:

    class Shout(Tool):
        name = "shout"
        description = "Repeats a query in capitals."

        async def run(self, query: str) -> list[Result]:
            return [Result(text=query.upper())]

Both may be sync or async; a sync tool runs in a worker thread and must be thread-safe. A tool may raise: the
toolset records the failure and the turn goes on. Boundary: this module knows nothing of how tools are found
(`plugins`), run together (`toolset`) or checked (`conformance`).
"""

from __future__ import annotations

import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, overload

from pydantic import BaseModel, ConfigDict, Field

from toolset.errors import ToolDefinitionError

Need = Literal["network", "model"]
"""What a tool cannot work without: `network` leaves this machine, `model` loads weights."""

NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")


class Source(BaseModel):
    """Where a result comes from, as it is cited."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    url: str | None = None
    id: str | None = Field(default=None, description="Its identity within its corpus; citations are scored by it.")
    score: float | None = Field(default=None, description="The tool's own relevance or confidence; higher is better.")


class Result(BaseModel):
    """One snippet of evidence: untrusted text, and optionally its source."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    source: Source | None = None


class ToolCall(BaseModel):
    """The record of one tool asked one query; it is part of a turn's trace.

    `error` is None for a call that worked; `results` is then the tool's answer, possibly empty.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tool: str
    query: str
    results: tuple[Result, ...] = ()
    error: str | None = None
    cut: int = Field(default=0, description="Characters of output past the tool's budget that were dropped.")
    seconds: float = 0.0


ToolOutput = str | Result | Sequence[str | Result] | None
"""What a tool may return; `None` and the empty list mean "not mine", a string is a result without a source."""


class Tool(ABC):
    """A tool with state. Subclasses set `name` and `description` and implement `run`."""

    name: str
    description: str
    timeout: float = 5.0
    """Time budget of one call, in seconds; past it the call is recorded as failed."""
    max_chars: int = 8_000
    """Output budget of one call, in characters over all results; what is past it is cut and marked."""
    needs: frozenset[Need] = frozenset()
    open_domain: bool = False
    """Answers any query by similarity (retrieval, web search), so it is asked only where a message seeks facts."""

    @abstractmethod
    def run(self, query: str) -> ToolOutput | Awaitable[ToolOutput]:
        """Answer `query`, or return an empty list where the query is not this tool's."""

    def close(self) -> Awaitable[None] | None:
        """Free what the tool holds (processes, files); called once, when its toolset closes."""
        return None


class FunctionTool(Tool):
    """A typed function as a tool; made by `tool`."""

    def __init__(
        self,
        function: Callable[[str], ToolOutput | Awaitable[ToolOutput]],
        *,
        name: str | None = None,
        description: str | None = None,
        timeout: float = Tool.timeout,
        max_chars: int = Tool.max_chars,
        needs: frozenset[Need] = frozenset(),
        open_domain: bool = False,
    ) -> None:
        self.name = name or getattr(function, "__name__", "tool").strip("_").lower()
        self.description = description or inspect.getdoc(function) or ""
        self.timeout, self.max_chars, self.needs, self.open_domain = timeout, max_chars, needs, open_domain
        self.run = function  # type: ignore[method-assign]
        check_definition(self)

    def run(self, query: str) -> ToolOutput | Awaitable[ToolOutput]:  # replaced per instance
        raise AssertionError("unreachable: __init__ sets the function")

    __call__ = property(lambda self: self.run)


def check_definition(candidate: Tool) -> None:
    """Check name, description and budgets. Raises ToolDefinitionError naming the value and the remedy."""
    name = getattr(candidate, "name", None)
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ToolDefinitionError(
            f"tool name {name!r} is not valid. "
            "Use a lower-case letter followed by at most 39 letters, digits, '_' or '-'."
        )
    if not isinstance(getattr(candidate, "description", None), str) or not candidate.description.strip():
        raise ToolDefinitionError(f"tool {name!r} has no description. Give it a docstring or set `description`.")
    if not isinstance(candidate.timeout, int | float) or not candidate.timeout > 0:
        raise ToolDefinitionError(f"tool {name!r}: timeout must be > 0 seconds, got {candidate.timeout!r}.")
    if not isinstance(candidate.max_chars, int) or candidate.max_chars < 1:
        raise ToolDefinitionError(f"tool {name!r}: max_chars must be >= 1, got {candidate.max_chars!r}.")


@overload
def tool(function: Callable[[str], ToolOutput | Awaitable[ToolOutput]], /) -> FunctionTool: ...


@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    timeout: float = Tool.timeout,
    max_chars: int = Tool.max_chars,
    needs: frozenset[Need] = frozenset(),
    open_domain: bool = False,
) -> Callable[[Callable[[str], ToolOutput | Awaitable[ToolOutput]]], FunctionTool]: ...


def tool(function: Callable[[str], ToolOutput | Awaitable[ToolOutput]] | None = None, /, **options: Any) -> Any:
    """Make a tool of a function that takes the query; its docstring is the description.

    Raises ToolDefinitionError for a name, description or budget that does not fit the contract.
    """
    if function is not None:
        return FunctionTool(function)
    return lambda decorated: FunctionTool(decorated, **options)


def as_results(output: object) -> tuple[Result, ...]:
    """Normalise what a tool returned. Raises TypeError for anything outside `ToolOutput`."""
    if output is None:
        return ()
    items = [output] if isinstance(output, str | Result) else output
    if not isinstance(items, Sequence) or isinstance(items, bytes | bytearray):
        raise TypeError(f"returned {type(output).__name__}; return a string, a Result, a list of them, or None")
    results = []
    for item in items:
        if isinstance(item, str):
            item = Result(text=item)
        if not isinstance(item, Result):
            raise TypeError(f"returned a list holding {type(item).__name__}; use strings or Result")
        if not isinstance(item.text, str):  # a Result can be made without validation
            raise TypeError(f"returned a Result whose text is {type(item.text).__name__}; it must be a string")
        results.append(item)
    return tuple(results)

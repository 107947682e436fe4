"""Finds the tools that are installed and configured, and makes one toolset of them.

A package offers tools through the entry-point group `groundling.tools`:

    [project.entry-points."groundling.tools"]
    weather = "groundling_weather:weather"

The name after the colon is a tool, a list of tools, a `Tool` class, a LangChain tool, retriever or vector store, or a
function that returns any of these; a class or function is called with the tool's `settings` as keyword arguments. A
plugin that cannot be used is named in the problems and skipped; it never keeps the others from loading.
Boundary: it imports and configures; running the tools is the toolset's.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import logging
import re
import sys
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from toolset.clean import describe_error
from toolset.config import McpServer, ToolsConfig
from toolset.errors import PluginError, ToolDefinitionError
from toolset.tool import Tool, ToolOutput, check_definition
from toolset.toolset import Toolset

logger = logging.getLogger(__name__)

T = TypeVar("T")

GROUP = "groundling.tools"
LOAD_SECONDS = 60.0
"""Longest import of a plugin; some load a model."""
CLOSE_SECONDS = 10.0
"""Longest wait for a refused tool to close."""
BUILT_IN = "built in"
LANGCHAIN = (
    "langchain_core.tools.base.BaseTool",
    "langchain_core.retrievers.BaseRetriever",
    "langchain_core.vectorstores.base.VectorStore",
)


class Problem(NamedTuple):
    """Why something configured or installed is not used."""

    what: str
    message: str

    def __str__(self) -> str:
        return f"{self.what}: {self.message}"


class Loaded(NamedTuple):
    """A toolset, what was left out of it and why, and where each of its tools is from."""

    toolset: Toolset
    problems: tuple[Problem, ...]
    origins: dict[str, str]


class Budgeted(Tool):
    """A tool with other budgets than its own; the tool itself, which others may share, stays as it is."""

    def __init__(self, inner: Tool, timeout: float | None = None, max_chars: int | None = None) -> None:
        self.name, self.description = inner.name, inner.description
        self.needs, self.open_domain = inner.needs, inner.open_domain
        self.timeout = inner.timeout if timeout is None else timeout
        self.max_chars = inner.max_chars if max_chars is None else max_chars
        self.inner = inner
        self.run = inner.run  # type: ignore[method-assign]  # so that a sync tool stays sync, an async one async

    def run(self, query: str) -> ToolOutput | Awaitable[ToolOutput]:  # replaced per instance
        return self.inner.run(query)

    def close(self) -> Awaitable[None] | None:
        return self.inner.close()


@dataclass
class _Collected:
    tools: dict[str, Tool] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    known: set[str] = field(default_factory=set)  # names that a table of the configuration may have


def load_toolset(
    config: ToolsConfig | None = None,
    builtin: Iterable[Tool] = (),
    *,
    entry_points: Iterable[importlib.metadata.EntryPoint] | None = None,
    known: Iterable[str] = (),
) -> Loaded:
    """Make a toolset of the `builtin` tools, installed plugins and MCP servers, as `config` says.

    `entry_points` replaces the installed ones; `known` are names that the configuration may have a table for though no
    tool has them, as those of built-in tools that it switches off. Built-in tools come first and keep their names;
    among plugins, the order is by package, then entry point, and of two tools with one name the first is kept; what is
    not kept is closed. Importing a plugin takes at most LOAD_SECONDS, connecting to an MCP server its time budget.
    Nothing that a plugin or server does raises.
    """
    config = config or ToolsConfig()
    collected = _Collected(known=set(known))
    for tool in builtin:
        _add(collected, config, tool, BUILT_IN)
    if config.plugins:
        for entry_point in sorted(
            importlib.metadata.entry_points(group=GROUP) if entry_points is None else entry_points, key=_place
        ):
            _add_plugin(collected, config, entry_point)
    servers = {name: server for name, server in config.mcp.items() if server.enabled}
    if servers:
        _add_servers(collected, config, servers)
    for name in sorted(set(config.tools) - collected.known):
        message = "is configured, but no tool or plugin has that name. Correct or remove it in tools.toml."
        collected.problems.append(Problem(f"tool {name}", message))
    return Loaded(Toolset(collected.tools.values()), tuple(collected.problems), collected.origins)


def load_object(found: object, settings: dict[str, object]) -> list[Tool]:
    """The tools that an entry point's object stands for; it is called with `settings` where it is no tool yet.

    Raises PluginError where it is nothing that holds tools, and whatever the plugin itself raises.
    """
    if isinstance(found, Tool):
        if settings:
            raise PluginError(f"takes no settings, got {', '.join(sorted(settings))}. Remove them, or offer a class.")
        return [found]
    if _is_langchain(found):
        from toolset.langchain import as_tool

        return [as_tool(found, **settings)]  # type: ignore[arg-type]
    if isinstance(found, Sequence) and not isinstance(found, str | bytes):
        return [tool for item in found for tool in load_object(item, settings)]
    if isinstance(found, type) and not issubclass(found, Tool):
        raise PluginError(f"the class {found.__name__} is no tool. Derive it from toolset.Tool.")
    if callable(found):
        made = found(**settings)
        if (
            isinstance(made, Tool)
            or _is_langchain(made)
            or (isinstance(made, Sequence) and not isinstance(made, str | bytes))
        ):
            return load_object(made, {})
        raise PluginError(f"returned {type(made).__name__}. Return a tool; put @tool on a function that is one.")
    raise PluginError(f"is {type(found).__name__}. Point it to a tool, a Tool class, or a function that makes tools.")


def _is_langchain(found: object) -> bool:
    """Whether it is a LangChain tool, retriever or vector store; LangChain is not imported to find out."""
    names = {f"{base.__module__}.{base.__name__}" for base in type(found).__mro__}
    return not names.isdisjoint(LANGCHAIN)


def _add_plugin(collected: _Collected, config: ToolsConfig, entry_point: importlib.metadata.EntryPoint) -> None:
    package, version = _package(entry_point)
    collected.known.add(entry_point.name)
    if _normal(package) in {_normal(name) for name in config.skip} or not config.entry(entry_point.name).enabled:
        return
    origin = f"{package} {version}".strip()
    with _problems_of(collected, f"plugin {entry_point.name} ({origin})"):
        entry = config.entry(entry_point.name)
        if entry.process:
            from toolset.process import load_in_process

            made = load_in_process(entry_point.value, entry.settings, entry.timeout)
        else:
            with contextlib.redirect_stdout(sys.stderr):  # standard output may carry a command's JSON
                made = _bounded(lambda: load_object(entry_point.load(), entry.settings), LOAD_SECONDS)
        for tool in made:
            _add(collected, config, tool, origin)


def _add_servers(collected: _Collected, config: ToolsConfig, servers: dict[str, McpServer]) -> None:
    try:
        from toolset.mcp import connect_all
    except ImportError:
        for name in servers:
            message = f"MCP servers need the `mcp` package. Run: {sys.executable} -m pip install 'mcp>=2'"
            collected.problems.append(Problem(f"MCP server {name}", message))
        return
    for name, tools, problem in connect_all(servers):
        if problem is not None:
            collected.problems.append(Problem(f"MCP server {name}", problem))
        for tool in tools:
            _add(collected, config, tool, f"MCP server {name}")


def _bounded(load: Callable[[], T], seconds: float) -> T:
    """What `load` returns or raises. Raises PluginError past `seconds`; its thread is then left behind."""
    outcome: Future[T] = Future()

    def body() -> None:
        try:
            outcome.set_result(load())
        except BaseException as error:  # as in `_problems_of`
            outcome.set_exception(error)

    threading.Thread(target=body, name="plugin-load", daemon=True).start()
    wait([outcome], seconds)
    if not outcome.done():
        raise PluginError(f"was not imported within {seconds:g} s. Leave it out with `skip` in tools.toml.")
    return outcome.result()


def _add(collected: _Collected, config: ToolsConfig, tool: Tool, origin: str) -> None:
    """Admit one tool, with its budgets from the configuration, or close it."""
    with _problems_of(collected, f"{origin} tool" if origin == BUILT_IN else f"tool of {origin}"):
        admitted = False
        try:
            admitted = _admit(collected, config, tool, origin)
        finally:
            in_use = (kept.inner if isinstance(kept, Budgeted) else kept for kept in collected.tools.values())
            if not admitted and all(kept is not tool for kept in in_use):  # one object may be offered twice
                _close(tool)


def _admit(collected: _Collected, config: ToolsConfig, tool: Tool, origin: str) -> bool:
    """Whether the tool is used. Raises ToolDefinitionError, PluginError where it cannot be."""
    check_definition(tool)
    collected.known.add(tool.name)
    entry = config.entry(tool.name)
    if not entry.enabled:
        return False
    if entry.process and origin == BUILT_IN:
        raise PluginError(f"{tool.name!r} is built in. Only plugins run in processes of their own: remove `process`.")
    if tool.name in collected.tools:
        raise PluginError(
            f"another tool is named {tool.name!r} ({collected.origins[tool.name]}); that one is kept. "
            "Leave one of the packages out with `skip` in tools.toml."
        )
    if entry.timeout is not None or entry.max_chars is not None:
        tool = Budgeted(tool, entry.timeout, entry.max_chars)
    collected.tools[tool.name] = tool
    collected.origins[tool.name] = origin
    return True


def _close(tool: Tool) -> None:
    """Free what a refused tool holds, such as a process or a connection."""

    async def finish(closing: Awaitable[None]) -> None:
        await closing

    def close() -> None:
        closing = tool.close()
        if closing is not None:
            asyncio.run(finish(closing))

    try:
        _bounded(close, CLOSE_SECONDS)
    except Exception as error:
        logger.warning("closing tool %s failed: %s", getattr(tool, "name", tool), describe_error(error))


@contextlib.contextmanager
def _problems_of(collected: _Collected, what: str) -> Iterator[None]:
    """Turn whatever is raised into a problem of `what`."""
    try:
        yield
    except KeyboardInterrupt:
        raise
    except (PluginError, ToolDefinitionError) as error:
        collected.problems.append(Problem(what, str(error)))
    except BaseException as error:  # a module may even call sys.exit while it is imported
        collected.problems.append(Problem(what, f"does not load: {describe_error(error)}"))


def _place(entry_point: importlib.metadata.EntryPoint) -> tuple[str, str, str]:
    return _normal(_package(entry_point)[0]), entry_point.name, entry_point.value


def _package(entry_point: importlib.metadata.EntryPoint) -> tuple[str, str]:
    """Name and version of the package that an entry point is from."""
    if entry_point.dist is None:
        return entry_point.value.split(":")[0], ""
    return entry_point.dist.name, entry_point.dist.version


def _normal(package: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", package).lower()

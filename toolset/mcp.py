"""Tools of MCP servers as ours, over stdio and streamable HTTP, with the official SDK (`mcp` 2.x).

A server is configured in `tools.toml` (see `config`). One connection is kept to each; where the server dies, hangs
or restarts, the call is a recorded error and the next one connects anew. What a server says of itself is untrusted:
names are made valid, and only tools that the configuration names are asked.
Boundary: this is the client; `mcp_server` offers our toolset to others.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any, NamedTuple, TextIO

import mcp_types as types
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from toolset.arguments import only_argument
from toolset.clean import describe_error, one_line
from toolset.config import McpServer
from toolset.errors import ToolsetError
from toolset.isolation import Job, LoopThread
from toolset.names import tool_name
from toolset.tool import Result, Source, Tool

MAX_PAGES = 20
"""Pages of a server's list of tools that are read; a list that never ends is cut there."""
HANGING_SECONDS = 1.0
"""A call that was given up on after this long makes its connection suspect."""
CLOSE_SECONDS = 8.0
"""Longest wait for a server to end; the SDK stops its process within that."""


class McpError(ToolsetError):
    """An MCP server cannot be reached, or its tool reported an error."""


class Connected(NamedTuple):
    """What came of one configured server."""

    server: str
    tools: list[Tool]
    problem: str | None


def connect_all(servers: Mapping[str, McpServer]) -> list[Connected]:
    """Connect to all `servers` side by side, each within its time budget; a failure is its `problem`."""
    connections = {name: McpConnection(name, server) for name, server in servers.items()}
    jobs = {name: connection.start_listing() for name, connection in connections.items()}
    return [_connected(connections[name], job) for name, job in jobs.items()]


def _connected(connection: McpConnection, job: Job) -> Connected:
    name, config = connection.name, connection.config
    try:
        outcome = job.future.result(config.timeout + CLOSE_SECONDS)
        error = outcome.error
    except TimeoutError as late:
        error, outcome = late, None
    if error is not None or outcome is None:
        connection.release()
        return Connected(name, [], f"cannot be used: {describe_error(error or TimeoutError())}")
    offered = {tool.name: tool for tool in outcome.value}
    names = ", ".join(one_line(tool, 60) for tool in offered) or "none"
    if not config.tools:
        connection.release()
        return Connected(name, [], f"no tool of it is asked. List some under `tools`; it offers: {names}.")
    made: list[Tool] = []
    problems: list[str] = []
    for wanted in config.tools:
        if wanted not in offered:
            problems.append(f"it has no tool {wanted!r}; it offers: {names}.")
            continue
        argument = config.argument.get(wanted) or only_argument(
            offered[wanted].input_schema, config.fixed.get(wanted, {})
        )
        if argument is None:
            problems.append(
                f"its tool {wanted!r} has no plain parameter for a query. Name it with `argument.{wanted}`, and give "
                f"others in `fixed.{wanted}`."
            )
            continue
        made.append(McpTool(connection, offered[wanted], argument))
    if not made:
        connection.release()
    return Connected(name, made, " ".join(problems) or None)


class McpTool(Tool):
    """One tool of an MCP server; made by `connect_all`."""

    def __init__(self, connection: McpConnection, offered: types.Tool, argument: str) -> None:
        self.name = tool_name(connection.name, offered.name)
        self.description = one_line(offered.description or offered.title or offered.name, 500) or self.name
        self.timeout = connection.config.timeout
        self.open_domain = connection.config.open_domain
        self.needs = frozenset() if connection.config.command else frozenset({"network"})
        self._connection, self._remote_name, self._argument = connection, offered.name, argument
        self._fixed = dict(connection.config.fixed.get(offered.name, {}))
        self._closed = False
        connection.retain()

    async def run(self, query: str) -> list[Result]:
        result = await self._connection.call(self._remote_name, {**self._fixed, self._argument: query})
        if result.is_error:
            raise McpError(f"the server reports: {_text_of(result) or 'an error without a message'}")
        return list(_results_of(result))

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._connection.release()


class _Session:
    """A live connection: its client, the calls that use it, and the wish to end it."""

    def __init__(self) -> None:
        self.ready: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self.closing = asyncio.Event()
        self.calls = 0
        self.dropped = False
        self.keeper: asyncio.Task[None] | None = None


class McpConnection:
    """The connection to one server, on an event loop of its own, because a session belongs to the loop it began on."""

    def __init__(self, name: str, config: McpServer) -> None:
        self.name, self.config = name, config
        self._thread = LoopThread(f"mcp-{name}")
        self._session: _Session | None = None  # touched on the loop alone
        self._users = 0
        self._lock = threading.Lock()

    def start_listing(self) -> Job:
        """Begin to connect and to list the server's tools; the job's value is a list of `mcp_types.Tool`."""
        return self._thread.submit(self._list_tools)

    async def call(self, tool: str, arguments: dict[str, Any]) -> types.CallToolResult:
        """Call a tool, from any event loop. Raises McpError, or what the protocol reports; both are one line."""
        return await self._thread.ask(lambda: self._call(tool, arguments))

    def retain(self) -> None:
        """Count a tool that uses the connection."""
        with self._lock:
            self._users += 1

    def release(self) -> None:
        """End the connection, and the server if it was started here, once no tool uses it."""
        with self._lock:
            self._users -= 1
            if self._users > 0:
                return
        with contextlib.suppress(RuntimeError, TimeoutError):  # its loop has ended already, or hangs
            self._thread.submit(self._close).future.result(CLOSE_SECONDS)
        self._thread.stop()

    async def _list_tools(self) -> list[types.Tool]:
        session = await self._connect()
        tools: list[types.Tool] = []
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            page = await asyncio.wait_for(session.ready.result().list_tools(cursor=cursor), self.config.timeout)
            tools += page.tools
            cursor = page.next_cursor
            if not cursor:
                break
        return tools

    async def _call(self, tool: str, arguments: dict[str, Any]) -> types.CallToolResult:
        started = time.monotonic()
        session = await self._connect()
        session.calls += 1
        try:
            return await session.ready.result().call_tool(tool, arguments)
        except asyncio.CancelledError:
            # Whoever waited ran out of time: a server that hangs is left, and the next call connects anew. A turn
            # that a person cancelled at once says nothing of the server.
            if time.monotonic() - started > min(HANGING_SECONDS, 0.9 * self.config.timeout):
                self._drop(session)
            raise
        except MCPError as error:
            if error.code in (types.CONNECTION_CLOSED, types.REQUEST_TIMEOUT):
                self._drop(session)
                raise McpError(f"the server's connection was lost during the call ({error}).") from None
            raise McpError(f"the server refuses the call: {error}") from None
        except Exception:
            self._drop(session)
            raise
        finally:
            session.calls -= 1
            self._end_if_unused(session)

    async def _connect(self) -> _Session:
        """The live session, or a new one. Raises McpError within the time budget."""
        session = self._session
        if session is None:
            session = self._session = _Session()
            session.keeper = asyncio.create_task(self._keep(session))
        done, _ = await asyncio.wait({session.ready}, timeout=self.config.timeout)
        if not done:
            self._drop(session)
            self._end_if_unused(session)
            raise McpError(f"no connection within {self.config.timeout:g} s.")
        session.ready.result()  # raises what kept it from connecting
        return session

    async def _keep(self, session: _Session) -> None:
        """Hold the connection open; a client must be left in the task that entered it."""
        with _LastWords() as last_words:
            try:
                async with contextlib.AsyncExitStack() as stack:
                    transport = await self._transport(stack, last_words.file)
                    client = Client(transport, read_timeout_seconds=self.config.timeout)
                    session.ready.set_result(await stack.enter_async_context(client))
                    await session.closing.wait()
            except BaseException as error:
                if self._session is session:
                    self._session = None
                if not session.ready.done():
                    reason = describe_error(_first_cause(error))
                    session.ready.set_exception(McpError(f"no connection: {reason}{await last_words.quoted()}"))
                    session.ready.exception()  # it is read by whoever waits, if anybody does
                if isinstance(error, asyncio.CancelledError):
                    raise

    async def _transport(self, stack: contextlib.AsyncExitStack, errors: TextIO) -> Any:
        config = self.config
        if config.command is not None:
            parameters = StdioServerParameters(
                command=config.command, args=config.args, env=config.env or None, cwd=config.cwd
            )
            return stdio_client(parameters, errlog=errors)
        assert config.url is not None  # the configuration has either
        import httpx2

        http = httpx2.AsyncClient(headers=config.headers, timeout=httpx2.Timeout(config.timeout, read=300.0))
        return streamable_http_client(config.url, http_client=await stack.enter_async_context(http))

    def _drop(self, session: _Session) -> None:
        """Let no further call use `session`; it ends when those under way have."""
        session.dropped = True
        if self._session is session:
            self._session = None

    def _end_if_unused(self, session: _Session) -> None:
        if session.dropped and session.calls == 0:
            session.closing.set()

    async def _close(self) -> None:
        session, self._session = self._session, None
        if session is not None and session.keeper is not None:
            session.closing.set()
            if not session.ready.done():
                session.keeper.cancel()
            await asyncio.wait({session.keeper}, timeout=CLOSE_SECONDS)


class _LastWords:
    """The end of what a server wrote to its standard error: it says why a server did not start."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=5)
        self._done: Future[None] = Future()

    def __enter__(self) -> _LastWords:
        reading, writing = os.pipe()
        self.file = os.fdopen(writing, "w")
        threading.Thread(target=self._read, args=(reading,), name="mcp-stderr", daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()

    async def quoted(self) -> str:
        """The last line, as part of a message."""
        self.file.close()
        await asyncio.wait({asyncio.wrap_future(self._done)}, timeout=0.5)
        lines = [line for line in map(str.strip, self._lines) if line]
        return f" ({one_line(lines[-1], 200)})" if lines else ""

    def _read(self, reading: int) -> None:
        with os.fdopen(reading, errors="replace") as stream:
            while line := stream.readline(2_000):
                self._lines.append(line)
        self._done.set_result(None)


def _first_cause(error: BaseException) -> BaseException:
    """The first plain error within exception groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _results_of(result: types.CallToolResult) -> Iterator[Result]:
    """Results in a call's content; a Groundling server's own results, sources included, come back as they were."""
    structured = result.structured_content
    if isinstance(structured, dict) and set(structured) == {"results"}:
        try:
            results = [Result.model_validate(item) for item in structured["results"]]
        except (ValidationError, TypeError):
            pass  # another server's structure; the content says the same in words
        else:
            yield from results
            return
    for block in result.content:
        if isinstance(block, types.TextContent):
            yield Result(text=block.text)
        elif isinstance(block, types.EmbeddedResource) and isinstance(block.resource, types.TextResourceContents):
            uri = str(block.resource.uri)
            yield Result(text=block.resource.text, source=Source(title=uri, url=uri))
        elif isinstance(block, types.ResourceLink):
            title = block.title or block.name
            yield Result(text=block.description or title, source=Source(title=title, url=str(block.uri)))


def _text_of(result: types.CallToolResult) -> str:
    texts: Iterable[str] = (block.text for block in result.content if isinstance(block, types.TextContent))
    return one_line(" ".join(texts), 300)

"""Offers a toolset to MCP clients, over stdio and streamable HTTP, with the official SDK (`mcp` 2.x).

Each tool takes one string, `query`. Results are both text, for a model, and structured, with their sources. A tool
that fails is a result with `is_error`, so that the model sees it; only an unknown tool is a protocol error.
Boundary: this is the server; `mcp` uses the tools of others.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import mcp_types as types
from mcp.server import Server
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError

from toolset.errors import ToolConfigError
from toolset.tool import Result, Tool
from toolset.toolset import Toolset

LOOPBACK = ("127.0.0.1", "localhost", "::1")

_INPUT: dict[str, Any] = {
    "type": "object",
    "properties": {"query": {"type": "string", "description": "The question, as a person would write it."}},
    "required": ["query"],
    "additionalProperties": False,
}

_OUTPUT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "results": {
            "type": "array",
            "description": "Empty where the tool has no answer to this query.",
            "items": {
                "type": "object",
                "properties": {
                    "text": {"type": "string"},
                    "source": {
                        "type": ["object", "null"],
                        "properties": {
                            "title": {"type": "string"},
                            "url": {"type": ["string", "null"]},
                            "id": {"type": ["string", "null"]},
                            "score": {"type": ["number", "null"]},
                        },
                        "required": ["title"],
                    },
                },
                "required": ["text"],
            },
        }
    },
    "required": ["results"],
}


def build_server(toolset: Toolset, version: str = "") -> Server[Any]:
    """An MCP server of `toolset`'s tools; closing the toolset is left to whoever made it."""

    async def list_tools(context: Any, parameters: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[_describe(tool) for tool in toolset.tools])

    async def call_tool(context: Any, parameters: types.CallToolRequestParams) -> types.CallToolResult:
        if parameters.name not in toolset.names:
            known = ", ".join(toolset.names)
            raise MCPError(types.INVALID_PARAMS, f"there is no tool {parameters.name!r}. There are: {known}.")
        arguments = parameters.arguments or {}
        query = arguments.get("query")
        if not isinstance(query, str) or set(arguments) != {"query"}:
            given = ", ".join(sorted(arguments)) or "nothing"
            return _failure(f"give one argument, `query`, a string; got {given}.")
        call = (await toolset.arun(query, only=[parameters.name])).calls[0]
        if call.error:
            return _failure(f"{call.tool} failed: {call.error}")
        texts = [types.TextContent(type="text", text=_in_words(result)) for result in call.results]
        nothing = types.TextContent(type="text", text=f"{call.tool} has no answer to this query.")
        return types.CallToolResult(
            content=[*texts] or [nothing],
            structured_content={"results": [result.model_dump() for result in call.results]},
        )

    return Server(
        "groundling",
        version=version,
        title="Groundling tools",
        instructions="Ask each tool a question in plain words; a tool without an answer says so.",
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


async def serve_stdio(toolset: Toolset, version: str = "") -> None:
    """Serve one client on standard input and output until it leaves. What tools print goes to standard error."""
    server = build_server(toolset, version)
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


async def serve_http(
    toolset: Toolset,
    *,
    host: str = "127.0.0.1",
    port: int = 8766,
    version: str = "",
    on_ready: Callable[[str], None] = lambda address: None,
) -> None:
    """Serve clients on this machine over streamable HTTP until cancelled or interrupted.

    `port` 0 takes a free one; `on_ready` is given the address. Requests that a web page makes from another origin
    are refused (DNS rebinding).

    Raises ToolConfigError where `host` is not this machine's loopback, since the server asks nobody who they are, or
    where the port is taken.
    """
    if host not in LOOPBACK:
        raise ToolConfigError(f"tools are served on loopback only ({', '.join(LOOPBACK)}), got {host!r}.")
    import uvicorn

    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen()  # from here on clients can connect: they wait until the server takes them
    except OSError as error:
        listening.close()
        raise ToolConfigError(f"port {port} of {host} cannot be used ({error.strerror}). Choose another.") from None
    app = build_server(toolset, version).streamable_http_app(host=host)
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        shown = f"[{host}]" if ":" in host else host
        on_ready(f"http://{shown}:{listening.getsockname()[1]}/mcp")
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        server.should_exit = True
        await serving
        raise
    finally:
        listening.close()


def _describe(tool: Tool) -> types.Tool:
    return types.Tool(
        name=tool.name,
        description=" ".join(tool.description.split()),
        input_schema=_INPUT,
        output_schema=_OUTPUT,
        annotations=types.ToolAnnotations(read_only_hint=True, open_world_hint="network" in tool.needs),
    )


def _failure(message: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=message)], is_error=True)


def _in_words(result: Result) -> str:
    if result.source is None:
        return result.text
    url = f" <{result.source.url}>" if result.source.url else ""
    return f"{result.text}\nSource: {result.source.title}{url}"

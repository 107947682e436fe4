"""The toolset's configuration file, `tools.toml`: which tools are used, and with what settings.

    plugins = true                    # false: no third-party tool is imported
    skip = ["groundling-weather"]     # installed packages whose tools are left out

    [tools.calculator]                # a tool by its name, or a plugin by its entry point's
    enabled = false

    [tools.weather]
    timeout = 2.0                     # seconds, instead of the tool's own
    max_chars = 2000
    settings = { city = "Oslo" }      # what the plugin's class or function is called with
    process = true                    # in a process of its own, which is ended when it takes too long

    [mcp.papers]                      # an MCP server that is started with its toolset ...
    command = "paper-server"
    args = ["--read-only"]
    tools = ["search"]                # ... and which of its tools are asked every query

    [mcp.wiki]                        # ... or one that listens
    url = "http://127.0.0.1:8000/mcp"
    tools = ["lookup"]

Boundary: reads and checks; `plugins` and `mcp` act on it.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from toolset.errors import ToolConfigError


class ToolEntry(BaseModel):
    """One `[tools.NAME]` table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = True
    timeout: float | None = Field(default=None, gt=0, description="Time budget of a call, in seconds.")
    max_chars: int | None = Field(default=None, ge=1, description="Output budget of a call, in characters.")
    settings: dict[str, Any] = {}
    process: bool = Field(default=False, description="Run a plugin in a process of its own, which can be ended.")


class McpServer(BaseModel):
    """One `[mcp.NAME]` table: a server to start (`command`) or to reach (`url`), and which of its tools to use."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = True
    command: str | None = None
    args: list[str] = []
    env: dict[str, str] = Field(default={}, description="Added to a minimal environment; the server sees no other.")
    cwd: str | None = None
    url: str | None = Field(default=None, pattern=r"^https?://")
    headers: dict[str, str] = {}
    tools: list[str] = Field(
        default=[],
        description="Its tools to ask, by their names there. A server may also offer tools that change things, and "
        "every query goes to every tool: so none is asked that is not named here.",
    )
    argument: dict[str, str] = Field(default={}, description="By tool: the parameter that takes the query.")
    fixed: dict[str, dict[str, Any]] = Field(default={}, description="By tool: further arguments of every call.")
    open_domain: bool = Field(default=True, description="Ask its tools only where a message seeks facts.")
    timeout: float = Field(default=10.0, gt=0, description="Time budget of connecting and of a call, in seconds.")

    @model_validator(mode="after")
    def _one_way_to_reach_it(self) -> McpServer:
        if (self.command is None) == (self.url is None):
            raise ValueError("give either `command` or `url`")
        return self


class ToolsConfig(BaseModel):
    """The whole file; the defaults are what holds without one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    plugins: bool = True
    skip: list[str] = []
    tools: dict[str, ToolEntry] = {}
    mcp: dict[str, McpServer] = {}

    def entry(self, name: str) -> ToolEntry:
        """The table of `name`, or its defaults."""
        return self.tools.get(name, _DEFAULT)


_DEFAULT = ToolEntry()


def read_config(path: Path | str) -> ToolsConfig:
    """Read `path`; a file that does not exist gives the defaults.

    Raises ToolConfigError that names the file, the place and what is allowed there.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ToolsConfig()
    except (OSError, UnicodeDecodeError) as error:
        raise ToolConfigError(f"{path} cannot be read ({error}). Make it a UTF-8 text file in TOML.") from None
    try:
        return ToolsConfig.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ToolConfigError(f"{path} is not TOML: {error}. Correct it, or remove it to use the defaults.") from None
    except ValidationError as error:
        raise ToolConfigError(f"{path}: {_explain(error)}") from None


def _explain(error: ValidationError) -> str:
    """The first mistake, in the file's terms."""
    first = error.errors()[0]
    place = [str(part) for part in first["loc"]]
    if first["type"] == "extra_forbidden":
        model = McpServer if place[0] == "mcp" else ToolEntry if place[0] == "tools" else ToolsConfig
        return f"{'.'.join(place)!r} is not known. There are: {', '.join(model.model_fields)}."
    message = first["msg"].removeprefix("Value error, ")
    return f"{'.'.join(place)}: {message}."

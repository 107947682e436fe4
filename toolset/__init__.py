"""Tools for grounded answers: the plugin SDK, the toolset, and three built-in tools.

from toolset import Result, Source, Tool, tool    # to write a tool: all of it is in toolset/tool.py
from toolset import Toolset                       # to ask several tools at once
"""

from toolset.errors import PluginError, ToolConfigError, ToolDefinitionError, ToolsetError
from toolset.tool import Need, Result, Source, Tool, ToolCall, ToolOutput, tool
from toolset.toolset import Toolset, ToolsetAnswer

__all__ = [
    "Need",
    "PluginError",
    "Result",
    "Source",
    "Tool",
    "ToolCall",
    "ToolConfigError",
    "ToolDefinitionError",
    "ToolOutput",
    "Toolset",
    "ToolsetAnswer",
    "ToolsetError",
    "tool",
]

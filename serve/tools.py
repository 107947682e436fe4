"""Which tools this installation has: the built-in ones, and what `tools.toml` in the home folder adds."""

from __future__ import annotations

from pathlib import Path

from serve.home import home
from toolset.config import read_config
from toolset.plugins import Loaded, load_toolset
from toolset.tool import Tool


def config_path() -> Path:
    """The toolset's configuration file; it need not exist."""
    return home() / "tools.toml"


def builtin_tools() -> list[Tool]:
    """The built-in tools, in LaMDA's order."""
    from toolset.calculator import Calculator
    from toolset.translator import Translator

    return [Calculator(), Translator()]


def load_tools(path: Path | None = None) -> Loaded:
    """The toolset that `path` (by default `config_path()`) describes, with what had to be left out.

    Raises ToolConfigError where the file cannot be used.
    """
    return load_toolset(read_config(path or config_path()), builtin_tools())

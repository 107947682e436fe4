"""Tools made on the spot for tests."""

from __future__ import annotations

from toolset import Tool, tool


def make(name: str, run, *, timeout: float = 5.0, max_chars: int = 8_000) -> Tool:
    return tool(name=name, description="Made for a test.", timeout=timeout, max_chars=max_chars)(run)

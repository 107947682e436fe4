"""Phrases written as plain text patterns, compiled once: a space matches any spaces, " ?" at most one,
and case does not matter."""

from __future__ import annotations

import re
from functools import lru_cache


@lru_cache(maxsize=512)
def phrase(pattern: str) -> re.Pattern[str]:
    """The compiled pattern of a phrase."""
    return re.compile(pattern.replace(" ?", r"\s?").replace(" ", r"\s+"), re.IGNORECASE)

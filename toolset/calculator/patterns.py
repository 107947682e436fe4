"""Phrases written as plain text patterns, compiled once: a space matches any spaces, " ?" at most one,
and case does not matter."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from toolset.calculator.errors import NotMine, Undefined

Form = tuple[re.Pattern[str], Callable[[re.Match[str]], str]]
"""A pattern over a whole query, and what computes the result from its holes."""


@lru_cache(maxsize=512)
def phrase(pattern: str) -> re.Pattern[str]:
    """The compiled pattern of a phrase."""
    return re.compile(pattern.replace(" ?", r"\s?").replace(" ", r"\s+"), re.IGNORECASE)


def first_answer(forms: Iterable[Form], text: str) -> str | None:
    """What the first form makes of `text` that fits it and can compute it; None where there is none."""
    for pattern, compute in forms:
        match = pattern.fullmatch(text)
        if match is None:
            continue
        try:
            return compute(match)
        except (NotMine, Undefined):
            continue
    return None

"""What a query asks to be translated; the parser's output and the translator's input."""

from __future__ import annotations

from dataclasses import dataclass

MAX_QUERY = 4_000
"""Longest query that is read, in characters; a longer one is left alone."""
MAX_TEXT = 2_000
"""Longest text that is translated, in characters."""


@dataclass(frozen=True)
class Request:
    """A request for one translation.

    `target` and `source` are language codes; a source of None is to be found out. `asking` is the language the
    question is asked in: the likeliest source, unless it is the target itself. `certain` says that the words of
    the query leave no doubt that a translation is wanted; without it ("what does X mean?") the text must also
    turn out to be in another language.
    """

    text: str
    target: str
    source: str | None = None
    asking: str = "en"
    certain: bool = True
    either_way: bool = False
    """"What does X mean in L": X may be a word of L, to be explained in the asking language, or the reverse."""

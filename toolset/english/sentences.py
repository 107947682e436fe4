"""Sentences of a text.

Boundary: all positions are character offsets into the given text.
"""

from __future__ import annotations

import re
from typing import NamedTuple

BOUNDARY = re.compile(
    r"""(?<=[.!?…])["'”’)\]»]*\s+(?=["'“‘(\[«¿¡]*[^\Wa-z_])   # a stop, then something that is not a small letter
      | (?<=[。！？])                                          # scripts without spaces
      | \n\s*\n                                               # a blank line
    """,
    re.VERBOSE,
)
ABBREVIATION = re.compile(
    r"(?:^|[\s(\"“])(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|Sr|Jr|Lt|Col|Gen|Capt|Sgt|Rev|Hon|Mt|Ft|vs|cf|ca|c|e\.g|i\.e|etc|al"
    r"|No|Nos|Op|[Vv]ol|pp?|[Ff]ig|approx|est|fl|b|d|r|Co|Corp|Inc|Ltd|Jan|Feb|Mar|Apr|Aug|Sept?|Oct|Nov|Dec|(?:[A-Z]\.)+[A-Z])\.$"
)


class Span(NamedTuple):
    """`text[start:end]`, in characters."""

    start: int
    end: int


def sentences(text: str) -> list[Span]:
    """The sentences of `text`, in order, without surrounding space; empty for blank text.

    A stop after an initial or a common abbreviation ("J. R. R. Tolkien", "Dr. Who", "U.S. Army") ends nothing.
    """
    spans: list[Span] = []
    start = 0
    for boundary in [*BOUNDARY.finditer(text), None]:
        end = boundary.start() if boundary else len(text)
        if boundary and text[end - 1 : end] == "." and ABBREVIATION.search(text, max(start, end - 12), end):
            continue
        if boundary:  # quotes and brackets that close the sentence belong to it
            end += len(boundary.group()) - len(boundary.group().lstrip("\"'”’)]»"))
        inner = text[start:end]
        if inner.strip():
            spans.append(Span(start + len(inner) - len(inner.lstrip()), start + len(inner.rstrip())))
        start = boundary.end() if boundary else end
    return spans


def split(text: str) -> list[str]:
    """The sentences of `text` themselves."""
    return [text[span.start : span.end] for span in sentences(text)]

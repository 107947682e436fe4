"""Evidence: what tools returned, numbered, and made harmless before it stands in a prompt."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from dialog.messages import MARKER, clean_text
from toolset.tool import ToolCall

MAX_ITEMS = 5
"""Snippets that one turn reads."""
MAX_CHARS = 900
"""Longest snippet, in characters (about 220 tokens)."""


class Evidence(NamedTuple):
    """One numbered snippet."""

    number: int
    text: str
    title: str
    url: str | None
    id: str | None
    tool: str
    open_domain: bool
    """From a tool that answers any query by similarity, so the snippet may miss the question."""
    lines: str = ""
    """The text with its line breaks, for a quotation; it never stands in a prompt."""


def collect(calls: Iterable[ToolCall], open_domain_tools: set[str], start: int = 1) -> list[Evidence]:
    """Number the results of `calls`, in their order, from `start`; at most `MAX_ITEMS`."""
    found: list[Evidence] = []
    for call in calls:
        for result in call.results:
            text = harmless(result.text)
            if text and len(found) < MAX_ITEMS:
                source = result.source
                found.append(
                    Evidence(
                        number=start + len(found),
                        text=text,
                        title=harmless(source.title) if source else call.tool.capitalize(),
                        url=source.url if source else None,
                        id=source.id if source else None,
                        tool=call.tool,
                        open_domain=call.tool in open_domain_tools,
                        lines=MARKER.sub(r"(\1)", clean_text(result.text)),
                    )
                )
    return found


def harmless(text: str) -> str:
    """Untrusted text as one line of plain text: no control characters, no line that could open a role, no `[n]`.

    Special tokens are not touched here: `dialog.tokens.encode_plain` turns them into plain characters.
    """
    line = " ".join(clean_text(text).split())
    if len(line) > MAX_CHARS:
        line = line[:MAX_CHARS].rsplit(" ", 1)[0] + " …"
    return MARKER.sub(r"(\1)", line)

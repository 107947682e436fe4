"""What is released of a turn: cut at stop sequences and at max_tokens, replayed as deltas, with citation ranges.

Only text that passed the filter comes here, and it only gets shorter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from dialog.decoder import Tokenizer
from dialog.messages import MARKER
from dialog.turn import Citation, Turn

_PIECE = re.compile(r"\s*\S+\s*?(?=\s|$)|\s+")


class Range(NamedTuple):
    """Where a text cites a source: `text[start:end]` is the marker `[n]`, in characters (code points)."""

    start: int
    end: int
    citation: Citation


def citation_ranges(turn: Turn) -> list[Range]:
    """Every marker of the reply that has a citation, in order."""
    by_number = {citation.number: citation for citation in turn.citations}
    return [
        Range(match.start(), match.end(), by_number[int(match[1])])
        for match in MARKER.finditer(turn.reply)
        if int(match[1]) in by_number
    ]


def without_markers(turn: Turn) -> str:
    """The reply without the markers of its citations; other brackets, such as `items[0]`, are its own words."""
    pieces, end = [], 0
    for found in citation_ranges(turn):
        pieces.append(turn.reply[end : found.start].rstrip())
        end = found.end
    return "".join([*pieces, turn.reply[end:]]).strip()


def deltas(text: str) -> list[str]:
    """The text in pieces of a word each; joined they are the text."""
    return _PIECE.findall(text)


def cut(turn: Turn, stop: Sequence[str], max_tokens: int | None, tokenizer: Tokenizer) -> Turn:
    """The turn with its reply ending before the first stop sequence and within `max_tokens`."""
    if turn.finish_reason == "content_filter":  # the fixed reply is the operator's word, not the model's
        return turn
    reply, reason = turn.reply, turn.finish_reason
    ends = [at for sequence in stop if (at := reply.find(sequence)) >= 0]
    if ends:
        reply, reason = reply[: min(ends)], "stop"
    if max_tokens is not None and turn.usage.completion_tokens > max_tokens:
        ids = tokenizer.encode(reply, add_special_tokens=False)
        if len(ids) > max_tokens:
            reply, reason = tokenizer.decode(ids[:max_tokens]).rstrip("\ufffd"), "length"
            reply = re.sub(r"\s*\[\d*$", "", reply)  # half a marker
    if reply == turn.reply:
        return turn.model_copy(update={"finish_reason": reason})
    used = {int(number) for number in MARKER.findall(reply)}
    citations = [citation for citation in turn.citations if citation.number in used]
    tokens = len(tokenizer.encode(reply, add_special_tokens=False))
    return turn.model_copy(
        update={
            "reply": reply,
            "finish_reason": reason,
            "citations": citations,
            "grounded": turn.grounded and bool(citations),
            "usage": turn.usage.model_copy(update={"completion_tokens": tokens}),
        }
    )

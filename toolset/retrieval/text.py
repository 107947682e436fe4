"""Passages for retrieval: whole sentences, with overlap.

Boundary: knows nothing of models, files or indexes; all positions are character offsets into the given text.
"""

from __future__ import annotations

from toolset.english.sentences import Span, sentences

PASSAGE_CHARS = 900
"""A passage's length that splitting aims at: about 200 word pieces, inside the embedding model's 256."""
OVERLAP_CHARS = 200
"""How much of a passage's end the next one repeats, in whole sentences."""


def passages(text: str, size: int = PASSAGE_CHARS, overlap: int = OVERLAP_CHARS) -> list[list[Span]]:
    """Split `text` into passages, each a list of consecutive sentences of at most `size` characters together.

    Neighbours share whole sentences of up to `overlap` characters. A sentence longer than `size` is cut at spaces.
    A remainder that nearly fits (a quarter more than `size`) stays in one passage.
    """
    parts = [piece for sentence in sentences(text) for piece in cut(text, sentence, size)]
    made: list[list[Span]] = []
    first = 0
    while first < len(parts):
        last = first + 1
        limit = size * 5 // 4 if parts[-1].end - parts[first].start <= size * 5 // 4 else size
        while last < len(parts) and parts[last].end - parts[first].start <= limit:
            last += 1
        made.append(parts[first:last])
        if last == len(parts):
            break
        back = last
        while back - 1 > first and parts[last - 1].end - parts[back - 1].start <= overlap:
            back -= 1
        first = back
    return made


def cut(text: str, span: Span, size: int) -> list[Span]:
    """Cut one over-long sentence at spaces into pieces of at most `size` characters."""
    pieces: list[Span] = []
    start = span.start
    while span.end - start > size:
        space = text.rfind(" ", start + size // 2, start + size)
        end = space if space > start else start + size
        pieces.append(Span(start, end))
        start = end + (1 if space > start else 0)
    pieces.append(Span(start, span.end))
    return pieces

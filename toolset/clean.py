"""What comes back from a tool is untrusted text: this keeps it harmless as text, and within its budget.

Control characters, terminal escapes, direction overrides and invisible tag characters are dropped, since they
show a person something else than what a program reads. Boundary: words stay as they are. Role markers and markup
are the dialog's to escape, because only the dialect knows which strings are special to its model.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from toolset.tool import Result, Source

CUT = " […]"
"""Marks a text that its tool's output budget cut."""

MAX_RESULTS = 64
MAX_TITLE = 300  # characters
MAX_URL = 2_000
MAX_ERROR = 300

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_LINE_ENDS = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_DROPPED = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f"  # controls, all but tab and line feed
    "\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff"  # direction marks, overrides, byte-order mark
    "\U000e0000-\U000e007f]"  # tags: invisible ASCII
)
_SURROGATES = re.compile("[\ud800-\udfff]")  # cannot be written as UTF-8


def clean_text(text: str) -> str:
    """`text` without what cannot be seen or written: same words, LF line ends."""
    text = _LINE_ENDS.sub("\n", _ESCAPES.sub("", text))
    return _SURROGATES.sub("�", _DROPPED.sub("", text))


def one_line(text: str, limit: int) -> str:
    """`text` cleaned, on one line, of at most `limit` characters."""
    # Only the beginning is looked at: collapsing the spaces of a megabyte to keep 300 characters is wasted.
    line = " ".join(clean_text(text[: limit * 8]).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def describe_error(error: BaseException) -> str:
    """One line for a trace: the error's type and message."""
    try:
        message = one_line(str(error), MAX_ERROR)
    except Exception:  # a message can raise as well
        message = ""
    kind = type(error).__name__
    return f"{kind}: {message}" if message else kind


def clean_results(results: Sequence[Result], max_chars: int) -> tuple[tuple[Result, ...], int]:
    """Clean `results` and keep them within `max_chars` characters of text and `MAX_RESULTS`.

    Returns the results and the number of characters that were cut. Empty results are dropped.
    """
    kept: list[Result] = []
    left, dropped = max_chars, 0
    for result in results:
        # A text far past the budget is cut before it is cleaned: cleaning can only shorten it.
        head = result.text[: left * 2 + 1_000]
        dropped += len(result.text) - len(head)
        text = clean_text(head).strip()
        if not text:
            continue
        if left == 0 or len(kept) == MAX_RESULTS:
            dropped += len(text)
            continue
        if len(text) > left or len(head) < len(result.text):
            short = text[:left]
            dropped += len(text) - len(short)
            text = (short[: left - len(CUT)].rstrip() + CUT) if left > len(CUT) else short
            left = 0
        else:
            left -= len(text)
        kept.append(Result(text=text, source=clean_source(result.source)))
    return tuple(kept), dropped


def clean_source(source: Source | None) -> Source | None:
    """`source` fit to be shown and stored; an address that is not http(s) or a file is left out."""
    if source is None:
        return None
    url = source.url
    if url is not None and (len(url) > MAX_URL or not re.fullmatch(r"(?i)(https?|file)://[^\s\"<>\x00-\x20]+", url)):
        url = None
    if url is not None and any(unicodedata.category(character).startswith("C") for character in url):
        url = None
    score = source.score if source.score is not None and abs(source.score) < float("inf") else None
    return Source(
        title=one_line(source.title, MAX_TITLE) or "untitled",
        url=url,
        id=None if source.id is None else one_line(source.id, MAX_TITLE),
        score=score,
    )

"""Text for retrieval: sentences, passages of whole sentences with overlap, and search terms.

Boundary: knows nothing of models, files or indexes; all positions are character offsets into the given text.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

PASSAGE_CHARS = 900
"""A passage's length that splitting aims at: about 200 word pieces, inside the embedding model's 256."""
OVERLAP_CHARS = 200
"""How much of a passage's end the next one repeats, in whole sentences."""

BOUNDARY = re.compile(
    r"""(?<=[.!?…])["'”’)\]»]*\s+(?=["'“‘(\[«¿¡]*[^\Wa-z_])   # a stop, then something that is not a small letter
      | (?<=[。！？])                                          # scripts without spaces
      | \n\s*\n                                               # a blank line
    """,
    re.VERBOSE,
)
ABBREVIATION = re.compile(
    r"(?:^|[\s(\"“])(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|Sr|Jr|Lt|Col|Gen|Capt|Sgt|Rev|Hon|Mt|Ft|vs|cf|ca|c|e\.g|i\.e|etc|al"
    r"|No|Nos|Op|vol|pp?|fig|approx|est|fl|b|d|r|Co|Corp|Inc|Ltd|Jan|Feb|Mar|Apr|Aug|Sept?|Oct|Nov|Dec|(?:[A-Z]\.)+[A-Z])\.$"
)
WORD = re.compile(r"\w+(?:['’]\w+)?")

STOP_WORDS = frozenset(
    """a about above after again against all also am an and any are as at be because been before being below between
    both but by can could did do does doing down during each few for from further had has have having he her
    here hers herself him himself his how i if in into is it its itself just let me more most my myself no nor
    not now of off on once only or other our ours ourselves out over own please same she should so some such
    tell than that the their theirs them themselves then there these they this those through to too under
    until up us very was we were what when where which while who whom whose why will with would you your yours
    yourself yourselves s t d ll m re ve don""".split()
)

ALIASES = (
    (re.compile(r"\bU\.S\.(?:A\.)?|\bUSA?\b"), "United States"),
    (re.compile(r"\bU\.K\.|\bUK\b"), "United Kingdom"),
    (re.compile(r"\b(?:WW ?II|WW ?2|World War (?:Two|2))\b"), "World War II"),
    (re.compile(r"\b(?:WW ?I|WW ?1|World War (?:One|1))\b"), "World War I"),
    (re.compile(r"(?<=\d),(?=\d{3}\b)"), ""),
)
ORDINAL = r"second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|\d+(?:nd|rd|th)"
SUPERLATIVE = (
    r"most|least|best|worst|(?:larg|bigg|small|high|low|tall|long|short|old|young|deep|fast|slow|rich|poor|heavi|light|"
    r"bright|near|farth|furth|hott|cold|wid|strong|great|dens|busi|earli|lat|hard|dri|wett)est"
)
RANKED = re.compile(rf"\b({ORDINAL})[- ]({SUPERLATIVE})\b", re.IGNORECASE)


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


@lru_cache(maxsize=1)
def stemmer():
    """The English Snowball stemmer (one for the process; guarded by the interpreter lock per call)."""
    import Stemmer

    return Stemmer.Stemmer("english")


def words(text: str) -> list[str]:
    """Lower-case words without accents and stop words, unstemmed, in order; a possessive 's is dropped.

    Spellings of one thing become one: "U.S." and "US" are united states, "1,000" is 1000. A superlative with an
    ordinal ("second-largest") is one word, so that it does not answer for the superlative alone.
    """
    for written, meant in ALIASES:
        text = written.sub(meant, text)
    if not text.isascii():
        text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    text = RANKED.sub(r"\1_\2", text)
    found = (re.sub(r"['’]s?$", "", word.lower()) for word in WORD.findall(text))
    return [word for word in found if word and word not in STOP_WORDS]


def terms(text: str) -> list[str]:
    """Search terms: stemmed lower-case words without stop words, in order, repeats kept."""
    return stemmer().stemWords(words(text))


ALIKE = (("tallest", "highest"), ("biggest", "largest"), ("world", "earth"))
"""Words that ask for the same thing, whatever word of theirs a text uses."""


@lru_cache(maxsize=1)
def alike() -> dict[str, tuple[str, ...]]:
    """The other terms that stand for a term of a query, by term."""
    groups = [stemmer().stemWords(list(group)) for group in ALIKE]
    return {term: tuple(other for other in group if other != term) for group in groups for term in group}

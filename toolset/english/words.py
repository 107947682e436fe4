"""Words of a text: stop words, stems, and the spellings that mean the same.

Boundary: English; one text at a time.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

WORD = re.compile(r"\w+(?:['’]\w+)?")
"""A search word: "second-largest" is two."""
TOKEN = re.compile(r"\d[\d,]*(?:\.\d+)?%?|[^\W\d_][\w'’]*(?:-[^\W\d_][\w'’]*)*")
"""A word of a statement: "second-largest" is one, as is the number "3.5"."""

STOP_WORDS = frozenset(
    """a about above after again against all also am an and any are as at be because been before being below between
    both but by can could did do does doing down during each few for from further had has have having he her
    here hers herself him himself his how i if in into is it its itself just let me more most my myself no nor
    not now of off on once only or other our ours ourselves out over own please same she should so some such
    tell than that the their theirs them themselves then there these they this those through to too under
    until up us very was we were what when where which while who whom whose why will with would you your yours
    yourself yourselves s t d ll m re ve don""".split()
)

EMPTY_WORDS = STOP_WORDS | frozenset("may might must shall known called named one many much".split())
"""Words that state nothing: beside the stop words some that a search needs."""
OPENERS = frozenset(
    """name list give explain describe define find show compare translate calculate hello hi hey thanks ok okay yes yeah
    no oh well sure indeed aside apart according besides despite unlike like except thus hence therefore however
    moreover furthermore although though whereas whether unless perhaps maybe instead still yet never always often
    sometimes soon later earlier today yesterday tomorrow now nowadays back near next
    including following beginning starting using based born located situated founded people scientists historians
    scholars experts researchers critics several various numerous another every either neither
    early late around along across throughout within without among alongside
    originally historically traditionally initially generally usually typically finally recently currently commonly
    mainly mostly nearly approximately roughly possibly probably specifically similarly additionally unfortunately
    fortunately interestingly actually officially formerly formally eventually subsequently particularly especially
    notably apparently basically essentially previously frequently widely exactly completely only briefly
    reportedly allegedly supposedly presumably consequently accordingly simply certainly clearly obviously""".split()
)
"""Words that often begin a sentence or a request, and are no names where they do."""
PREPOSITIONS = frozenset("in on at by of from to as for with between during under near along".split())
PLURAL_VERBS = frozenset("are were have do can could may might must will would should".split())

ALIASES = (
    (re.compile(r"\bU\.S\.(?:A\.)?|\bUSA?\b"), "United States"),
    (re.compile(r"\bU\.K\.|\bUK\b"), "United Kingdom"),
    (re.compile(r"\b(?:WW ?II|WW ?2|World War (?:Two|2))\b"), "World War II"),
    (re.compile(r"\b(?:WW ?I|WW ?1|World War (?:One|1))\b"), "World War I"),
    (re.compile(r"(?<=\d),(?=\d{3}\b)"), ""),
)
# What follows is part of every stored corpus's terms: a change needs a new version of `toolset.retrieval.store`.
ORDINAL = r"second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|\d+(?:nd|rd|th)"
SUPERLATIVE = (
    r"most|least|best|worst|(?:larg|bigg|small|high|low|tall|long|short|old|young|deep|fast|slow|rich|poor|heavi|light|"
    r"bright|near|farth|furth|hott|cold|wid|strong|great|dens|busi|earli|lat|hard|dri|wett)est"
)
RANKED = re.compile(rf"\b({ORDINAL})[- ]({SUPERLATIVE})\b", re.IGNORECASE)


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


def stem(word: str) -> str:
    """The stem of one `TOKEN`, lower-case, without accents and a possessive 's; a number without its commas."""
    lower = _bare(word)
    if lower[:1].isdigit():
        return lower.replace(",", "")
    if not lower.isascii():
        lower = "".join(c for c in unicodedata.normalize("NFKD", lower) if not unicodedata.combining(c))
    return stemmer().stemWord(lower)


def states(word: str) -> bool:
    """Whether a `TOKEN` states something: it is none of `EMPTY_WORDS`."""
    return _bare(word) not in EMPTY_WORDS


def stems(text: str) -> set[str]:
    """The stems of the words that state something in `text`, hyphenated words whole."""
    return {stem(word) for word in TOKEN.findall(text) if states(word)}


def opens(word: str, following: str) -> bool:
    """Whether a word has its capital only because it begins a sentence: "Originally", "Built in", "Paintings are".

    Other single nouns have an article before them in English ("The painting"), so what is left is taken for a name.
    """
    lower, following = word.lower(), following.lower()
    return (
        not states(word)
        or lower in OPENERS
        or (lower.endswith("ed") and following in PREPOSITIONS)
        or (lower.endswith("s") and not lower.endswith(("ss", "us", "is")) and following in PLURAL_VERBS)
    )


def _bare(word: str) -> str:
    return re.sub(r"['’]s?$", "", word.lower())

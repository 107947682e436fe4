"""Superlatives: whether a sentence makes the very claim that a question asks for ("the largest planet").

What is said of the largest dwarf planet, the fourth-largest planet or the largest city of another country is near such
a question in words and in meaning, and answers another one. This reads the claim itself: which superlative, of what
kind of thing, in which rank, and within what.
Boundary: English; one question and one text at a time; knows nothing of corpora or scores.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from toolset.english.sentences import sentences
from toolset.english.words import terms

RANK = r"second|third|(?:four|fif|six|seven|eigh|nin|ten|eleven|twelf|[a-z]+teen|[a-z]+tie)th|\d+(?:st|nd|rd|th)"
ADJECTIVE = (
    r"(?:larg|bigg|great|small|tini|high|low|tall|long|short|old|young|deep|fast|quick|slow|rich|poor|heavi|light|"
    r"bright|near|clos|farth|furth|hott|warm|cold|cool|wid|strong|dens|busi|hard|soft|dri|wett|steep|loud|strang)est"
)
SUPERLATIVE = re.compile(
    rf"(?:\b(?P<rank>{RANK})[- ])?\b(?P<word>{ADJECTIVE}|(?:most|least)[- ](?!of\b|the\b|in\b)[a-z]+)\b", re.I
)
SAME = (
    {"largest", "biggest", "greatest"},
    {"tallest", "highest"},
    {"smallest", "tiniest"},
    {"fastest", "quickest"},
    {"nearest", "closest"},
    {"farthest", "furthest"},
    {"hottest", "warmest"},
    {"coldest", "coolest"},
)
"""Superlatives that ask for the same thing."""
POPULATION = (
    (re.compile(r"\b(?:largest|biggest|highest|greatest) population\b", re.I), "most populous"),
    (re.compile(r"\b(?:smallest|lowest) population\b", re.I), "least populous"),
    (re.compile(r"\blargest((?:[ -]\w+)?) by population\b", re.I), r"most populous\1"),
)
TOWNS = frozenset(terms("city town village municipality metropolis"))
MOST_PEOPLE = SAME[0] | {"most populous", "most populated"}
"""What the largest town is called as well."""
END = re.compile(
    r"\b(?:in|of|on|at|from|by|for|to|with|within|among|during|ever|is|was|are|were|has|have|had|that|which|who|whose|"
    r"and|or|but|as|where|when|after|than|except|besides|behind|outside|since|known|it|its|be|found|located|situated)\b"
    r"|[^\w\s'’-]",
    re.I,
)
"""Where a superlative's noun phrase ends."""
OF_WHAT = re.compile(r"\b(?:which|what)(?P<kind>(?: [\w'’-]+){1,4}?) (?:is|was|are|were|has|have|had)\b", re.I)
SCOPE = re.compile(r"\b(?:in|of|on|from|within|among)\b", re.I)
HARMLESS = re.compile(
    rf"^[\s,-]*(?:(?:known|single|ever|existing|extant)\b[\s,]*"
    rf"|(?:species|type|kind|member)s? of (?:the |a )?"
    rf"|(?:and|or|as well as)(?: (?:the|by far))? (?:{ADJECTIVE}|(?:most|least)[- ][a-z]+)\b[\s,]*)+",
    re.I,
)
"""What may stand between a superlative and its noun without narrowing it: "largest known", "largest and deepest"."""
LIVING = re.compile(r"^[\s,-]*(?:living|surviving)\b", re.I)
"""In a claim this narrows nothing, since a question is about what there is; in a question it does."""
BUT_ONE = re.compile(r"^\W*(?:after|than|except|besides|behind|outside)\b", re.I)
ONE_OF = re.compile(r"\b(?:one|some|two|three|many|among) (?:of )?(?:the |its |their )?(?:[\w-]+['’]s )?$", re.I)
OWNER = re.compile(r"(?P<name>[\w.-]+)['’]s? (?:(?:single|by far) )?$")
ABOUT_IT = re.compile(r"^(?:it|they|this|these|he|she)\b", re.I)
ARTICLE = re.compile(r"\b(?:the|an?)\b", re.I)
VERB = re.compile(r"\b(?:is|are|was|were)\b")
STANDS_ALONE = re.compile(r"^\s*(?:$|[.;:]|(?:in|of|on|within|among|and|by)\b)", re.I)
ANYWHERE = frozenset(
    terms("world earth planet globe universe solar system known existence history time ever all any today")
)
"""Scopes that narrow nothing."""


class Wanted(NamedTuple):
    """The superlative of a question: "the second-largest city in Japan"."""

    words: frozenset[str]
    """The superlative and those that ask for the same, lower case: largest, biggest, greatest."""
    rank: str
    """An ordinal; empty: the first."""
    head: str
    """The stem of what kind of thing is asked for: citi."""
    kind: frozenset[str]
    """The stems of the kind with its adjectives: land, anim."""
    scope: frozenset[str]
    """The stems of what it is the largest of: japan. Empty: of all."""


def wanted(question: str) -> Wanted | None:
    """The superlative that a question asks for; None where it has none, or not in a form that is read here."""
    question = _by_population(question)
    match = SUPERLATIVE.search(question)
    if match is None:
        return None
    kind, rest = _noun_phrase(question[match.end() :])
    if not kind:
        of_what = OF_WHAT.search(question[: match.start()])
        kind = terms(of_what["kind"]) if of_what else []
    if not kind or len(kind) > 3 or ARTICLE.search(question[match.end() : len(question) - len(rest)]):
        return None
    scope = SCOPE.split(rest, maxsplit=1)
    within = terms(scope[1]) if len(scope) > 1 else []
    word = _word(match)
    words = next((group for group in SAME if word in group), {word})
    if kind[-1] in TOWNS and words & MOST_PEOPLE:
        words = MOST_PEOPLE
    return Wanted(frozenset(words), _rank(match), kind[-1], frozenset(kind), frozenset(within) - ANYWHERE)


def claim(title: str, text: str, asked: Wanted) -> int:
    """How far a passage under `title` claims what is asked: 2 it does, 1 perhaps, 0 nothing, -1 only another claim."""
    spans = sentences(text)
    about = set(terms(title))
    if spans:
        about |= set(terms(text[spans[0].start : spans[0].end]))
    rated = [
        rating
        for span in spans
        for rating in claims(text[span.start : span.end], asked, title=set(terms(title)), about=about)
    ]
    return max(rated, default=0)


def claims(sentence: str, asked: Wanted, *, title: Iterable[str] = (), about: Iterable[str] = ()) -> list[int]:
    """`claim` of each superlative in a sentence that asks for the same; `about`: stems of how its text begins."""
    sentence = _by_population(sentence)
    titled, known = set(title), {*title, *about, *terms(sentence)}
    return [
        _rate(sentence, match, asked, titled, known)
        for match in SUPERLATIVE.finditer(sentence)
        if _word(match) in asked.words
    ]


def _rate(sentence: str, match: re.Match[str], asked: Wanted, title: set[str], known: set[str]) -> int:
    before, after = sentence[: match.start()], LIVING.sub("", sentence[match.end() :])
    kind, rest = _noun_phrase(after)
    if _rank(match) != asked.rank or ONE_OF.search(before) or BUT_ONE.match(rest):
        return -1
    sure = 2
    if kind:
        if kind[-1] != asked.head or set(kind) - asked.kind - {f"{stem}n" for stem in asked.scope}:
            return 0  # narrowed, or another kind of thing
        if _plural(after, rest) and not re.search(r"\b(?:are|were)(?: by far)? (?:the |its )?$", before):
            return 0  # "some of the highest mountains"; of a kind it may be said: "elephants are the largest animals"
    else:  # "the largest in the Solar System": what kind of thing was said before
        if not STANDS_ALONE.match(rest) or asked.head not in known:
            return 0
        if asked.head not in terms(before):
            sure = 1
            if not (ABOUT_IT.match(sentence) or title & set(terms(sentence.split(",")[0]))):
                return 0
    within = SCOPE.split(re.split(r"[,;:.()]| and ", rest)[0], maxsplit=1)
    names = re.findall(r"\b[A-Z][\w'’-]*", within[1]) if len(within) > 1 else []
    if owner := OWNER.search(before):
        names.append(owner["name"])
    elif len(within) == 1 and not VERB.search(before) and not (asked.scope and asked.scope <= title):
        return 0  # "The largest island is ..." is the largest of what the text is about
    narrowed = {stem for stem in terms(" ".join(names)) if stem not in ANYWHERE}
    if narrowed - asked.scope - {f"{stem}n" for stem in asked.scope}:
        return -1
    if not asked.scope <= {*title, *terms(sentence)}:
        everywhere = not narrowed and (len(within) > 1 or owner)  # "the longest river in the world", of one in Africa
        return 1 if everywhere and asked.scope <= known else 0
    return sure if asked.kind <= known else 1


def names_kind(asked: Wanted, known: Iterable[str]) -> bool:
    """Whether stems that are known of a claim name the whole kind asked for: "largest animal" does not say "land"."""
    said = set(known)
    return all(stem in said or stem.removesuffix("n") in said for stem in asked.kind)  # "American", "America"


def _by_population(text: str) -> str:
    for written, meant in POPULATION:
        text = written.sub(meant, text)
    return text


def _word(match: re.Match[str]) -> str:
    return match["word"].lower().replace("-", " ")


def _rank(match: re.Match[str]) -> str:
    return (match["rank"] or "").lower()


def _plural(after: str, rest: str) -> bool:
    """Whether the noun phrase names several: "the highest mountains on each continent"."""
    noun = after[: len(after) - len(rest)].rstrip().lower()
    return noun.endswith("s") and not noun.endswith(("ss", "us", "species", "is"))


def _noun_phrase(text: str) -> tuple[list[str], str]:
    """(stems of the noun phrase at the start of `text`, what follows it)."""
    text = HARMLESS.sub(" ", text)
    end = END.search(text)
    return (terms(text[: end.start()]), text[end.start() :]) if end else (terms(text), "")

"""When evidence is too weak to show: an off-corpus question gets nothing rather than the nearest article.

A message that no corpus can answer (`answerable`) gets none. Two more checks, on one passage and one question:

- `confidence`: the calibrated probability that the passage answers the question, a logistic model over a few features
  that do not depend on the corpus's size or subject. Fitted and measured by `python -m tests.benchmarks.abstention`.
- `binds`: a question for an attribute of a named thing ("the capital of Australia") is not answered by a passage in
  which the attribute belongs to another ("Sydney is the capital of New South Wales ... in Australia"), and what
  something is ("What is a boat?") not by a passage about something else ("Ship").

Boundary: reads texts and scores; knows nothing of indexes beyond how rare a term is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from toolset.english.question import answerable, names_in
from toolset.english.sentences import sentences
from toolset.english.words import ORDINAL, SUPERLATIVE, WORD, alike, terms

if TYPE_CHECKING:
    from toolset.retrieval.corpus import Found
    from toolset.retrieval.index import Lexicon

FEATURES = ("sentence", "coverage", "names")
WEIGHTS = np.array([11.842, 6.23, 0.75])
BIAS = -8.583
THRESHOLD = 0.42
"""Calibrated for at most 5% of in-corpus questions without evidence."""
UNKNOWN_NAME = 0.93
"""The threshold where a name of the question stands nowhere in the corpus: a typing error, or another subject."""


def supported(query: str, found: Sequence[Found], lexicon: Lexicon, threshold: float | None = None) -> list[Found]:
    """Those of `found` that are good enough to show for `query`, in order; often none."""
    if not answerable(query):
        return []
    least = THRESHOLD if threshold is None else threshold
    if any(term not in lexicon.vocabulary for term in names_in(query)):
        least = max(least, UNKNOWN_NAME)
    return [each for each in found if confidence(features(query, each, lexicon)) >= least and binds(query, each)]


def confidence(values: np.ndarray) -> float:
    """The probability that a passage with these features holds the answer."""
    return float(1 / (1 + np.exp(-(values @ WEIGHTS + BIAS))))


def features(query: str, found: Found, lexicon: Lexicon) -> np.ndarray:
    """The values of `FEATURES`, each 0 to 1: the best sentence's cosine; how much of the question's words, weighed by
    their rarity, stand in passage and title; and how much of its names (1 where it has none)."""
    asked = list(dict.fromkeys(terms(query)))
    text = {*terms(found.text), *terms(found.document.title)}
    names = names_in(query)
    rarity = {term: lexicon.rarity(term) for term in asked}

    def held(wanted: list[str]) -> float:
        total = sum(rarity[term] for term in wanted)
        found = (term for term in wanted if term in text or not text.isdisjoint(alike().get(term, ())))
        return sum(rarity[term] for term in found) / total if total else 1.0

    return np.array([found.best, held(asked), held([term for term in asked if term in names])])


ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "capital": ("capital",),
    "population": ("population", "inhabitants", "people", "residents", "million"),
    "currency": ("currency", "dollar", "euro", "pound", "franc", "peso", "yen"),
    "president": ("president",),
    "mayor": ("mayor",),
    "governor": ("governor",),
    "anthem": ("anthem",),
    "wife": ("wife", "married", "spouse", "wed"),
    "husband": ("husband", "married", "spouse", "wed"),
    "birthday": ("born", "birthday"),
}
"""Attributes whose word a passage that answers must hold (or one of the words listed), and what else says the same."""

OF = re.compile(
    rf"\b({'|'.join(ATTRIBUTES)})(?: city)? (?:of|for) (?:the )?([\w .'’-]+?)(?=$|[?!,;:]| (?:is|was|are|in)\b)", re.I
)
HAS = re.compile(rf"\b([\w.'’-]+(?: [A-Z][\w.-]+)*)['’]s? ({'|'.join(ATTRIBUTES)})\b", re.I)
NAME = re.compile(r"\b[A-Z][\w'’-]*")


DEFINITION = re.compile(
    r"^\W*(?:(?:who|what)(?:['’]s| is| are| was| were)|(?:(?:can|could) you )?(?:please )?tell me about|define)"
    r"(?: an?)? (?!the )(?P<subject>[^,;:()]{1,60}?)\W*$",  # "the deadline" is something that a text has, no entry
    re.I,
)
NO_NAME = re.compile(
    rf"\b(?:of|in|on|at|for|to|from|by|with|about|than|and|or|between|that|which|who|this|{ORDINAL}|{SUPERLATIVE}|first|last|"
    r"some|called|named|known|abbreviated|used|made|after|as|now|today|currently)\b|['’]s\b",
    re.I,
)
"""Words in which a subject is described ("the longest river in Africa") rather than named."""
VERB = re.compile(r"\b(?:is|are|was|were|refers?|means?|denotes?|comprises?)\b|:")


def binds(query: str, found: Found) -> bool:
    """Whether `found` is about what is asked: an attribute of a named thing, or what a thing is. True for every other
    question."""
    if (match := DEFINITION.match(query)) and not NO_NAME.search(match["subject"]):
        return introduces(found, set(terms(match["subject"])))
    if match := OF.search(query):
        attribute, owner = match.group(1).lower(), match.group(2)
    elif match := HAS.search(query):
        owner, attribute = match.group(1), match.group(2).lower()
    else:
        return True
    wanted = set(terms(owner))
    words = {stem for word in ATTRIBUTES[attribute] for stem in terms(word)}
    if not wanted:
        return True
    about = wanted <= set(terms(found.document.title))
    text = found.text
    for span in sentences(text):
        sentence = text[span.start : span.end]
        for word in WORD.finditer(sentence):
            if not words & set(terms(word.group())):
                continue
            if about or follows(sentence[word.end() :], wanted) or owned(sentence[: word.start()], wanted):
                return True
    return False


def introduces(found: Found, subject: set[str]) -> bool:
    """Whether a passage says what the subject is: its title names it, or a sentence begins with it ("Marie Curie" is
    named by "Curie"; the first two sentences may name it anywhere before their verb: "A boat, also called ...")."""
    if subject <= set(terms(re.sub(r" \(.*\)$", "", found.document.title))):
        return True
    first = found.document.text.startswith(found.text)
    for number, span in enumerate(sentences(found.text)):
        before = VERB.split(found.text[span.start : span.end], maxsplit=1)
        said = set(terms(before[0])) if len(before) > 1 else set()
        if subject <= said and ((first and number < 2) or len(said) <= 2 * len(subject)):
            return True
    return False


def follows(rest: str, owner: set[str]) -> bool:
    """Whether the first name in `rest` is the owner's: "capital and largest city of [France]"."""
    first = NAME.search(rest)
    if first is None:
        return False
    run = terms(re.split(r"[,;.()]", rest[first.start() :])[0])[: len(owner)]
    return bool(owner & set(run))


def owned(before: str, owner: set[str]) -> bool:
    """Whether the owner's possessive stands just before the attribute: "[France]'s largest city and capital"."""
    match = re.search(r"([\w.-]+(?: [A-Z][\w.-]+)*)['’]s?(?: [\w-]+){0,5} ?$", before)
    return bool(match) and owner <= set(terms(match.group(1)))

"""When evidence is too weak to show: an off-corpus question gets nothing rather than the nearest article.

Two checks, both on one passage and one question:

- `confidence`: the calibrated probability that the passage answers the question, a logistic model over a few features
  that do not depend on the corpus's size or subject (cosines, how much of the question's rare words and names the
  passage holds, how well the title fits). Fitted and measured by `python -m tests.benchmarks.abstention`.
- `binds`: a question for an attribute of a named thing ("the capital of Australia") is not answered by a passage in
  which the attribute belongs to another ("Sydney is the capital of New South Wales ... in Australia").

Boundary: reads texts and scores; knows nothing of indexes beyond how rare a term is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from toolset.retrieval.text import STOP_WORDS, WORD, sentences, terms

if TYPE_CHECKING:
    from toolset.retrieval.corpus import Found
    from toolset.retrieval.index import Lexicon

FEATURES = ("whole", "sentence", "coverage", "nearby", "names", "missing", "title", "named_title")
WEIGHTS = np.array([18.227, -1.761, 7.969, 1.536, 1.797, 3.501, -1.196, -1.523])
BIAS = -14.125
THRESHOLD = 0.74


def supported(query: str, found: Sequence[Found], lexicon: Lexicon, threshold: float | None = None) -> list[Found]:
    """Those of `found` that are good enough to show for `query`, in order; often none."""
    least = THRESHOLD if threshold is None else threshold
    return [each for each in found if confidence(features(query, each, lexicon)) >= least and binds(query, each)]


def confidence(values: np.ndarray) -> float:
    """The probability that a passage with these features holds the answer."""
    return float(1 / (1 + np.exp(-(values @ WEIGHTS + BIAS))))


def features(query: str, found: Found, lexicon: Lexicon) -> np.ndarray:
    """The values of `FEATURES`, each about 0 to 1."""
    asked = list(dict.fromkeys(terms(query)))
    names = names_in(query)
    title = set(terms(found.document.title))
    text = set(terms(found.text)) | title
    near = set(terms(found.sentence)) | title
    top = lexicon.rarity("")  # of a term that no passage holds
    rarity = {term: lexicon.rarity(term) / top for term in asked}
    total = sum(rarity.values()) or 1.0
    named = [term for term in asked if term in names]
    named_total = sum(rarity[term] for term in named)
    absent = [rarity[term] for term in asked if term not in text]
    return np.array([
        found.whole,
        found.best,
        sum(rarity[term] for term in asked if term in text) / total,
        sum(rarity[term] for term in asked if term in near) / total,
        sum(rarity[term] for term in named if term in text) / named_total if named_total else 1.0,
        max(absent, default=0.0),
        sum(rarity.get(term, 0.0) for term in title) / total,
        float(bool(title) and title <= set(asked)),
    ])  # fmt: skip


def names_in(query: str) -> set[str]:
    """The stems of a question's names: words with a capital or a digit; a common opener is no name."""
    found: list[str] = []
    for number, word in enumerate(WORD.finditer(query)):
        text = word.group()
        if text.lower() in STOP_WORDS:
            continue
        if any(letter.isdigit() for letter in text) or (text[0].isupper() and (number > 0 or not OPENER.match(text))):
            found += terms(text)
    return set(found)


OPENER = re.compile(
    r"(?:name|list|give|explain|describe|define|tell|find|show|compare|translate|calculate|hello|hi|hey|thanks?|"
    r"is|are|was|were|do|does|did|can|could|should|would|has|have|had|will|in|on|at|of|for|by|during|[a-z]+ly)$",
    re.IGNORECASE,
)

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "capital": ("capital",),
    "population": ("population", "inhabitants", "people", "residents", "million"),
    "currency": ("currency", "dollar", "euro", "pound", "franc", "peso", "yen"),
    "president": ("president",),
    "king": ("king",),
    "queen": ("queen",),
    "mayor": ("mayor",),
    "governor": ("governor",),
    "anthem": ("anthem",),
    "flag": ("flag",),
    "wife": ("wife", "married", "spouse", "wed"),
    "husband": ("husband", "married", "spouse", "wed"),
    "mother": ("mother", "daughter", "son", "born"),
    "father": ("father", "daughter", "son", "born"),
    "birthday": ("born", "birthday"),
    "symbol": ("symbol",),
}
"""Attributes whose word a passage that answers must hold (or one of the words listed), and what else says the same."""

OF = re.compile(
    rf"\b({'|'.join(ATTRIBUTES)})(?: city)? (?:of|for) (?:the )?([\w .'’-]+?)(?=$|[?!,;:]| (?:is|was|are|in)\b)", re.I
)
HAS = re.compile(rf"\b([\w.'’-]+(?: [A-Z][\w.-]+)*)['’]s? ({'|'.join(ATTRIBUTES)})\b", re.I)
NAME = re.compile(r"\b[A-Z][\w'’-]*")


def binds(query: str, found: Found) -> bool:
    """Whether `found` can answer a question for an attribute of a named thing; True for every other question."""
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

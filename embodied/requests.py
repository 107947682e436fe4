"""Which household activity a request asks for, if any.

The words people use for each known activity are in `data/requests.yaml`. Matching asks for a way of asking ("how do
I", "help me", or a bare order) and for the activity's thing and verb together; a question that merely mentions a
thing ("who invented the television?") is nobody's request. Boundary: words only; plans are in `tool`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

WORDS = Path(__file__).parent / "data" / "requests.yaml"
ASKING = re.compile(
    r"^(?:(?:hi|hello|hey|ok|okay|please|so|and|well)[, ]+)*"
    r"(?:(?:can|could|would|will) you (?:please )?(?:tell me|show me|help me|explain|teach me)"
    r"(?: with)?(?: how)?(?: to| i)? "
    r"|(?:please )?(?:tell me|show me|help me|explain|teach me)(?: how)?(?: to| i can| i)? "
    r"|how (?:do|can|should|could|would|does|must) (?:i|we|you|one|someone|a person) (?:best )?"
    r"|how to |what (?:do|should|must|can) i do to |what (?:are|is) the (?:best )?(?:steps?|way) (?:to|for) "
    r"|(?:the )?steps (?:to|for) |i(?: would|'d)? (?:want|need|like|wish) to |i have to "
    r"|give me (?:a plan|steps) (?:to|for) "
    r"|(?:what is )?a plan (?:to|for) |let'?s |what'?s the (?:best )?way to )",
    re.IGNORECASE,
)
POLITE = re.compile(r"^(?:(?:hi|hello|hey|ok|okay|please|so|and|well|now)[, ]+)+", re.IGNORECASE)
ELSEWHERE = re.compile(r"\bin [A-Z]\w*$")
"""An order that ends with a proper name ("a table in CSS", "a movie in Spanish") is not about a home."""
CHORES = (
    "air arrange boil bring brew carry change charge clean clear close cook cool cut dry dust empty feed fetch fill "
    "fold fry get grab hang heat iron load make microwave mix mop move open pack peel place polish pour prepare pull "
    "push put reheat remove rinse scrub serve set sharpen slice soak sort spread squeeze store straighten sweep switch "
    "take tidy toast turn unload unplug plug use vacuum warm wash water wipe wrap"
).split()
"""What people do with the things of a home; an order begins with one of these words."""
QUESTION = re.compile(
    r"^(?:who|whose|whom|when|where|why|which|what|how|is|are|was|were|does|do|did|has|have|had|can|will)\b", re.I
)


@lru_cache(maxsize=1)
def vocabulary() -> Mapping[str, Mapping[str, Any]]:
    """Activity to its words, each folded as requests are."""
    table = yaml.safe_load(WORDS.read_text())
    return {
        activity: {kind: [fold(word) for word in words] for kind, words in entry.items()}
        for activity, entry in table.items()
    }


def fold(text: str) -> str:
    """Lower case, no punctuation, no plural s: the form that words are compared in."""
    return " ".join(map(singular, re.sub(r"[^a-z0-9]+", " ", text.lower().replace("'", "")).split()))


def singular(word: str) -> str:
    """A word without its plural ending, roughly; both sides of a comparison are treated alike."""
    if len(word) > 4 and word.endswith(("shes", "ches", "sses", "xes")):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def what_is_asked(request: str) -> str | None:
    """The order inside a request, such as `make coffee`; None where it asks for something else than how to do a thing.

    A bare order ("make coffee") counts only up to eight words; longer text needs a way of asking.
    """
    text = re.sub(r"\s+", " ", request).strip()
    asked = ASKING.match(text)
    if asked:
        return text[asked.end() :].strip(" ?!.")
    if QUESTION.match(text) or len(text.split()) > 8 or "?" in text:
        return None
    return POLITE.sub("", text).strip(" ?!.") or None


def contains(words: str, phrase: str) -> bool:
    """Whether a folded phrase stands in folded words, whole words only."""
    return f" {phrase} " in f" {words} "


def known_activity(order: str) -> str | None:
    """The activity that an order is about. Most matching words win, then the table's order."""
    words = fold(order)
    for activity in vocabulary():
        if fold(activity) == words:  # the activity's own name, which is written with capitals
            return activity
    if ELSEWHERE.search(order):
        return None
    best, best_score = None, 0
    for activity, entry in vocabulary().items():
        if any(contains(words, word) for word in entry.get("never", ())):
            continue
        things = sum(contains(words, word) for word in entry["things"])
        verbs = sum(starts(words, word) for word in entry["verbs"])
        phrases = sum(contains(words, word) for word in entry.get("phrases", ()))
        score = 3 * phrases + (things + verbs if things and verbs else 0)
        if score > best_score:
            best, best_score = activity, score
    return best


def starts(words: str, verb: str) -> bool:
    """Whether one of the first four words is the verb: what the order does, not what is said about it."""
    head: Sequence[str] = words.split()[:4]
    return verb in head or f"{verb}ing" in head or f"{verb.removesuffix('e')}ing" in head

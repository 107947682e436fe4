"""Which household activity a request asks for, if any.

The words people use for each known activity are in `data/requests.yaml`. Matching asks for a way of asking ("how do
I", "help me", or a bare order), for one of the activity's verbs as the order's first word, and for one of its things.
Every other word must be one of the activity's as well, or a thing of homes: "get a refund for my phone", "stop drinking
milk" and "get water out of my phone" ask for something else. Boundary: words only; plans are in `advice`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path

import yaml

from embodied.archive import default_archive
from embodied.world.names import ALSO_CALLED, is_called
from embodied.world.scene import Node

WORDS = Path(__file__).parent / "data" / "requests.yaml"
ASKING = re.compile(
    r"^(?:(?:hi|hello|hey|ok|okay|please|so|and|well)[, ]+)*"
    r"(?:(?:can|could|would|will) you (?:please )?(?:tell me|show me|help me|explain|teach me)"
    r"(?: with)?(?: how)?(?: to| i)? "
    r"|(?:please )?(?:tell me|show me|help me|explain|teach me)(?: how)?(?: to| i can| i)? "
    r"|how (?:do|can|should|could|would|does|must) (?:i|we|you|one|someone|a person) (?:best )?"
    r"|how to |what (?:do|should|must|can) i do to "
    r"|what (?:are|is) the (?:best |easiest |proper |right )?(?:steps?|way) (?:to|for) "
    r"|(?:the )?steps (?:to|for) |i(?: would|'d)? (?:want|need|like|wish) to |i have to "
    r"|give me (?:a plan|steps) (?:to|for) "
    r"|(?:what is )?a plan (?:to|for) |let'?s |what'?s the (?:best |easiest |proper |right )?way to )",
    re.IGNORECASE,
)
POLITE = re.compile(r"^(?:(?:hi|hello|hey|ok|okay|please|so|and|well|now)[, ]+)+", re.IGNORECASE)
IDLE = frozenset(
    "a an the this that these those some any my our your his her their me us him them everyone own one "
    "family friend guest people together please just really quickly properly safely correctly best well now again "
    "today tonight morning evening big small little nice good favorite favourite".split()
)
"""Words that do not change what is done, and with what. No number above one is: a plan handles what it handles."""
TELLING = frozenset("dirty clean hot warm cold fresh whole".split())
"""What a thing may be that changes everything: hot food does not go into the fridge. An activity that has one in `also`
takes it before its own things: dirty dishes are washed, and nothing is washed with dirty water.
"""
LINKS = frozenset("and at for from home house in into on onto to using with".split())
"""Words between things. `off`, `out`, `down` and `without` are none: they make another order of it."""
MEASURE = re.compile(r"\b(?:bit|bottle|bowl|cup|drink|glass|load|lot|mug|pile|pot) of\b")
"""An amount of what follows, as in `a load of laundry`."""
ALSO_NAMED = (
    "basket",
    "bucket",
    "bulb",
    "cabinet",
    "counter",
    "kitchen table",
    "living room",
    "rack",
    "radio",
    "screen",
)
"""Short and other names of things and rooms of homes."""
ELSEWHERE = frozenset({"character", "console", "dining room", "folder", "form", "freezer"})
"""Names of the recorded homes that mean something else to most people. Their `freezer` is a fridge, and is said so; the
dining room is said as kitchen.
"""
CHORES = (
    "air arrange boil bring brew carry change charge clean clear close cook cool cut dry dust empty feed fetch fill "
    "fold fry get grab hang heat iron load make microwave mix mop move open pack peel place polish pour prepare pull "
    "push put reheat remove rinse scrub serve set sharpen slice soak sort spread squeeze store straighten sweep switch "
    "take tidy toast turn unload unplug plug use vacuum warm wash water wipe wrap"
).split()
"""What people do with the things of a home; an order begins with one of these words."""
QUESTION = re.compile(
    r"^(?:(?:who|whose|whom|when|where|why|which|what|how|is|are|was|were|does|did|has|had)\b"
    r"|(?:do|have|can|will)(?:n't)? (?:not )?(?:(?:i|you|we|he|she|they|it|any(?:one|body)|some(?:one|body))\b"
    r"|(?:an?|the|my|your|our|his|her|their|these|those|this|that) (?:\w+ ){1,3}"
    r"(?:be|been|come|do|done|fit|get|go|got|have|like|mean|need|stay|take|want|work)\b))",
    re.IGNORECASE,
)
"""A question. `do`, `have`, `can` and `will` ask only before who does something: "do the dishes" is an order."""


@dataclass(frozen=True)
class Words:
    """How people ask for an activity, folded as requests are, and which recorded plans do it."""

    verbs: tuple[str, ...] = ()
    things: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()
    """Beginnings of an order that are enough."""
    also: tuple[str, ...] = ()
    """Other words that an order may hold."""
    does: tuple[str, ...] = ()
    """Patterns such as `SWITCHON (light|floor_lamp)`; a recorded plan must have a step for each."""
    like: str = ""
    """The activity whose recordings serve where none of its own does it."""
    same: str = ""
    """Classes of things that it is done with in the same way, so that a plan for one of them serves for all."""

    @cached_property
    def own(self) -> frozenset[str]:
        """All its words."""
        texts = (*self.verbs, *self.things, *self.phrases, *self.also)
        return frozenset(word for text in texts for word in units(text))

    @cached_property
    def implied(self) -> frozenset[str]:
        """The words of its phrases: a plan that does the activity need not touch what they name."""
        return frozenset(word for text in self.phrases for word in units(text))

    def goes_with(self, word: str, thing: str) -> bool:
        """Whether a thing that the activity is about may be called so."""
        return word in self.also and (thing in self.things or thing in self.implied)

    def serves(self, kind: str, name: str) -> bool:
        """Whether a name may mean things of a class that the activity is done with in the same way."""
        return bool(re.fullmatch(self.same, kind)) and answers(kind, name)

    def matches(self, said: Sequence[str]) -> int:
        """How many of its words an order has, phrases counting for three; 0 where the order is not about it."""
        said = [word for word, of in pairwise([*said, ""]) if not (word in TELLING and self.goes_with(word, of))]
        if strange(said[1:], self.own - TELLING):
            return 0
        phrases = sum(f"{' '.join(said)} ".startswith(f"{phrase} ") for phrase in self.phrases)
        verbs = sum(begins(said, verb) for verb in self.verbs)
        things = sum(thing in said for thing in self.things)
        return 3 * phrases + (verbs + things if verbs and things else 0)


@lru_cache(maxsize=1)
def vocabulary() -> Mapping[str, Words]:
    """Activity to its words."""
    table = yaml.safe_load(WORDS.read_text())
    return {
        activity: Words(
            **{kind: tuple(map(fold, entry.get(kind, ()))) for kind in ("verbs", "things", "phrases", "also")},
            does=tuple(entry["does"]),
            like=entry.get("like", ""),
            same=entry.get("same", ""),
        )
        for activity, entry in table.items()
    }


@lru_cache(maxsize=1)
def home_names() -> frozenset[str]:
    """What the things and rooms of homes are called, folded."""
    classes = {name for name, _, _ in default_archive().body["kinds"]}
    said = {fold(text) for name in classes for text in (name, Node(0, name).spoken)} - ELSEWHERE
    return frozenset(said.union(map(fold, ALSO_CALLED), map(fold, ALSO_NAMED)))


@lru_cache(maxsize=1)
def unit() -> re.Pattern[str]:
    """A name in a folded order, the longest that fits, or else a word."""
    names = sorted(home_names(), key=len, reverse=True)
    return re.compile(rf"\b(?:{'|'.join(names)})\b|\w+")


def fold(text: str) -> str:
    """Lower case, no punctuation, no plural s: the form that words are compared in."""
    return " ".join(map(singular, re.sub(r"[^a-z0-9]+", " ", text.lower().replace("'", "")).split()))


def singular(word: str) -> str:
    """A word without its plural ending, roughly; both sides of a comparison are treated alike."""
    if len(word) > 4 and word.endswith(("shes", "ches", "sses", "xes")):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def units(order: str) -> list[str]:
    """An order's words, folded, without idle ones and measures; a name such as `coffee maker` is one word."""
    return [word for word in unit().findall(MEASURE.sub("", fold(order))) if word not in IDLE]


def named(order: str) -> list[str]:
    """The names of things and rooms of homes that an order holds after its first word."""
    return [word for word in units(order)[1:] if word in home_names()]


def answers(thing: str, name: str) -> bool:
    """Whether a folded name may mean things of a class, by their last word as well."""
    node = Node(0, thing)
    return is_called(node, name) or any(f" {fold(said)}".endswith(f" {name}") for said in (thing, node.spoken))


def strange(said: Sequence[str], own: Collection[str]) -> list[str]:
    """The words of an order that are neither `own` nor links nor names of what homes hold."""
    return [word for word in said if word not in own and word not in LINKS and word not in home_names()]


def begins(said: Sequence[str], verb: str) -> bool:
    """Whether an order begins with a verb, as it stands (`pick the phone up`) or as in `picking up the phone`."""
    first, *rest = verb.split()
    forms = (first, f"{first}ing", f"{first.removesuffix('e')}ing", f"{first}{first[-1]}ing")
    return bool(said) and said[0] in forms and all(word in said[1:] for word in rest)


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


def known_activity(order: str) -> str | None:
    """The activity that an order is about. Most matching words win, then the table's order."""
    said = units(order)
    scores = {activity: words.matches(said) for activity, words in vocabulary().items()}
    best = max(scores, key=lambda activity: scores[activity])
    return best if scores[best] else None


def is_household(order: str) -> bool:
    """Whether an order is to do something with a thing that homes hold, and with nothing else."""
    said = units(order)
    does = any(begins(said, chore) for chore in CHORES)
    return does and bool(named(order)) and not strange(said[1:], ("away", "back", "up"))

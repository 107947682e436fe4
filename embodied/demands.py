"""What a plan for a known activity must do, does at its best, and must not do, as `data/requests.yaml` says.

The recordings were written by many hands: most put dish soap into the dishwasher, and some switch on every light of
the house. The table says which of them may be given, and which first; a model's plan is measured by it as well.
Boundary: judges deeds; which activity an order is about is in `requests`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import yaml

from embodied.deeds import PREPARING, Deed, tell
from embodied.requests import WORDS, vocabulary


@dataclass(frozen=True)
class Demands:
    """Patterns of deeds, such as `PUTBACK plate dishwasher`."""

    does: tuple[str, ...] = ()
    """Each must be done."""
    best: tuple[str, ...] = ()
    """What the best plans do as well."""
    avoid: tuple[str, ...] = ()
    """What no plan may do, however many people recorded it."""

    def met(self, done: Iterable[Deed]) -> bool:
        """Whether deeds do all that must be done, and nothing that must not."""
        told = [*map(tell, done)]
        return all(any(re.fullmatch(each, one) for one in told) for each in self.does) and not self.avoided(told)

    def avoided(self, told: Iterable[str]) -> bool:
        """Whether something is done that must not be."""
        return any(re.fullmatch(each, one) for one in told for each in self.avoid)

    def asks(self, done: Deed) -> bool:
        """Whether a deed is one that must be done."""
        return any(re.fullmatch(each, tell(done)) for each in self.does)

    def distance(self, done: Sequence[tuple[Deed, int]]) -> int:
        """How far deeds, each with the thing it is done to, are from the best plan: how many of its deeds they lack,
        how many others they do, and with how many more things than one they do the same, such as three lights.
        """
        told = [(tell(each), thing) for each, thing in done]
        things = [{thing for one, thing in told if re.fullmatch(each, one)} for each in (*self.does, *self.best)]
        lacking = sum(not found for found in things)
        others = sum(
            each[0] not in PREPARING and not any(re.fullmatch(one, tell(each)) for one in (*self.does, *self.best))
            for each, _ in done
        )
        return lacking + others + sum(max(0, len(found) - 1) for found in things)


@lru_cache(maxsize=1)
def table() -> dict[str, Demands]:
    """Activity to what is asked of its plans."""
    entries = yaml.safe_load(WORDS.read_text())
    return {
        activity: Demands(words.does, *(tuple(entries[activity].get(kind, ())) for kind in ("best", "avoid")))
        for activity, words in vocabulary().items()
    }


@lru_cache(maxsize=1)
def never() -> Demands:
    """What a plan for no known activity must not do: nothing that is a mistake in any."""
    return Demands(avoid=tuple(dict.fromkeys(each for demands in table().values() for each in demands.avoid)))

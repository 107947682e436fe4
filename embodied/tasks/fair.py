"""Keeping a family's choices fair: an item is left out where it would let a shortcut beat guessing.

A shortcut answers without understanding: it takes the choice that the text names most or last, the longest one, or the
one that was right most often elsewhere. Makers draw wrong choices as they draw right ones; what is still uneven by
chance or by the homes' nature (most things are in the kitchen) is evened out here, item by item.
Boundary: looks at prompts and choices only; whether an answer is right is `verify`'s.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from embodied.tasks.item import Item

SLACK = 1.0
"""Items that a shortcut may be ahead of guessing, and that a choice may be right more or less often than by lot."""


def mentions(choice: str, text: str) -> list[int]:
    """Where a choice's words stand in a text."""
    return [found.start() for found in re.finditer(rf"\b{re.escape(choice)}\b", text, re.IGNORECASE)]


SHORTCUTS: dict[str, Callable[[str, str], float]] = {
    "mentioned": lambda choice, text: bool(mentions(choice, text)),
    "most mentioned": lambda choice, text: len(mentions(choice, text)),
    "least mentioned": lambda choice, text: -len(mentions(choice, text)),
    "first mentioned": lambda choice, text: -min(mentions(choice, text), default=len(text)),
    "last mentioned": lambda choice, text: max(mentions(choice, text), default=-1),
    "longest": lambda choice, text: len(choice),
    "shortest": lambda choice, text: -len(choice),
}
"""Each rates a choice by its words alone; the shortcut takes the best rated one, by lot among equals."""


def luck(item: Item, shortcut: Callable[[str, str], float]) -> float:
    """The probability that a shortcut answers an item right."""
    rated = {choice: shortcut(choice, item.prompt) for choice in item.choices}
    best = [choice for choice, rate in rated.items() if rate == max(rated.values())]
    return (item.gold in best) / len(best)


@dataclass
class Balance:
    """What the items kept so far have in common."""

    guessing: float = 0.0
    """The expected score of guessing."""
    scores: Counter[str] = field(default_factory=Counter)
    """Each shortcut's expected score."""
    excess: dict[Hashable, float] = field(default_factory=dict)
    """Per choice, and per choice among certain others: how often it is right, less how often guessing would be."""

    def admits(self, item: Item) -> bool:
        """Take an item in unless it makes the items uneven."""
        chance = 1 / len(item.choices)
        gains = {name: luck(item, shortcut) for name, shortcut in SHORTCUTS.items()}
        if any(g > chance and self.scores[n] + g > self.guessing + chance + SLACK for n, g in gains.items()):
            return False
        together = frozenset(item.choices)
        after: dict[Hashable, float] = {}
        for choice in item.choices:
            step = (choice == item.gold) - chance
            for key in (choice, (together, choice)):
                before = self.excess.get(key, 0.0)
                after[key] = before + step
                if abs(after[key]) > SLACK and abs(after[key]) > abs(before):
                    return False
        self.guessing += chance
        self.scores.update(gains)
        self.excess |= after
        return True


class Places:
    """Gives every item's right choice its place, so that each place is right equally often."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.left: dict[int, list[int]] = {}

    def put(self, item: Item) -> Item:
        """The item with its choices in another order."""
        size = len(item.choices)
        left = self.left.setdefault(size, [])
        if not left:
            left += self.rng.sample(range(size), size)
        wrong = [choice for choice in item.choices if choice != item.gold]
        self.rng.shuffle(wrong)
        wrong.insert(place := left.pop(), item.gold)
        return item.model_copy(update={"choices": tuple(wrong), "answer": place})

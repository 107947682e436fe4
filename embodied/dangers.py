"""Which steps may be advised at all: the world's rules know what works, not what hurts or ruins.

The kinds of thing that never go together, and what is never done to a kind, are in `data/dangers.yaml`.
Boundary: judges steps by what things are; whether a plan does what was asked is in `orders` and `trial`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import yaml

from embodied.world.simulator import Simulator, Step
from embodied.world.vocabulary import PROPERTY_BIT, Action

DANGERS = Path(__file__).parent / "data" / "dangers.yaml"
PUTTING = frozenset({Action.PUTBACK, Action.PUTIN, Action.POUR})
WASHING = frozenset({Action.WASH, Action.RINSE, Action.SCRUB})
CLEANING = WASHING | {Action.WIPE}
SOAPS = "cleaners"
"""The kind that may go on dishes, where these are washed."""


@dataclass(frozen=True)
class Kind:
    """Things by class name and property, less those of other names."""

    names: frozenset[str] = frozenset()
    """Patterns of whole names."""
    properties: int = 0
    less: frozenset[str] = frozenset()

    def has(self, simulator: Simulator, thing: int) -> bool:
        """Whether a thing is of the kind."""
        name = simulator.names[thing]
        if name in self.less:
            return False
        return bool(simulator.properties[thing] & self.properties) or any(re.fullmatch(n, name) for n in self.names)


@dataclass(frozen=True)
class Dangers:
    """The table of `data/dangers.yaml`, by kind."""

    kinds: Mapping[str, Kind]
    together: tuple[tuple[str, str], ...]
    inside: tuple[tuple[str, str], ...]
    done: Mapping[Action, tuple[str, ...]]

    def has(self, kind: str, simulator: Simulator, thing: int) -> bool:
        """Whether a thing is of a kind, or of the class of that name."""
        return self.kinds[kind].has(simulator, thing) if kind in self.kinds else simulator.names[thing] == kind


@lru_cache(maxsize=1)
def dangers() -> Dangers:
    """The table, read once."""
    table = yaml.safe_load(DANGERS.read_text())
    members: Mapping[str, list[str]] = table["kinds"]

    def whole(kind: str) -> Kind:
        names: set[str] = set()
        properties, less = 0, set()
        for member in members[kind]:
            if member in members:
                other = whole(member)
                names |= other.names
                properties |= other.properties
                less |= other.less
            elif member in PROPERTY_BIT:
                properties |= PROPERTY_BIT[member]
            elif member.startswith("-"):
                less.add(member[1:])
            else:
                names.add(member)
        return Kind(frozenset(names), properties, frozenset(less))

    def rows(name: str) -> tuple[tuple[str, str], ...]:
        return tuple((things, places) for things, places in table[name])

    done = {Action[name]: tuple(kinds) for name, kinds in table["never_done"].items()}
    return Dangers({kind: whole(kind) for kind in members}, rows("never_together"), rows("never_inside"), done)


def sensible(simulator: Simulator, steps: Sequence[Step]) -> bool:
    """Whether steps may be advised: none is a danger to people, animals or things."""
    washed = {step.target for step in steps if step.action in CLEANING}
    return not any(harms(simulator, step, washed) for step in steps)


def harms(simulator: Simulator, step: Step, washed: set[int] | frozenset[int] = frozenset()) -> bool:
    """Whether a step is a danger; soap may go on things that are `washed`."""
    table, (action, target, second) = dangers(), step
    if target < 0:
        return False
    if any(table.has(kind, simulator, target) for kind in table.done.get(action, ())):
        return True
    if action not in PUTTING:
        return False
    rows = table.together + (table.inside if action is Action.PUTIN else ())
    return any(
        table.has(things, simulator, target) and table.has(places, simulator, second)
        for things, places in rows
        if not (things == SOAPS and second in washed)
    )

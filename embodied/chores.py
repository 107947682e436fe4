"""Whether a plan does what the verb of an order says, where nobody recorded one to compare it with.

A plan that runs and handles what is named may do anything with it: milk is as well drunk as heated. `data/chores.yaml`
says which deeds do a verb; a verb that no deed of the simulated home expresses is done by no plan.
Boundary: judges deeds; which orders a model is asked about at all is in `requests`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from embodied.advice import rooms_of
from embodied.deeds import PREPARING, Deed, deeds
from embodied.requests import answers, begins, home_names, units
from embodied.world.program import execute
from embodied.world.scene import INSIDE, ON, Scene, bits
from embodied.world.simulator import Simulator, Step
from embodied.world.state import State
from embodied.world.vocabulary import Action

CHORES = Path(__file__).parent / "data" / "chores.yaml"
TURNS = frozenset("at from in into on onto to using with".split())
"""Words after which an order names where and with what, no longer what it is to be done to."""
UNDOES = {
    Action.PUTBACK: {Action.GRAB},
    Action.GRAB: {Action.DROP, Action.RELEASE, Action.PUTBACK, Action.PUTOBJBACK},
    Action.OPEN: {Action.CLOSE},
    Action.CLOSE: {Action.OPEN},
    Action.SWITCHON: {Action.SWITCHOFF},
    Action.SWITCHOFF: {Action.SWITCHON},
    Action.PLUGIN: {Action.PLUGOUT},
    Action.PLUGOUT: {Action.PLUGIN},
}
"""What takes back a deed on the same thing."""


@dataclass(frozen=True)
class Chore:
    """What a verb takes; patterns as in the table."""

    verbs: tuple[str, ...]
    does: tuple[str, ...] = ()
    may: tuple[str, ...] = ()
    heated: str = ""
    things: str = ".*"


@lru_cache(maxsize=1)
def chores() -> tuple[Chore, ...]:
    """The table."""
    rows: list[dict[str, Any]] = yaml.safe_load(CHORES.read_text())
    return tuple(
        Chore(
            tuple(row["verbs"]),
            *(tuple(row.get(key, ())) for key in ("does", "may")),
            heated=row.get("heated", ""),
            things=row.get("things", ".*"),
        )
        for row in rows
    )


def chore_of(order: str) -> Chore | None:
    """What the verb of an order takes, or None where the simulated home cannot do it."""
    said = units(order)
    return next((chore for chore in chores() if any(begins(said, verb) for verb in chore.verbs)), None)


def parts(order: str) -> tuple[list[str], list[str]]:
    """The names in an order: of what it is to be done to, and of where and with what."""
    objects: list[str] = []
    others: list[str] = []
    turned = False
    for word in units(order)[1:]:
        turned = turned or (bool(objects) and word in TURNS)
        if word in home_names():
            (others if turned else objects).append(word)
    return objects, others


def done_as_said(order: str, scene: Scene, steps: Sequence[Step]) -> bool:
    """Whether steps do what the order's verb says to each thing it names, leave it so, and do nothing else of
    consequence.
    """
    done = deeds(steps, scene)
    chore, (objects, others) = chore_of(order), parts(order)
    objects = [name for name in objects if not rooms_of(f"do {name}")] or objects  # "the bedroom light" is one thing
    if chore is None or not objects:
        return False
    meant = {name: {each for each in scene.by_name if answers(each, name)} for name in objects}
    elsewhere = {each for name in others for each in scene.by_name if answers(each, name)}
    if not all(any(re.fullmatch(chore.things, each) for each in meant[name]) for name in objects):
        return False
    allowed = (*chore.does, *chore.may, *([f"SWITCH(ON|OFF) {chore.heated}"] if chore.heated else ()))
    every = set().union(*meant.values())
    if not all(each[0] in PREPARING or fits(each, allowed, every, elsewhere) for each in done):
        return False
    if chore.heated:
        return all(was_heated(chore.heated, meant[name], scene, steps) for name in objects)
    return all(lasting(chore.does, done, meant[name], elsewhere) for name in objects)


def fits(each: Deed, patterns: Sequence[str], objects: set[str], others: set[str]) -> bool:
    """Whether a deed matches a pattern, where X stands for one of `objects` and Y for one of `others`."""
    return any(re.fullmatch(pattern, said) for said in readings(each, objects, others) for pattern in patterns)


def readings(each: Deed, objects: set[str], others: set[str]) -> Iterator[str]:
    """A deed with its things under their own names and as X and Y."""
    said = [
        [name, *(["X"] if name in objects else []), *(["Y"] if name in others else [])]
        for name in each[1]
    ]  # fmt: skip
    return (" ".join([each[0].name, *names]) for names in product(*said))


def lasting(does: Sequence[str], done: Sequence[Deed], objects: set[str], others: set[str]) -> bool:
    """Whether a deed of `does` is done to one of `objects`, and nothing after it takes it back."""
    found = [at for at, each in enumerate(done) if fits(each, does, objects, others)]
    if not found:
        return False
    action, names = done[found[-1]]
    thing = next(name for name in names if name in objects)
    return not any(later[0] in UNDOES.get(action, ()) and thing in later[1][:1] for later in done[found[-1] + 1 :])


def was_heated(places: str, things: set[str], scene: Scene, steps: Sequence[Step]) -> bool:
    """Whether one of `things` was on or in one of `places` while that was switched on, or is such a place itself."""
    hot = [i for name in scene.by_name if re.fullmatch(places, name) for i in scene.by_name[name]]
    wanted = {i for name in things for i in scene.by_name[name]}
    poured: dict[int, set[int]] = {}
    for step, state in zip(steps, execute(Simulator(scene), steps, keep_trail=True).trail[1:], strict=False):
        if step.action is Action.POUR:  # the world forgets it when the cup is taken up
            poured.setdefault(step.target, set()).add(step.second)
        on = {i for i in hot if state.has(i, "ON")}
        if any(within(state, thing, poured) & on for thing in wanted):
            return True
    return False


def within(state: State, thing: int, poured: Mapping[int, set[int]]) -> set[int]:
    """A thing and all that it is on or in, or was poured into, directly or not."""
    found, new = {thing}, [thing]
    while new:
        i = new.pop()
        places = {*bits(state.row(ON, i) | state.row(INSIDE, i)), *poured.get(i, ())} - found
        found |= places
        new += places
    return found

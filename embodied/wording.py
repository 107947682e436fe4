"""Worlds in plain English: steps, facts and places as a person would say them.

Boundary: words only. Task templates are in `tasks.templates`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from embodied.plan.goal import Fact, Goal
from embodied.world.scene import INSIDE, RIGHT, STATE, Scene
from embodied.world.simulator import Step
from embodied.world.state import State, where
from embodied.world.vocabulary import PHRASES, STATES, Action

STATE_WORDS = {
    "CLOSED": "the {0} {1} closed",
    "OPEN": "the {0} {1} open",
    "ON": "the {0} {1} switched on",
    "OFF": "the {0} {1} switched off",
    "SITTING": "you are sitting",
    "LYING": "you are lying down",
    "DIRTY": "the {0} {1} dirty",
    "CLEAN": "the {0} {1} clean",
    "PLUGGED_IN": "the {0} {1} plugged in",
    "PLUGGED_OUT": "the {0} {1} unplugged",
}
"""`{0}` is a thing, `{1}` its `is` or `are`."""
PLURALS = frozenset(
    "bills cards gloves hands keys noodles pajamas pants scissors sheets shoes socks spectacles teeth".split()
) | {"oven mitts"}
"""Spoken names that are plural words; all others are singular, `dress` and `deck of cards` too."""
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")


def name(scene: Scene, node: int) -> str:
    """A node's spoken name."""
    return scene.nodes[node].spoken


def be(thing: str, *, past: bool = False) -> str:
    """`is` or `are` (`was` or `were`) after a spoken name."""
    singular, plural = ("was", "were") if past else ("is", "are")
    return plural if thing in PLURALS else singular


def holds_things(scene: Scene, place: int) -> bool:
    """Whether people say "in" of a place although the recordings say "on": it holds things and bears none, such as a
    coffee maker or a sink.
    """
    properties = scene.nodes[place].properties
    return "SURFACES" not in properties and ("CONTAINERS" in properties or "RECIPIENT" in properties)


def say_step(step: Step, scene: Scene, names: Mapping[int, str] | None = None) -> str:
    """One step as a short imperative, such as `put the cup on the table`; `names` overrides spoken names."""
    if step.action is Action.PUTBACK and holds_things(scene, step.second):
        step = Step(Action.PUTIN, step.target, step.second)
    objects = [i for i in (step.target, step.second) if i >= 0]
    return PHRASES[Action(step.action)].format(*[(names or {}).get(i) or name(scene, i) for i in objects])


def say_steps(steps: Sequence[Step], scene: Scene) -> list[str]:
    """Numbered sentences, one a step: `1. Walk to the kitchen.` Things of one name are told apart by their order."""
    names = tell_apart(steps, scene)
    return [f"{i}. {capital(say_step(step, scene, names))}." for i, step in enumerate(steps, 1)]


def tell_apart(steps: Sequence[Step], scene: Scene) -> dict[int, str]:
    """What the things of steps are called that share a name: `first plate`, in the order of the steps."""
    alike: dict[str, list[int]] = {}
    for step in steps:
        for i in (step.target, step.second):
            if i >= 0 and i not in alike.setdefault(name(scene, i), []):
                alike[name(scene, i)].append(i)
    return {
        i: f"{ORDINALS[at]} {spoken}"
        for spoken, found in alike.items()
        if len(found) > 1
        for at, i in enumerate(found[: len(ORDINALS)])
    }


def say_fact(fact: Fact, scene: Scene, names: Mapping[int, str] | None = None) -> str:
    """One goal fact, such as `the cup is on the table`; `names` overrides spoken names."""
    me = fact.node == scene.character
    is_or_are = be(name(scene, fact.node))
    thing = (names or {}).get(fact.node) or name(scene, fact.node)
    if fact.kind == STATE:
        return STATE_WORDS[STATES[fact.bit.bit_length() - 1]].format(thing, is_or_are)
    other = (names or {}).get(fact.other) or name(scene, fact.other)
    if fact.kind == RIGHT:
        return f"you are holding the {other}"
    if fact.other == scene.character:
        return f"you are wearing the {thing}"
    subject = "you are" if me else f"the {thing} {is_or_are}"
    within = fact.kind == INSIDE or (not me and holds_things(scene, fact.other))
    return f"{subject} {'in' if within else 'on'} the {other}"


def say_goal(goal: Goal) -> str:
    """The whole goal as one phrase. What would be said twice is said of a second thing of that name."""
    said: list[str] = []
    times: Counter[str] = Counter()
    for fact in goal.facts:
        text = say_fact(fact, goal.scene)
        if times[text]:
            plural = text.partition("the ")[2].startswith(tuple(PLURALS))
            another = "other " if plural else f"a {ORDINALS[min(times[text], len(ORDINALS) - 1)]} "
            said.append(text.replace("the ", another, 1))
        else:
            said.append(text)
        times[text] += 1
    return join(said)


def say_place(state: State, node: int) -> str | None:
    """Where a thing is: `on the table`, `in the fridge`, `in your hands`; None where it is nowhere."""
    found = where(state, node)
    if found is None:
        return None
    relation, place = found
    if relation == "HELD":
        return "in your hands"
    on = relation == "ON" and not holds_things(state.scene, place)
    return f"{'on' if on else 'in'} the {name(state.scene, place)}"


def capital(text: str) -> str:
    """With a capital first letter."""
    return text[:1].upper() + text[1:]


def join(parts: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]

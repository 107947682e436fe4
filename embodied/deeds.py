"""What plans do to which things, in a form that plans are compared in.

A deed is an action and the classes of its things: which of several cups does not matter, nor how one gets there.
Putting in and putting on are one, because recordings put things "on" what holds them.
Boundary: reads steps and program lines; what deeds are asked for is in `demands` and `chores`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from embodied.world.scene import Scene
from embodied.world.simulator import Step
from embodied.world.vocabulary import Action

SILENT = frozenset({Action.FIND, Action.TURNTO, Action.LOOKAT, Action.POINTAT})
"""Steps that the recordings are full of and that a person needs no telling."""
GOING = SILENT | {Action.WALK, Action.RUN, Action.STANDUP}
"""Steps that lead to a deed and are none."""
PREPARING = frozenset(
    {Action.GRAB, Action.DROP, Action.OPEN, Action.CLOSE, Action.PLUGIN, Action.SIT, Action.LIE, Action.PUTOBJBACK}
)
"""Deeds that any plan may need; all others must be with things that the request is about."""
HARMLESS = frozenset({Action.WATCH, Action.TOUCH, Action.GREET, Action.SWITCHOFF})
"""Deeds that spoil nothing when they are done with a thing that takes part."""
FAMILY = {
    Action.POUR: Action.PUTBACK,
    **dict.fromkeys((Action.SCRUB, Action.RINSE, Action.WIPE), Action.WASH),
    **dict.fromkeys((Action.TOUCH, Action.PULL), Action.PUSH),
}
"""Actions that one person writes where another writes the other."""
OBJECT = re.compile(r"<([^<>]+)> \((?:\d+\.)?(\d+)\)")

Deed = tuple[Action, tuple[str, ...]]
"""What is done to things of which classes."""


def deed(step: Step, scene: Scene) -> Deed:
    """A step without saying which of several alike things."""
    return put(step.action), tuple(scene.nodes[i].name for i in (step.target, step.second) if i >= 0)


def put(action: Action) -> Action:
    """The action, with one for putting in and putting on."""
    return Action.PUTBACK if action is Action.PUTIN else Action(action)


def alike(done: Deed) -> Deed:
    """A deed with the action that stands for its family."""
    return FAMILY.get(done[0], done[0]), done[1]


def deeds(steps: Iterable[Step], scene: Scene) -> list[Deed]:
    """What is done, without going places."""
    return [deed(step, scene) for step in steps if step.action not in GOING]


def written(lines: Sequence[str]) -> list[tuple[Deed, int]]:
    """What program lines do, without going places, each with the id of the thing it is done to (-1 for none); no home
    is needed.
    """
    found = []
    for line in lines:
        action = put(Action[line[1 : line.index("]")]])
        if action not in GOING:
            things = OBJECT.findall(line)
            found.append(((action, tuple(name for name, _ in things)), int(things[0][1]) if things else -1))
    return found


def tell(done: Deed) -> str:
    """A deed as the patterns of the tables are written: `PUTBACK plate dishwasher`."""
    return " ".join([done[0].name, *done[1]])

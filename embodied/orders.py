"""Orders that are a step in themselves, such as `put the milk in the fridge`, done with all that the step needs.

An order is tried in many homes, and given as it goes in the most usual one: nothing strange has to be opened for it.
What was opened is closed again. Where everything is so already (the oven is off in each home), the home is made
otherwise first. Boundary: plans for one step; recorded activities are in `advice`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

from embodied.archive import default_archive
from embodied.dangers import WASHING, harms
from embodied.deeds import GOING, SILENT
from embodied.errors import ProgramError
from embodied.explore import plausible
from embodied.homes import catalogue
from embodied.reading import read_step, words_of
from embodied.repair import Repaired, repair
from embodied.requests import answers, fold, named, strange, units
from embodied.telling import OVEN, Advice
from embodied.world.scene import INSIDE, ON, Node, Scene
from embodied.world.simulator import Simulator, Step
from embodied.world.state import State, initial
from embodied.world.vocabulary import PROPERTY_BIT, Action

HOMES = 12
"""Homes that an order is tried in."""
ALIKE = 3
"""Things of one class that are tried in each: one cup may stand on the table and another be shut in."""
MIDWAY = frozenset({Action.WAKEUP, Action.DROP, Action.RELEASE})
"""Orders that make sense only in the middle of something."""
NO_GRAB = re.compile(r"^(?:get|hold|take) an?\b|\b(?:from|off|out)\b", re.IGNORECASE)
"""An order to come by a thing ("get a cat"), or to take it away from another ("get wine out of the carpet"), which
takes more than to grab it.
"""
PLACING = frozenset({Action.PUTBACK, Action.PUTIN, Action.POUR})
OPPOSITE = {
    Action.SWITCHON: Action.SWITCHOFF,
    Action.OPEN: Action.CLOSE,
    Action.PLUGIN: Action.PLUGOUT,
    Action.PUTON: Action.PUTOFF,
}
OPPOSITE |= {after: before for before, after in OPPOSITE.items()}
"""What undoes a step, so that it can be done."""
LAID_ON = ("kitchen_counter", "table", "coffee_table", "desk", "bed")
"""Where a thing may lie in any home."""
ALSO_SAID = {"radio": ("stereo", "cd player")}
"""Names that no home has a thing of, and what people mean by them."""
TOOLS = {Action.CUT: ("knife",)}
"""Things that an action takes, although nobody names them."""

Cost = tuple[int, int, int, int, int]
"""How unusual a plan is: things it has no business with, boxes opened on the way, other deeds, a place that stands open
from the start, steps.
"""


def plain_order(order: str) -> Advice | None:
    """An order that is itself one step, done with all that it needs in the home where that is most usual.

    None where no home lets it be done without touching what has nothing to do with it, and for washing: the world calls
    a thing washed that one has stood beside.
    """
    if strange(units(order), frozenset().union(*map(words_of, Action))):
        return None  # at once: most requests are about something else
    found: list[tuple[Cost, Advice]] = []
    read: list[tuple[Simulator, Step]] = []
    for scene in homes(needed(order), HOMES):
        simulator = Simulator(scene)
        if (step := read_order(order, simulator)) is None:
            continue
        if step.action in SILENT | MIDWAY | WASHING or (step.action is Action.GRAB and NO_GRAB.search(order)):
            return None
        if harms(simulator, step):
            return None
        read.append((simulator, step))
        found += carried_out(order, simulator, step)
        if any(not any(unusual) for (*unusual, _), _ in found):
            break
    if usual := [each for each in found if not each[0][0]]:
        return min(usual, key=lambda each: each[0])[1]
    for simulator, step in read:
        if (scene := prepared(simulator, step)) is not None:
            ready = [each for each in carried_out(order, Simulator(scene), step) if not each[0][0]]
            if ready:
                return min(ready, key=lambda each: each[0])[1]
    return None


def needed(order: str) -> str:
    """The order with all other names of what it takes, to look for homes that have it."""
    first = units(order)[:1]
    tools = [tool for action, names in TOOLS.items() if words_of(action).issuperset(first) for tool in names]
    return " ".join([order, *called_otherwise(order), *tools])


def read_order(order: str, simulator: Simulator) -> Step | None:
    """The step that an order is in a home, and that a person would take; None where it is none."""
    start = initial(simulator.scene)
    for text in (order, *called_otherwise(order)):
        try:
            step = read_step(text, simulator, start)
        except ProgramError:
            continue
        if says(order, step, start) and (plausible(simulator, step) or cooks(simulator, step)):
            return step
    return None


def called_otherwise(order: str) -> Iterator[str]:
    """The order in other words, for names that no home has a thing of."""
    for said, names in ALSO_SAID.items():
        if re.search(rf"\b{said}\b", order, re.IGNORECASE):
            yield from (re.sub(rf"\b{said}\b", name, order, flags=re.IGNORECASE) for name in names)


def says(order: str, step: Step, state: State) -> bool:
    """Whether an order says a step and nothing else: it names the step's things, or the rooms these are in."""
    things = [i for i in (step.target, step.second) if i >= 0]
    places = [room for i in things if (room := state.room(i)) is not None]
    classes = {state.scene.nodes[i].name for i in (*things, *places)}
    meant = all(any(answers(name, word) for name in classes) for word in named(order))
    return meant and not strange(units(order), words_of(step.action))


def cooks(simulator: Simulator, step: Step) -> bool:
    """Whether a step puts a pot on the stove, which the world takes for the top of an oven and calls no surface."""
    if step.action is not Action.PUTBACK or simulator.names[step.second] != OVEN:
        return False
    return bool(simulator.properties[step.target] & PROPERTY_BIT["RECIPIENT"])


def carried_out(order: str, simulator: Simulator, step: Step) -> Iterator[tuple[Cost, Advice]]:
    """The plans for a step in one home, with each of some things alike, and how unusual they are."""
    start = initial(simulator.scene)
    for each in variants(simulator, start, step):
        # Going to the place is said even where the thing lies next to it.
        way = [Step(Action.GRAB, each.target), Step(Action.WALK, each.second)] if each.action in PLACING else []
        plan = repair(simulator, [*way, each], start)
        if not isinstance(plan, Repaired) or each not in plan.steps or is_so(simulator, start, each):
            continue
        if (tidied := tidy(simulator, start, plan.steps, each)) is not None:
            yield (
                cost(simulator, start, tidied.steps, each),
                Advice(order, simulator.scene, tidied, start, "plan found in the home", ordered=each),
            )


def variants(simulator: Simulator, start: State, step: Step) -> Iterator[Step]:
    """The step, and the same with other things alike that are in the same rooms, so that a named room stays right."""

    def alike(thing: int) -> list[int]:
        if thing < 0:
            return [thing]
        every = simulator.scene.by_name[simulator.names[thing]]
        return [thing, *[i for i in every if i != thing and start.room(i) == start.room(thing)]][:ALIKE]

    for second in alike(step.second):
        yield from (Step(step.action, target, second) for target in alike(step.target) if target != second)


def is_so(simulator: Simulator, state: State, step: Step) -> bool:
    """Whether what a step would bring about is so already."""
    action, target, second = step
    if action is Action.PUTON:
        return bool(state.row(ON, target) >> simulator.me & 1)
    if action is Action.GRAB:
        return simulator.holds(state, target)
    if action not in PLACING:
        return False
    alike = sum(1 << i for i in simulator.scene.by_name[simulator.names[second]])
    return bool((state.row(ON, target) | state.row(INSIDE, target)) & alike)


def tidy(simulator: Simulator, start: State, steps: Sequence[Step], ordered: Step) -> Repaired | None:
    """The steps with each thing closed that they opened, as soon as it is done with, unless to open it is the order.

    None where they do the ordered step with a thing that is shut in, which the world lets pass for some actions.
    """
    steps = list(steps)
    for box in dict.fromkeys(step.target for step in steps if step.action is Action.OPEN):
        closing = Step(Action.CLOSE, box)
        if box == ordered.target or closing in steps:
            continue
        opened = steps.index(Step(Action.OPEN, box))
        for at in range(opened + 2, len(steps) + 1):
            tried = [*steps[:at], closing, *steps[at:]]
            if run(simulator, start, tried) is not None:
                steps = tried
                break
    before = run(simulator, start, steps[: steps.index(ordered)])
    end = run(simulator, start, steps)
    if before is None or end is None:
        return None
    if any(i >= 0 and simulator.shut_in(before, i) is not None for i in (ordered.target, ordered.second)):
        return None
    return Repaired(tuple(steps), end)


def run(simulator: Simulator, state: State, steps: Sequence[Step]) -> State | None:
    """The state after steps; None where one fails."""
    for step in steps:
        after = simulator.step(state, step)
        if not isinstance(after, State):
            return None
        state = after
    return state


def cost(simulator: Simulator, start: State, steps: Sequence[Step], ordered: Step) -> Cost:
    """How unusual a plan for an ordered step is; the least is the best."""
    meant = {ordered.target, ordered.second}
    classes = [simulator.names[i] for i in meant if i >= 0]
    helpful = TOOLS.get(ordered.action, ())
    things = {i for step in steps for i in (step.target, step.second) if i >= 0} - meant
    strange = [i for i in things if not simulator.scene.rooms >> i & 1 and not is_usual(simulator, i, classes, helpful)]
    boxes = {step.target for step in steps if step.action is Action.OPEN} - meant
    handling = GOING | {Action.GRAB, Action.OPEN, Action.CLOSE}
    deeds = [step for step in steps if step != ordered and step.action not in handling]
    stands_open = ordered.action is Action.PUTIN and start.has(ordered.second, "OPEN")
    return len(strange), len(boxes), len(deeds), int(stands_open), len(steps)


def is_usual(simulator: Simulator, place: int, classes: Sequence[str], helpful: Sequence[str]) -> bool:
    """Whether a thing is where one of some classes is usually kept, or what the action takes."""
    name = simulator.names[place]
    if name in helpful:
        return True
    return any(thing in catalogue()["in"].get(name, ()) or (name == "freezer" and is_food(thing)) for thing in classes)


def is_food(name: str) -> bool:
    """Whether a class is food, which a fridge may hold."""
    return name.startswith("food_")


def prepared(simulator: Simulator, step: Step) -> Scene | None:
    """The home as it is where a step is yet to be done: the oven on that is to be switched off, the cup on the table
    that is to be put in the cupboard. None where it cannot be had.
    """
    scene, start = simulator.scene, initial(simulator.scene)
    undo = [Step(OPPOSITE[step.action], step.target)] if step.action in OPPOSITE else []
    if not undo:
        away = [i for i in (step.target, step.second) if i >= 0 and is_stowed(simulator, start, step, i)]
        undo = [
            Step(Action.PUTBACK, i, place) for i in away if (place := lay_on(simulator, start, i, step)) is not None
        ]
    if not undo:
        return None
    plan = repair(simulator, undo, start)
    home = start.room(simulator.me)
    if not isinstance(plan, Repaired) or home is None:
        return None
    tidied = tidy(simulator, start, plan.steps, undo[-1]) if undo[-1] in plan.steps else None
    state = tidied.end if tidied else plan.end
    # Away from the thing again: the plan for the order must say to go there.
    for last in (Step(Action.STANDUP), Step(Action.WALK, home)):
        after = simulator.step(state, last)
        state = after if isinstance(after, State) else state
    if state.holding():
        return None
    nodes = [replace(node, states=state.states(i)) for i, node in enumerate(scene.nodes)]
    return Scene.build(nodes, state.edges(), name=scene.name)


def is_stowed(simulator: Simulator, state: State, step: Step, thing: int) -> bool:
    """Whether a thing that can be carried is shut in, or is already where the step puts it."""
    if not simulator.properties[thing] & PROPERTY_BIT["GRABBABLE"]:
        return False
    return simulator.shut_in(state, thing) is not None or (thing == step.target and is_so(simulator, state, step))


def lay_on(simulator: Simulator, state: State, thing: int, step: Step) -> int | None:
    """Where to lay a thing that is to be at hand: a surface in its own room, or else the first that the home has."""
    found = [i for name in LAID_ON for i in simulator.scene.by_name.get(name, ()) if i != step.second]
    return min(found, key=lambda i: state.room(i) != state.room(thing), default=None)


def homes(text: str, most: int = 3) -> Iterator[Scene]:
    """Homes that have the things a text names, those with most of them first."""
    words = fold(text)
    names = default_archive().body["kinds"]
    wanted = {name for name, _, _ in names if f" {fold(spoken(name))} " in f" {words} "}
    found = []
    for recording in default_archive().recordings[::3]:
        has = wanted & class_names(recording.key)
        found.append((-len(has), recording.key, recording))
    yield from [recording.scene for _, _, recording in sorted(found, key=lambda item: item[:2])[:most]]


def spoken(name: str) -> str:
    """A class as a person says it."""
    return Node(0, name).spoken


@lru_cache(maxsize=1024)
def class_names(key: str) -> frozenset[str]:
    """The classes in a recording's home, without building it."""
    recording = next(r for r in default_archive().recordings if r.key == key)
    archive, kinds = recording.archive, recording.archive.body["kinds"]
    gone = set(recording.delta["gone"])
    base = {node.name for number, node in archive.nodes.items() if number not in gone}
    return frozenset(base | {kinds[kind][0] for _, kind, _ in recording.delta["nodes"]})

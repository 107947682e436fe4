"""Household plans that people recorded.

A request such as "make coffee" is matched to a known activity and its most typical recorded plan that does what is
asked, with each thing that is named. The plan is run in its simulated home and mended where a step fails.
Boundary: recorded plans; an order that is itself a step is in `orders`, what a model proposes is tried in `trial`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from functools import lru_cache

from embodied.archive import Recording, default_archive
from embodied.dangers import sensible
from embodied.deeds import GOING, PREPARING, SILENT, deed, written
from embodied.demands import Demands, table
from embodied.homes import known_classes
from embodied.repair import Repaired, repair
from embodied.requests import Words, answers, fold, known_activity, named, vocabulary
from embodied.telling import Advice
from embodied.world.program import execute
from embodied.world.scene import Node, Scene
from embodied.world.simulator import Simulator, Step
from embodied.world.state import State, initial
from embodied.world.vocabulary import ROOM_CATEGORY, Action

OBJECTS = re.compile(r"<([^<>]+)>")
CANDIDATES = 5
"""Recorded plans tried for one request, most typical first."""


def known_plan(order: str) -> Advice | None:
    """The most typical recorded plan that does what the order asks for, run and said without filler steps."""
    for recording in sound(order)[:CANDIDATES]:
        simulator = Simulator(recording.scene)
        plan = repair(simulator, concise(recording, simulator))
        if isinstance(plan, Repaired) and plan.steps and sensible(simulator, plan.steps):
            start, activity = initial(recording.scene), recording.activity
            return Advice(order, recording.scene, plan, start, f"recorded plan for: {activity}", activity)
    return with_another_thing(order)


def with_another_thing(order: str) -> Advice | None:
    """The most typical recorded plan for an activity, done with the thing that the order names, where it is done with
    such things in the same way: nobody recorded how to wash socks, but they are washed as pants are.
    """
    words = vocabulary().get(known_activity(order) or "", Words())
    names = [name for name in named(order) if name not in words.implied]
    wanted = next((kind for kind in known_classes() if len(names) == 1 and words.serves(kind, names[0])), None)
    for recording in sound(f"{words.verbs[0]} {words.things[0]}")[:CANDIDATES] if wanted else ():
        steps = concise(recording, Simulator(recording.scene))
        used = {i for step in steps for i in (step.target, step.second) if i >= 0}
        used = {i for i in used if re.fullmatch(words.same, recording.scene.nodes[i].name)}
        if len({recording.scene.nodes[i].name for i in used}) != 1 or wanted is None:
            continue
        scene = renamed(recording.scene, used, wanted)
        simulator = Simulator(scene)
        plan = repair(simulator, steps)
        if isinstance(plan, Repaired) and plan.steps and sensible(simulator, plan.steps):
            origin = f"recorded plan for: {recording.activity}, done with the {Node(0, wanted).spoken}"
            return Advice(order, scene, plan, initial(scene), origin, recording.activity)
    return None


def renamed(scene: Scene, things: Collection[int], name: str) -> Scene:
    """The home with things of another class in the place of some."""
    category, properties = known_classes()[name]
    nodes = [
        replace(node, name=name, category=category, properties=properties) if i in things else node
        for i, node in enumerate(scene.nodes)
    ]
    return Scene.build(nodes, initial(scene).edges(), name=scene.name)


def sound(order: str) -> list[Recording]:
    """The recordings that do the activity an order is about, with each thing that the order names; typical ones first.

    Where there is none of the activity itself, those of an activity like it.
    """
    activity = known_activity(order)
    if activity is None:
        return []
    for source in (activity, vocabulary()[activity].like):
        if found := [
            recording
            for recording in typical(source, order)
            if does_it(order, recording.lines)
            and (not rooms_of(order) or in_place(order, recording.scene, recording.program.steps))
        ]:
            return found
    return []


def does_it(order: str, lines: tuple[str, ...]) -> bool:
    """Whether a program does the activity an order is about, as the table demands, with each thing that is named."""
    if (activity := known_activity(order)) is None:
        return False
    names = [name for name in named(order) if name not in vocabulary()[activity].implied]
    return table()[activity].met([done for done, _ in written(lines)]) and handles(skeleton(lines), names)


def in_place(order: str, scene: Scene, steps: Sequence[Step]) -> bool:
    """Whether all that steps do is done in a room that the order names, where it names one: a light that is asked for
    in the bedroom is no reason to switch on the one in the kitchen. Things may be fetched from anywhere.
    """
    asked = rooms_of(order)
    demands = table().get(known_activity(order) or "", Demands())
    if not asked:
        return True
    states = execute(Simulator(scene), steps, keep_trail=True).trail
    for step, state in zip(steps, states, strict=False):
        if step.action in GOING or (step.action in PREPARING and not demands.asks(deed(step, scene))):
            continue
        place = step.second if step.second >= 0 else step.target
        bodily = place < 0 or "BODY_PART" in scene.nodes[place].properties
        room = state.room(scene.character if bodily else place)
        if room is None or scene.nodes[room].name not in asked:
            return False
    return True


def rooms_of(order: str) -> frozenset[str]:
    """The classes of the rooms that an order names."""
    return frozenset(room for room in rooms() for name in named(order) if answers(room, name))


def handles(done: Iterable[tuple[str, str]], names: Iterable[str]) -> bool:
    """Whether something is done to a thing of each name, where going to a room is enough; `done` as of `skeleton`."""
    touched = {thing for thing, action in done if Action[action[1:-1]] not in GOING or thing in rooms()}
    return all(any(answers(thing, name) for thing in touched) for name in names)


@lru_cache(maxsize=1)
def rooms() -> frozenset[str]:
    """The classes of rooms."""
    return frozenset(name for name, category, _ in default_archive().body["kinds"] if category == ROOM_CATEGORY)


def typical(activity: str, order: str) -> list[Recording]:
    """An activity's recordings, those first that lack least and do least besides what is asked; then those that share
    most with the words of the order, and with the others.
    """
    words = set(fold(order).split())
    demands = table().get(known_activity(order) or activity, Demands())

    def score(recording: Recording) -> tuple[int, int, float, str]:
        mine, done = skeleton(recording.lines), written(recording.lines)
        alike = sum(overlap(mine, skeleton(other.lines)) for other in by_activity(activity)) / len(
            by_activity(activity)
        )
        used = {word for (_, things), _ in done for thing in things for word in fold(thing.replace("_", " ")).split()}
        return demands.distance(done), -len(words & used), -alike, recording.key

    return sorted(by_activity(activity), key=score)


@lru_cache(maxsize=32)
def by_activity(activity: str) -> tuple[Recording, ...]:
    """The recordings of one activity."""
    return tuple(r for r in default_archive().recordings if r.activity == activity)


@lru_cache(maxsize=1024)
def skeleton(lines: tuple[str, ...]) -> frozenset[tuple[str, str]]:
    """What a program does to what, without order and numbers."""
    told = [line for line in lines if not any(f"[{action.name}]" in line for action in SILENT)]
    return frozenset((thing, line[: line.index("]") + 1]) for line in told for thing in OBJECTS.findall(line) or [""])


def overlap(a: frozenset[tuple[str, str]], b: frozenset[tuple[str, str]]) -> float:
    """Jaccard similarity."""
    return len(a & b) / (len(a | b) or 1)


def concise(recording: Recording, simulator: Simulator) -> list[Step]:
    """A recording's steps without those a person needs no telling; finding something far away becomes walking there."""
    state, kept = initial(recording.scene), []
    for step in recording.program.steps:
        after = simulator.step(state, step)
        if not isinstance(after, State):
            return list(recording.program.steps)
        if step.action is Action.FIND and not simulator.close(state, step.target):
            kept.append(Step(Action.WALK, step.target))
        elif step.action not in SILENT or watches_later(recording, step):
            kept.append(step)
        state = after
    while len(kept) > 1 and kept[-1].action in GOING:  # the way to a deed that never came
        kept.pop()
    return kept


def watches_later(recording: Recording, step: Step) -> bool:
    """Whether turning to a thing is needed because the program watches it."""
    return step.action is Action.TURNTO and any(
        later.action is Action.WATCH and later.target == step.target for later in recording.program.steps
    )

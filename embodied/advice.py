"""Household plans that are known to work: recorded ones, and orders that are a step in themselves.

A request such as "make coffee" is matched to a known activity and its most typical recorded plan that does what is
asked, with each thing that is named; a plain order ("put the milk in the fridge") is read as a step. Both are run in a
simulated home and mended where a step fails.
Boundary: plans without a model; what a model proposes is tried in `trial`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from embodied.archive import Recording, default_archive
from embodied.errors import EmbodiedError, ProgramError
from embodied.explore import plausible
from embodied.plan.goal import goal_between
from embodied.reading import read_step, words_of
from embodied.repair import Repaired, repair
from embodied.requests import fold, known_activity, named, strange, units, vocabulary
from embodied.wording import join, say_fact, say_steps, tell_apart
from embodied.world.names import is_called
from embodied.world.scene import ON, STATE, Node, Scene
from embodied.world.simulator import Simulator, Step
from embodied.world.state import State, initial
from embodied.world.vocabulary import CHARACTER, PROPERTY_BIT, ROOM_CATEGORY, Action

OBJECTS = re.compile(r"<([^<>]+)>")
CANDIDATES = 5
"""Recorded plans tried for one request, most typical first."""
SILENT = frozenset({Action.FIND, Action.TURNTO, Action.LOOKAT, Action.POINTAT})
"""Steps that the recordings are full of and that a person needs no telling."""
GOING = SILENT | {Action.WALK, Action.RUN, Action.STANDUP}
"""Steps that lead to a deed and are none."""
MIDWAY = frozenset({Action.WAKEUP, Action.DROP, Action.RELEASE})
"""Orders that make sense only in the middle of something."""
NO_GRAB = re.compile(r"^(?:get|hold|take) an?\b|\b(?:from|off|out)\b", re.IGNORECASE)
"""An order to come by a thing ("get a cat"), or to take it away from another ("get wine out of the carpet"), which
takes more than to grab it.
"""
ALIVE = frozenset({"cat", "dog", "child", CHARACTER})
NO_DRINK = frozenset({"mouthwash", "oil"})
"""What the world calls drinkable and nobody should drink."""
ELECTRIC = PROPERTY_BIT["HAS_SWITCH"] | PROPERTY_BIT["HAS_PLUG"]


@dataclass(frozen=True)
class Advice:
    """A plan that worked, and the home it worked in."""

    order: str
    scene: Scene
    plan: Repaired
    start: State
    origin: str
    activity: str = ""
    """The known activity that it is a plan for."""
    ordered: bool = False
    """Whether the order is the plan's last step, and the rest only leads up to it."""

    @property
    def text(self) -> str:
        """The plan step by step, what it leads to, and how it was checked."""
        steps = say_steps(self.plan.steps, self.scene)
        order = re.sub(r"\b(?:my|our)\b", "your", self.order)
        lines = [f"How to {order[:1].lower() + order[1:]}, step by step:", *steps]
        if outcome := self.outcome():
            lines.append(f"At the end {outcome}.")
        lines.append(f"Checked: all {len(steps)} steps work in the simulated home.")
        return "\n".join(lines)

    def outcome(self) -> str:
        """What holds at the end and did not at the start, in words; the most telling six facts."""
        try:
            facts = goal_between(self.start, self.plan.end).facts
        except EmbodiedError:
            return ""
        told = [fact for fact in facts if fact.kind in (STATE, ON) or fact.node != self.scene.character]
        names = tell_apart(self.plan.steps, self.scene)
        said = list(dict.fromkeys(say_fact(fact, self.scene, names) for fact in told))
        return join(said[:6]) if said else ""


def known_plan(order: str) -> Advice | None:
    """The most typical recorded plan that does what the order asks for, run and said without filler steps."""
    for recording in sound(order)[:CANDIDATES]:
        simulator = Simulator(recording.scene)
        plan = repair(simulator, concise(recording, simulator))
        if isinstance(plan, Repaired) and plan.steps:
            start, activity = initial(recording.scene), recording.activity
            return Advice(order, recording.scene, plan, start, f"recorded plan for: {activity}", activity)
    return None


def sound(order: str) -> list[Recording]:
    """The recordings that do the activity an order is about, with each thing that the order names; typical ones first.

    Where there is none of the activity itself, those of an activity like it.
    """
    activity = known_activity(order)
    if activity is None:
        return []
    words = vocabulary()[activity]
    names = [name for name in named(order) if name not in words.implied]

    def does_it(recording: Recording) -> bool:
        done = skeleton(recording.lines)
        said = [f"{action[1:-1]} {thing}".strip() for thing, action in done]
        return all(any(re.fullmatch(step, each) for each in said) for step in words.does) and handles(done, names)

    for source in (activity, words.like):
        if found := [recording for recording in typical(source, order) if does_it(recording)]:
            return found
    return []


def handles(done: Iterable[tuple[str, str]], names: Iterable[str]) -> bool:
    """Whether something is done to a thing of each name, where going to a room is enough; `done` as of `skeleton`."""
    touched = {thing for thing, action in done if Action[action[1:-1]] not in GOING or thing in rooms()}
    return all(any(answers(thing, name) for thing in touched) for name in names)


def answers(thing: str, name: str) -> bool:
    """Whether a folded name may mean things of a class, by their last word as well."""
    node = Node(0, thing)
    return is_called(node, name) or any(f" {fold(said)}".endswith(f" {name}") for said in (thing, node.spoken))


@lru_cache(maxsize=1)
def rooms() -> frozenset[str]:
    """The classes of rooms."""
    return frozenset(name for name, category, _ in default_archive().body["kinds"] if category == ROOM_CATEGORY)


def typical(activity: str, order: str) -> list[Recording]:
    """An activity's recordings, those first that share most with the others and with the words of the order."""
    words = set(fold(order).split())

    def score(recording: Recording) -> tuple[float, str]:
        mine = skeleton(recording.lines)
        alike = sum(overlap(mine, skeleton(other.lines)) for other in by_activity(activity)) / len(
            by_activity(activity)
        )
        named = {word for thing, _ in mine for word in fold(thing.replace("_", " ")).split()}
        return -(alike + 0.1 * len(words & named)), recording.key

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
    return kept


def watches_later(recording: Recording, step: Step) -> bool:
    """Whether turning to a thing is needed because the program watches it."""
    return step.action is Action.TURNTO and any(
        later.action is Action.WATCH and later.target == step.target for later in recording.program.steps
    )


def plain_order(order: str) -> Advice | None:
    """An order that is itself one step, such as `put the milk in the fridge`, done with all that it needs, in the home
    where that takes least.
    """
    found: list[Advice] = []
    for scene in homes(order):
        simulator = Simulator(scene)
        start = initial(scene)
        try:
            step = read_step(order, simulator, start)
        except ProgramError:
            continue
        if step.action in SILENT | MIDWAY or (step.action is Action.GRAB and NO_GRAB.search(order)):
            return None
        if not says(order, step, start) or not plausible(simulator, step) or not sensible(simulator, [step]):
            continue
        plan = repair(simulator, [step], start)
        if isinstance(plan, Repaired) and plan.steps:
            found.append(Advice(order, scene, plan, start, "plan found in the home", ordered=True))
    return min(found, key=lambda advice: len(advice.plan.steps), default=None)


def says(order: str, step: Step, state: State) -> bool:
    """Whether an order says a step and nothing else: it names the step's things, or the rooms these are in."""
    things = [i for i in (step.target, step.second) if i >= 0]
    places = [room for i in things if (room := state.room(i)) is not None]
    classes = {state.scene.nodes[i].name for i in (*things, *places)}
    meant = all(any(answers(name, word) for name in classes) for word in named(order))
    return meant and not strange(units(order), words_of(step.action))


def sensible(simulator: Simulator, steps: Sequence[Step]) -> bool:
    """Whether steps may be advised: no animal and nobody is put anywhere, nothing electric is washed or shut into a
    machine, and nothing is drunk that is no drink.
    """
    for action, target, second in steps:
        electric = target >= 0 and bool(simulator.properties[target] & ELECTRIC)
        if action in (Action.WASH, Action.RINSE, Action.SCRUB) and electric:
            return False
        if action is Action.PUTIN and electric and simulator.properties[second] & ELECTRIC:
            return False
        if action is Action.DRINK and simulator.names[target] in NO_DRINK:
            return False
        if action in (Action.PUTBACK, Action.PUTIN, Action.PUTOBJBACK) and is_alive(simulator, target):
            return False
    return True


def is_alive(simulator: Simulator, thing: int) -> bool:
    """Whether a thing is an animal or a person."""
    return simulator.names[thing] in ALIVE or bool(simulator.properties[thing] & PROPERTY_BIT["PERSON"])


def homes(text: str) -> Iterator[Scene]:
    """Homes that have the things a text names, those with most of them first; three at most."""
    words = fold(text)
    names = default_archive().body["kinds"]
    wanted = {name for name, _, _ in names if f" {fold(spoken(name))} " in f" {words} "}
    found = []
    for recording in default_archive().recordings[::3]:
        has = wanted & class_names(recording.key)
        found.append((-len(has), recording.key, recording))
    yield from [recording.scene for _, _, recording in sorted(found, key=lambda item: item[:2])[:3]]


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

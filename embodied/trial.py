"""Trying a plan that a model proposed: it is run in a simulated home, mended, and taken only where it does what was
asked.

What was asked is measured by a plan that is known to work, where there is one. Of a plain order the proposal must take
the ordered step, leave it done, and do little else. Of an activity it must do what every recorded plan must do, half of
the known plan's deeds and half of what they bring about, and with each thing only what people do to it. Without a known
plan it must do what the order's verb says (`chores`). Nothing that a model wrote is handed on: a plan comes back as the
simulator's steps, and a refusal in words of ours.
Boundary: judges plans; `tool` decides what to say instead of a refused one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from embodied.advice import by_activity, does_it, handles, in_place, skeleton
from embodied.chores import done_as_said
from embodied.dangers import sensible
from embodied.deeds import HARMLESS, PREPARING, Deed, alike, deed, deeds, tell, written
from embodied.demands import never
from embodied.errors import GoalError
from embodied.orders import homes
from embodied.plan.goal import Fact, goal_between
from embodied.reading import Memory, leads_nowhere, read_step
from embodied.repair import Reader, Repaired, repair
from embodied.requests import fold, named
from embodied.telling import Advice
from embodied.world.names import is_called
from embodied.world.program import execute, render_line
from embodied.world.scene import INSIDE, ON, RIGHT, STATE, Scene
from embodied.world.simulator import Simulator, Step
from embodied.world.state import State, initial
from embodied.world.vocabulary import STATES, Action

LONGEST_PLAN = 40
"""Steps, as proposed and as mended; more are no advice."""
LONGEST_STEP = 120
"""Characters."""
ENOUGH = 0.5
"""Share of a known plan's telling deeds that a proposal must do, and of what it brings about."""
Group = tuple[int, str, str]
"""Facts of one kind about things of one class: STATE and a state's name, ON or RIGHT (held) and another class."""


def try_out(order: str, proposal: Sequence[str], known: Advice | None = None) -> Advice | str:
    """The proposed plan as it works in a home, or why it was refused, such as `did not work`."""
    told = [step.strip() for step in proposal if step.strip()]
    if not told:
        return "had no steps"
    if len(told) > LONGEST_PLAN or max(map(len, told)) > LONGEST_STEP:
        return "was too long"
    why = "did not work"
    for scene in [known.scene] if known else homes(" ".join([order, *told])):
        simulator, memory = Simulator(scene), Memory()
        # Read step by step: names mean what is at hand when the step is due.
        kept = [step for step in told if not leads_nowhere(step, simulator)]
        readers: list[Step | Reader] = [partial(read_sentence, step, simulator, memory) for step in kept]
        plan = repair(simulator, readers)
        if not isinstance(plan, Repaired) or not 0 < len(plan.steps) <= LONGEST_PLAN:
            continue
        if not sensible(simulator, plan.steps) or not does(order, scene, plan, known):
            why = "did not do what was asked"
            continue
        origin = f"plan proposed by the model{', mended' if plan.changes or kept != told else ''}"
        return Advice(order, scene, plan, initial(scene), origin)
    return why


def read_sentence(sentence: str, simulator: Simulator, memory: Memory, state: State) -> Step:
    """`read_step`, with the state last."""
    return read_step(sentence, simulator, state, memory)


def does(order: str, scene: Scene, plan: Repaired, known: Advice | None) -> bool:
    """Whether a plan that runs does what the order asks for, and nothing with things that have no part in it."""
    done = deeds(plan.steps, scene)
    lines = tuple(render_line(step, scene) for step in plan.steps)
    if not in_place(order, scene, plan.steps):
        return False
    if known is None:
        handled = handles(skeleton(lines), named(order)) and not never().avoided(map(tell, done))
        return handled and done_as_said(order, scene, plan.steps)
    wanted = deeds(known.plan.steps, scene)
    if known.ordered:
        about = {name for _, names in wanted for name in names}
        taken = deed(known.ordered, scene) in [deed(step, scene) for step in plan.steps]
        return taken and lasts(known, plan.end) and all(
            each in wanted or each[0] in PREPARING or (each[0] in HARMLESS and {*each[1]} <= about) for each in done
        )  # fmt: skip
    # A computer that is on already need not be switched on, but the plan must have thought of it.
    meant = (*plan.steps, *plan.already)
    lines = tuple(render_line(step, scene) for step in meant)
    done = deeds(meant, scene)
    if not does_it(order, lines) or not keeps_to(done, customs(known.activity, wanted), order, scene):
        return False
    telling = {alike(each) for each in wanted if each[0] not in PREPARING} or {*map(alike, wanted)}
    brought = brings_about(known, plan.end)
    return min(len(telling & {*map(alike, done)}) / len(telling), 1.0 if brought is None else brought) >= ENOUGH


def lasts(known: Advice, end: State) -> bool:
    """Whether what the ordered step brings about still holds at the end of another plan: milk that was put into the
    fridge is there, and was not taken out and drunk.
    """
    at = known.plan.steps.index(known.ordered) if known.ordered else -1
    before, after = (execute(Simulator(known.scene), known.plan.steps[:done]).state for done in (at, at + 1))
    try:
        facts = goal_between(before, after).facts
    except GoalError:
        return True
    return all(count(each, end) >= count(each, known.plan.end) for each in {group(fact, known.scene) for fact in facts})


def customs(activity: str, wanted: Sequence[Deed]) -> set[tuple[Action, str]]:
    """What people do to which things when they do an activity, and what `wanted` does; actions by their family."""
    recorded = [done for recording in by_activity(activity) for done, _ in written(recording.lines)]
    return {(action, name) for action, names in map(alike, (*wanted, *recorded)) for name in names}


def keeps_to(done: Sequence[Deed], usual: set[tuple[Action, str]], order: str, scene: Scene) -> bool:
    """Whether each deed is one that people do to each of its things, the place where a thing goes included: coffee
    goes into the coffee maker and not into the toilet. To a thing of the order that nobody used they may do what they
    do to others.
    """
    known, actions = {name for _, name in usual}, {action for action, _ in usual}

    def part(action: Action, name: str) -> bool:
        return (action, name) in usual if name in known else action in actions and is_named(order, scene, name)

    others = [each for each in done if each[0] not in PREPARING and not (each[0] in HARMLESS and {*each[1]} <= known)]
    return all(part(action, name) for action, names in map(alike, others) for name in names)


def brings_about(known: Advice, end: State) -> float | None:
    """The share that `end` has of what a known plan brings about, things of one class being worth the same; None where
    that leaves nothing to compare.

    Where the person ends up does not count, and no place of things that such things had at the start: ground coffee is
    in the coffee maker before anybody makes coffee.
    """
    scene, me = known.scene, known.scene.character
    try:
        facts = goal_between(known.start, known.plan.end).facts
    except GoalError:
        return None
    wanted = Counter(group(fact, scene) for fact in facts if not (fact.kind in (ON, INSIDE) and fact.node == me))
    before = {each: count(each, known.start) for each in wanted}
    left = {each: number for each, number in wanted.items() if each[0] == STATE or before[each] < number}
    got = sum(min(number, max(0, count(each, end) - before[each])) for each, number in left.items())
    return got / sum(left.values()) if left else None


def group(fact: Fact, scene: Scene) -> Group:
    """The group of a fact; being on a place and in it are one, because recordings put things "on" what holds them."""
    thing = scene.nodes[fact.node].name
    if fact.kind == STATE:
        return STATE, thing, STATES[fact.bit.bit_length() - 1]
    return RIGHT if fact.kind == RIGHT else ON, thing, scene.nodes[fact.other].name


def count(of: Group, state: State) -> int:
    """How many things of a class are as a group says."""
    kind, thing, other = of
    scene = state.scene
    if kind == STATE:
        return sum(state.has(i, other) for i in scene.by_name[thing])
    if kind == RIGHT:
        return sum(scene.nodes[i].name == other for i in state.holding())
    places = sum(1 << i for i in scene.by_name[other])
    return sum(bool((state.row(ON, i) | state.row(INSIDE, i)) & places) for i in scene.by_name[thing])


def is_named(order: str, scene: Scene, name: str) -> bool:
    """Whether an order names the things of a class."""
    node, words = scene.nodes[scene.by_name[name][0]], fold(order).split()
    said = {*words, *map(" ".join, pairwise(words))}
    return f" {fold(node.spoken)} " in f" {' '.join(words)} " or any(is_called(node, each) for each in said)

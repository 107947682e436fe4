"""Trying a plan that a model proposed: it is run in a simulated home, mended, and taken only where it does what was
asked.

What was asked is measured by a plan that is known to work, where there is one: the proposal must take the ordered step,
or one of the known plan's steps and bring about half of what that brings about. Without one, it must handle what the
order names. Nothing that a model wrote is handed on: a plan comes back as the simulator's steps, and a refusal in words
of ours.
Boundary: judges plans; `tool` decides what to say instead of a refused one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from embodied.advice import GOING, Advice, by_activity, handles, homes, sensible, skeleton
from embodied.errors import GoalError
from embodied.plan.goal import Fact, goal_between
from embodied.reading import Memory, leads_nowhere, read_step
from embodied.repair import Reader, Repaired, repair
from embodied.requests import fold, named
from embodied.world.names import is_called
from embodied.world.program import render_line
from embodied.world.scene import INSIDE, ON, RIGHT, STATE, Scene
from embodied.world.simulator import Simulator, Step
from embodied.world.state import State, initial
from embodied.world.vocabulary import STATES, Action

LONGEST_PLAN = 40
"""Steps, as proposed and as mended; more are no advice."""
LONGEST_STEP = 120
"""Characters."""
ENOUGH = 0.5
"""Share of what a known plan brings about that a proposal must bring about."""
PREPARING = frozenset(
    {Action.GRAB, Action.DROP, Action.OPEN, Action.CLOSE, Action.PLUGIN, Action.SIT, Action.LIE, Action.PUTOBJBACK}
)
"""Deeds that any plan may need; all others must be with things that the request is about."""

Deed = tuple[Action, tuple[str, ...]]
"""What is done to things of which classes."""
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
    things = {name for _, names in done for name in names}
    about = {name for name in things if is_named(order, scene, name)}
    if known is None:
        acts = any(action not in PREPARING and about & {*names} for action, names in done)
        touched = skeleton(tuple(render_line(step, scene) for step in plan.steps))
        return acts and handles(touched, named(order)) and keeps_to(done, about)
    wanted = deeds(known.plan.steps, scene)
    about |= {name for _, names in wanted for name in names}
    if known.ordered:
        return deed(known.plan.steps[-1], scene) in [deed(step, scene) for step in plan.steps] and keeps_to(done, about)
    about |= {name for recording in by_activity(known.activity) for name, _ in skeleton(recording.lines)}
    if not keeps_to(done, about):
        return False
    telling = {each for each in wanted if each[0] not in PREPARING} or {*wanted}
    shared = telling & {*done}
    if not shared:
        return False
    brought = brings_about(known, plan.end)
    return (len(shared) / len(telling) if brought is None else brought) >= ENOUGH


def keeps_to(done: Sequence[Deed], about: set[str]) -> bool:
    """Whether every deed is with things that a plan is about. What such a thing is put on, in or into is one of them
    from then on: milk for the pot, the pot for the oven, and so the oven.
    """
    about = set(about)
    for _ in done:
        about |= {place for _, names in done if names and names[0] in about for place in names[1:]}
    return all(names[0] in about for action, names in done if action not in PREPARING and names)


def deed(step: Step, scene: Scene) -> Deed:
    """A step without saying which of several alike things; putting in and putting on are one."""
    action = Action.PUTBACK if step.action is Action.PUTIN else step.action
    return action, tuple(scene.nodes[i].name for i in (step.target, step.second) if i >= 0)


def deeds(steps: Sequence[Step], scene: Scene) -> list[Deed]:
    """What is done, without going places."""
    return [deed(step, scene) for step in steps if step.action not in GOING]


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

"""Trying a plan that a model proposed: it is run in a simulated home, mended, and taken only where it does what was
asked.

What was asked is measured by a plan that is known to work, where there is one: the proposal must take the ordered step,
or bring about half of what the known plan brings about. Without one, it must handle what the order names. Nothing that
a model wrote is handed on: a plan comes back as the simulator's steps, and a refusal in words of ours.
Boundary: judges plans; `tool` decides what to say instead of a refused one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from embodied.advice import SILENT, Advice, by_activity, homes, skeleton
from embodied.archive import default_archive
from embodied.errors import GoalError
from embodied.evaluate.metrics import reached_alike
from embodied.plan.goal import Goal, goal_between
from embodied.reading import Memory, find_thing, leads_nowhere, plain, read_step
from embodied.repair import Reader, Repaired, repair
from embodied.requests import CHORES, ELSEWHERE, fold, starts
from embodied.world.names import is_called
from embodied.world.scene import INSIDE, Node, Scene
from embodied.world.simulator import Simulator, Step
from embodied.world.state import State, initial
from embodied.world.vocabulary import Action

LONGEST_PLAN = 40
"""Steps, as proposed and as mended; more are no advice."""
LONGEST_STEP = 120
"""Characters."""
ENOUGH = 0.5
"""Share of what a known plan brings about that a proposal must bring about."""
GOING = SILENT | {Action.WALK, Action.RUN, Action.STANDUP}
"""Steps that lead to a deed and are none."""
PREPARING = frozenset(
    {Action.GRAB, Action.DROP, Action.OPEN, Action.CLOSE, Action.PLUGIN, Action.SIT, Action.LIE, Action.PUTOBJBACK}
)
"""Deeds that any plan may need; all others must be with things that the request is about."""

Deed = tuple[Action, tuple[str, ...]]
"""What is done to things of which classes."""


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
        if not does(order, scene, plan, known):
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
        return acts and keeps_to(done, about)
    wanted = deeds(known.plan.steps, scene)
    about |= {name for _, names in wanted for name in names}
    if known.ordered:
        return deed(known.plan.steps[-1], scene) in [deed(step, scene) for step in plan.steps] and keeps_to(done, about)
    about |= {name for recording in by_activity(known.activity) for name, _ in skeleton(recording.lines)}
    if not keeps_to(done, about):
        return False
    if goal := lasting(known):
        return reached_alike(goal, plan.end) >= ENOUGH
    return bool(wanted) and len({*wanted} & {*done}) >= ENOUGH * len({*wanted})


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


def lasting(known: Advice) -> Goal | None:
    """What a known plan brings about, apart from where the person ends up; None where nothing lasts."""
    me = known.scene.character
    try:
        facts = goal_between(known.start, known.plan.end).facts
        return Goal(known.scene, tuple(f for f in facts if not (f.kind == INSIDE and f.node == me)))
    except GoalError:
        return None


def is_named(order: str, scene: Scene, name: str) -> bool:
    """Whether an order names the things of a class."""
    node, words = scene.nodes[scene.by_name[name][0]], fold(order).split()
    said = {*words, *map(" ".join, pairwise(words))}
    return f" {fold(node.spoken)} " in f" {' '.join(words)} " or any(is_called(node, each) for each in said)


def is_household(order: str) -> bool:
    """Whether an order is to do something with a thing that homes hold."""
    words = fold(order)
    if ELSEWHERE.search(order) or not any(starts(words, chore) for chore in CHORES):
        return False
    scene = default_archive().base_scene
    if any(f" {fold(Node(0, kind).spoken)} " in f" {words} " for kind, _, _ in default_archive().body["kinds"]):
        return True
    return find_thing(Simulator(scene), initial(scene), plain(order)) is not None

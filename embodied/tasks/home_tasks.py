"""Questions about activities and plans to write, from the recorded programs and from searched plans.

Boundary: asks; `second_opinion` reads each question about an activity again, `verify` runs each plan. What an activity
needs is in `housework`.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from functools import lru_cache

from embodied.archive import Recording, default_archive
from embodied.errors import GoalError
from embodied.homes import generate_home
from embodied.plan.goal import Goal, goal_between
from embodied.plan.mcts import search
from embodied.plan.sample import sample_goal
from embodied.splits import Split, home_seeds
from embodied.tasks.housework import alike, said, table, things_used
from embodied.tasks.item import Item, choose
from embodied.wording import join, name, say_goal, say_steps
from embodied.world.program import execute, render_line
from embodied.world.scene import Node
from embodied.world.simulator import Simulator
from embodied.world.state import initial

RECOGNISE = ("Which activity is this?", "What is being done here?", "What do these steps amount to?")
INFER = ("Which activity was done?", "What has somebody done here?")
PLAN = (
    "Write a plan to {0}, one step a line.",
    "How do you {0}? Answer with numbered steps.",
    "Task: {0}. Give the steps.",
)
AT_HOME = "At home you have: "
"""Stands before the things that a plan may be about."""


def others_for(rng: random.Random, recording: Recording, pool: Sequence[Recording], things: set[str]) -> list[str]:
    """Three wrong activities for a recording, drawn from the pool's recordings as the right one is: none alike to it,
    and none of which somebody's program has all of the `things`.
    """
    gone = {*alike("activities", recording.activity)}
    gone |= {r.activity for r in default_archive().recordings if things and things <= things_of(r.key)}
    found: list[str] = []
    for other in rng.sample(list(pool), len(pool)):
        if other.activity not in gone and len(found) < 3:
            found.append(said(other.activity))
            gone.add(other.activity)
    return found


@lru_cache(maxsize=600)
def things_of(key: str) -> frozenset[str]:
    """The things that a recording's program names, without rooms and what is used everywhere."""
    recording = next(r for r in default_archive().recordings if r.key == key)
    named = {Node(0, thing).spoken for line in recording.lines for thing in re.findall(r"<([^<>]+)>", line)}
    return frozenset(named & set(things_used()[recording.activity])) - set(table()["everywhere"])


def recognition(rng: random.Random, recording: Recording, pool: Sequence[Recording], split: Split) -> Item | None:
    """Which activity do these steps belong to?"""
    others = others_for(rng, recording, pool, set(things_of(recording.key)))
    chosen = choose(rng, said(recording.activity), others)
    if chosen is None or not recording.program.steps:
        return None
    text = "\n".join(say_steps(recording.program.steps, recording.scene))
    return Item(
        id=f"activity_recognition-{split}-{recording.key}", family="activity_recognition", split=split,
        prompt=f"{text}\nQuestion: {rng.choice(RECOGNISE)}", choices=chosen[0], answer=chosen[1],
        gold=chosen[0][chosen[1]], world={"recording": recording.key},
    )  # fmt: skip


@lru_cache(maxsize=600)
def achieved(key: str) -> Goal | None:
    """What a recording's program changes; None where it fails or changes nothing that lasts."""
    recording = next(r for r in default_archive().recordings if r.key == key)
    outcome = execute(Simulator(recording.scene), recording.program.steps)
    try:
        return goal_between(initial(recording.scene), outcome.state) if outcome.ok else None
    except GoalError:
        return None


def inference(rng: random.Random, recording: Recording, pool: Sequence[Recording], split: Split) -> Item | None:
    """Which activity leads to this end? Wrong choices never have all the things that the end is about."""
    goal = achieved(recording.key)
    if goal is None:
        return None
    told = {recording.scene.nodes[fact.node].spoken for fact in goal.facts if fact.node != recording.scene.character}
    told |= {recording.scene.nodes[fact.other].spoken for fact in goal.facts if fact.kind != 0}
    rooms = {recording.scene.nodes[i].spoken for i in range(len(recording.scene)) if recording.scene.rooms >> i & 1}
    told -= rooms | {"character"}
    if not told:
        return None
    able = [r for r in pool if not told <= set(things_used()[r.activity])]
    chosen = choose(rng, said(recording.activity), others_for(rng, recording, able, set()))
    if chosen is None:
        return None
    return Item(
        id=f"activity_inference-{split}-{recording.key}", family="activity_inference", split=split,
        prompt=f"Now {say_goal(goal)}.\nQuestion: {rng.choice(INFER)}", choices=chosen[0], answer=chosen[1],
        gold=chosen[0][chosen[1]], world={"recording": recording.key},
    )  # fmt: skip


def plan_item(rng: random.Random, recording: Recording, family: str, split: Split, variant: int = 0) -> Item | None:
    """Write a plan for an activity; with "confusing" in the family's name, things of no use are listed as well.

    The things are listed in no order that means anything: the order in which a plan uses them would tell half of it.
    Each `variant` has an order of its own.
    """
    scene, steps = recording.scene, recording.program.steps
    if not steps or not execute(Simulator(scene), steps).ok:
        return None
    used = list(dict.fromkeys(name(scene, i) for s in steps for i in (s.target, s.second) if i >= 0))
    if "confusing" in family:
        ever = set(things_used()[recording.activity])
        spare = sorted({node.spoken for node in scene.nodes if "GRABBABLE" in node.properties} - ever)
        used += rng.sample(spare, min(5, len(spare)))
        rng.shuffle(used)
    else:
        # By a generator of its own, so that all that `rng` draws stays as it was.
        random.Random(f"{recording.activity}: {join(used)}{variant or ''}").shuffle(used)
    here = initial(scene).room(scene.character)
    context = f"You are in the {name(scene, here)}. {AT_HOME}{join(used)}." if here is not None else ""
    goal = achieved(recording.key)
    return Item(
        id=f"{family}-{split}-{recording.key}{f'-{variant}' if variant else ''}", family=family, split=split,
        prompt=f"{context}\n{rng.choice(PLAN).format(said(recording.activity))}",
        gold="\n".join(say_steps(steps, scene)),
        world={
            "recording": recording.key,
            "program": [render_line(step, scene) for step in steps],
            "goal": goal.describe() if goal else [],
        },
    )  # fmt: skip


def searched_plan(rng: random.Random, number: int, split: Split) -> Item | None:
    """Write a plan for a sampled goal in a generated home; the gold plan was found by search."""
    seed = home_seeds(split)[number]
    simulator = Simulator(generate_home(seed))
    goal = sample_goal(simulator, seed)
    found = search(simulator, goal)
    if not found.ok or not found.plan:
        return None
    scene = simulator.scene
    here = initial(scene).room(simulator.me)
    where = f"You are in the {name(scene, here)}." if here is not None else ""
    return Item(
        id=f"plan_generation-{split}-home-{seed}", family="plan_generation", split=split,
        prompt=f"{where}\n{rng.choice(PLAN).format('see to it that ' + say_goal(goal))}",
        gold="\n".join(say_steps(found.plan, scene)),
        world={"home": seed, "program": [render_line(s, scene) for s in found.plan], "goal": goal.describe()},
    )  # fmt: skip

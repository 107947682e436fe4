"""Questions about activities and plans to write, from the recorded programs and from searched plans.

Boundary: asks; `verify` checks each item against the recordings or by running its program.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from embodied.archive import Recording, default_archive
from embodied.errors import GoalError
from embodied.homes import generate_home
from embodied.plan.goal import Goal, goal_between
from embodied.plan.mcts import search
from embodied.plan.sample import sample_goal
from embodied.splits import EVAL_ACTIVITIES, Split, home_seeds
from embodied.tasks.item import Item, choose
from embodied.wording import join, name, say_goal, say_steps
from embodied.world.program import execute, render_line
from embodied.world.scene import Node
from embodied.world.simulator import Simulator
from embodied.world.state import initial
from embodied.world.vocabulary import ROOM_CATEGORY

NEED = ("Which of these do you need to {0}?", "You want to {0}. Which of these things will you use?")
NEED_NOT = ("Which of these do you not need to {0}?", "You want to {0}. Which of these things is of no use for it?")
RECOGNISE = ("Which activity is this?", "What is being done here?", "What do these steps amount to?")
INFER = ("Which activity was done?", "What has somebody done here?")
PLAN = (
    "Write a plan to {0}, one step a line.",
    "How do you {0}? Answer with numbered steps.",
    "Task: {0}. Give the steps.",
)


SAID = {
    "Browse internet": "browse the internet",
    "Change TV channel": "change the TV channel",
    "Cook some food": "cook some food",
    "Drink": "drink something",
    "Go to toilet": "go to the toilet",
    "Pet cat": "pet the cat",
    "Pick up phone": "pick up the phone",
    "Put groceries in Fridge": "put groceries in the fridge",
    "Read book": "read a book",
    "Relax on sofa": "relax on the sofa",
    "Set up table": "set up the table",
    "Take shower": "take a shower",
    "Turn on light": "turn on the light",
    "Wash dishes with dishwasher": "wash dishes with the dishwasher",
}


def said(activity: str) -> str:
    """An activity within a sentence."""
    return SAID.get(activity) or activity[:1].lower() + activity[1:]


@lru_cache(maxsize=1)
def things_used() -> dict[str, Counter[str]]:
    """Per activity, in how many recordings each thing occurs; rooms are left out."""
    rooms = {Node(0, kind, category).spoken for kind, category, _ in default_archive().body["kinds"]
             if category == ROOM_CATEGORY}  # fmt: skip
    found: dict[str, Counter[str]] = {}
    for recording in default_archive().recordings:
        names = {Node(0, thing).spoken for line in recording.lines for thing in re.findall(r"<([^<>]+)>", line)}
        found.setdefault(recording.activity, Counter()).update(names - rooms)
    return found


def typical_things(activity: str) -> list[str]:
    """Things in at least a fifth of an activity's recordings, the commonest first."""
    used = things_used()[activity]
    runs = sum(r.activity == activity for r in default_archive().recordings)
    return [thing for thing, count in used.most_common() if count >= max(1, runs / 5)]


def housework(
    rng: random.Random, number: int, activities: Sequence[str], *, negated: bool, split: Split
) -> Item | None:
    """What an activity needs, or does not need."""
    activity = activities[number % len(activities)]
    typical, ever = typical_things(activity), set(things_used()[activity])
    foreign = sorted({t for other in activities if other != activity for t in typical_things(other)} - ever)
    family = "negated_housework_qa" if negated else "housework_qa"
    if negated:
        if len(typical) < 3 or not foreign:
            return None
        chosen = choose(rng, rng.choice(foreign), rng.sample(typical[:8], 3))
    else:
        if not typical:
            return None
        chosen = choose(rng, rng.choice(typical[:4]), foreign)
    if chosen is None:
        return None
    question = rng.choice(NEED_NOT if negated else NEED).format(said(activity))
    return Item(
        id=f"{family}-{split}-{number}", family=family, split=split, prompt=f"Question: {question}", choices=chosen[0],
        answer=chosen[1], gold=chosen[0][chosen[1]], world={"activity": activity},
    )  # fmt: skip


def recognition(rng: random.Random, recording: Recording, activities: Sequence[str], split: Split) -> Item | None:
    """Which activity do these steps belong to?"""
    chosen = choose(rng, said(recording.activity), [said(a) for a in activities])
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


def inference(rng: random.Random, recording: Recording, activities: Sequence[str], split: Split) -> Item | None:
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
    others = [a for a in activities if not told <= set(things_used()[a])]
    chosen = choose(rng, said(recording.activity), [said(a) for a in others if a != recording.activity])
    if chosen is None:
        return None
    return Item(
        id=f"activity_inference-{split}-{recording.key}", family="activity_inference", split=split,
        prompt=f"Now {say_goal(goal)}.\nQuestion: {rng.choice(INFER)}", choices=chosen[0], answer=chosen[1],
        gold=chosen[0][chosen[1]], world={"recording": recording.key},
    )  # fmt: skip


def plan_item(rng: random.Random, recording: Recording, family: str, split: Split) -> Item | None:
    """Write a plan for an activity; with "confusing" in the family's name, things of no use are listed as well."""
    scene, steps = recording.scene, recording.program.steps
    if not steps or not execute(Simulator(scene), steps).ok:
        return None
    used = list(dict.fromkeys(name(scene, i) for s in steps for i in (s.target, s.second) if i >= 0))
    if "confusing" in family:
        ever = set(things_used()[recording.activity])
        spare = sorted({node.spoken for node in scene.nodes if "GRABBABLE" in node.properties} - ever)
        used += rng.sample(spare, min(5, len(spare)))
        rng.shuffle(used)
    here = initial(scene).room(scene.character)
    context = f"You are in the {name(scene, here)}. At home you have: {join(used)}." if here is not None else ""
    goal = achieved(recording.key)
    return Item(
        id=f"{family}-{split}-{recording.key}", family=family, split=split,
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


def train_activities() -> list[str]:
    """Activities that training may be about."""
    return sorted({r.activity for r in default_archive().recordings} - EVAL_ACTIVITIES)

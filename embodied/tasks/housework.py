"""What the recorded activities use, and questions about what an activity needs.

A thing is needed where at least half of an activity's recordings use it, and of no use where none uses it, none of
the activities alike to it does, and nothing that it could stand for is used. `data/alike.yaml` says what is alike.
Boundary: asks; `second_opinion` checks each item by running the programs and by what people wrote about them.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from embodied.archive import default_archive
from embodied.requests import fold
from embodied.splits import Split
from embodied.tasks.item import Item, choose
from embodied.world.scene import Node
from embodied.world.vocabulary import ROOM_CATEGORY

ALIKE = Path(__file__).parent.parent / "data" / "alike.yaml"
NEEDED = 1 / 2
"""Least share of an activity's recordings that use a thing which the activity needs."""
USED = 1 / 4
"""The same for a thing that is not "of no use", in questions which ask for the one that is."""
FEWEST = 5
"""Recordings that an activity needs for its shares to mean anything."""
NEED = ("Which of these do you need to {0}?", "You want to {0}. Which of these things will you use?")
NEED_NOT = ("Which of these do you not need to {0}?", "You want to {0}. Which of these things is of no use for it?")
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
def table() -> Mapping[str, Any]:
    """The table of what is alike."""
    return yaml.safe_load(ALIKE.read_text())


def alike(kind: str, name: str) -> set[str]:
    """The activities or things alike to one, itself included."""
    return {name}.union(*(row for row in table()[kind] if name in row))


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


@lru_cache(maxsize=100)
def used_by(activity: str, share: float) -> list[str]:
    """The things that a question may offer as needed: in at least `share` of the activity's recordings, not named by
    the activity itself, not used everywhere. By name.
    """
    runs = sum(recording.activity == activity for recording in default_archive().recordings)
    if runs < FEWEST:
        return []
    words = {*fold(said(activity)).split(), *fold(activity).split()}
    return sorted(
        thing
        for thing, count in things_used()[activity].items()
        if count >= share * runs and not words & set(fold(thing).split()) and thing not in table()["everywhere"]
    )


@lru_cache(maxsize=10_000)
def of_no_use(activity: str, thing: str) -> bool:
    """Whether an activity can do without a thing, and without all that it could stand for."""
    ever = {used for other in alike("activities", activity) for used in things_used().get(other, ())}
    words = set(fold(said(activity)).split())
    return not alike("things", thing) & ever and not words & set(fold(thing).split())


def housework(
    rng: random.Random, number: int, activities: Sequence[str], *, negated: bool, split: Split
) -> Item | None:
    """What an activity needs, or does not need."""
    share, least = (USED, 3) if negated else (NEEDED, 1)
    asked = groups([activity for activity in activities if len(used_by(activity, share)) >= least])
    activity = rng.choice(asked[number % len(asked)])
    needed, useless = used_by(activity, share), needed_elsewhere(rng, activity, asked, share)
    right, wrong = (useless, needed) if negated else (needed, useless)
    chosen = choose(rng, rng.choice(right), wrong) if right else None
    if chosen is None:
        return None
    family = "negated_housework_qa" if negated else "housework_qa"
    question = rng.choice(NEED_NOT if negated else NEED).format(said(activity))
    return Item(
        id=f"{family}-{split}-{number}", family=family, split=split, prompt=f"Question: {question}", choices=chosen[0],
        answer=chosen[1], gold=chosen[0][chosen[1]], world={"activity": activity},
    )  # fmt: skip


def groups(activities: Sequence[str]) -> list[list[str]]:
    """Activities with their alike ones, each in its first row of the table, so that what three alike activities need
    is not three times as common in the questions.
    """
    rows: dict[str, list[str]] = {}
    for activity in activities:
        row = next((row for row in table()["activities"] if activity in row), [activity])
        rows.setdefault(row[0], []).append(activity)
    return list(rows.values())


def needed_elsewhere(rng: random.Random, activity: str, asked: Sequence[Sequence[str]], share: float) -> list[str]:
    """Three things of no use here, drawn as needed things are: an activity, then one of its things. So no thing is
    more often the one than the other.
    """
    found: list[str] = []
    for _ in range(60):
        thing = rng.choice(used_by(rng.choice(rng.choice(asked)), share))
        if len(found) < 3 and thing not in found and of_no_use(activity, thing):
            found.append(thing)
    return found

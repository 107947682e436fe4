"""Which activities and which homes are for training and which are for evaluation, with what both would hold left
out of training.

Activities are split by name, homes by seed, so an evaluation query can be about an unseen activity, an unseen home,
or both. Boundary: names the splits; `tasks` draws from them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Literal, TypeVar

from embodied.archive import Archive, Recording
from embodied.world.scene import Node

Split = Literal["train", "eval"]
Item = TypeVar("Item")

EVAL_ACTIVITIES = frozenset(
    {"Make coffee", "Wash clothes", "Set up table", "Read book", "Turn on light", "Put groceries in Fridge"}
)
"""Held out whole: no recorded program and no question of training is of them. A goal that is sampled for training from
what can be done in a home may hold a fact that one of them brings about as well, such as a light that is on."""
TRAIN_SEEDS = range(0, 1_000_000)
EVAL_SEEDS = range(1_000_000, 2_000_000)
"""Seeds of generated homes."""


def split_recordings(archive: Archive, split: Split) -> tuple[Recording, ...]:
    """The recordings whose activity belongs to `split`."""
    held_out = split == "eval"
    return tuple(r for r in archive.recordings if (r.activity in EVAL_ACTIVITIES) == held_out)


def seen_recordings(archive: Archive, split: Split) -> tuple[Recording, ...]:
    """Recordings of training activities only, every fifth of each activity kept for evaluation on seen activities.

    Some people wrote the same program: it is on one side whole, with the first of them.
    """
    by_activity: dict[str, int] = {}
    sides: dict[str, bool] = {}
    found = []
    for recording in split_recordings(archive, "train"):
        place = by_activity[recording.activity] = by_activity.get(recording.activity, -1) + 1
        held_out = sides.setdefault(fingerprint(re.sub(r"\([^()]*\)", "", "\n".join(recording.lines))), place % 5 == 4)
        if held_out == (split == "eval"):
            found.append(recording)
    return tuple(found)


def plan_recordings(archive: Archive) -> tuple[Recording, ...]:
    """The recordings of training activities whose plans training may show: no evaluation recording is of the same
    activity with the same things, whatever the wording, the order and the room they start in.
    """
    asked = {setting(recording) for recording in seen_recordings(archive, "eval")}
    return tuple(r for r in seen_recordings(archive, "train") if setting(r) not in asked)


def setting(recording: Recording) -> tuple[str, frozenset[str]]:
    """A recording's activity and the things and rooms that its program names, as they are spoken."""
    named = {Node(0, thing).spoken for line in recording.lines for thing in re.findall(r"<([^<>]+)>", line)}
    return recording.activity, frozenset(named)


def home_seeds(split: Split) -> range:
    """Seeds of the split's generated homes."""
    return TRAIN_SEEDS if split == "train" else EVAL_SEEDS


def fingerprint(text: str) -> str:
    """A query without case, punctuation and spacing, so that near-identical wordings count as one."""
    return re.sub(r"[^a-z0-9]+", " ", text.lower()).strip()


def without_overlap(train: Iterable[Item], evaluation: Iterable[Item], query: Callable[[Item], str]) -> list[Item]:
    """The training items whose query is no evaluation query."""
    asked = {fingerprint(query(item)) for item in evaluation}
    return [item for item in train if fingerprint(query(item)) not in asked]

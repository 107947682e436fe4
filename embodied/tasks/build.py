"""Building task sets: `build_items` for evaluation, `training_records` for finetuning, and their files.

Every item is verified by an independent computation before it is kept; an item on which the two disagree is dropped
and counted, and more than `TOLERATED` of many is an error. Choices are kept fair (`fair`). Training draws from training
activities and homes only, and what evaluation asks too is left out.
Boundary: puts families together; scoring a model is in `embodied.evaluate`.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from embodied.archive import Recording, default_archive
from embodied.collect import read_experience, read_settings
from embodied.errors import TaskError
from embodied.splits import (
    EVAL_ACTIVITIES,
    Split,
    home_seeds,
    plan_recordings,
    seen_recordings,
    split_recordings,
    without_overlap,
)
from embodied.tasks import home_tasks
from embodied.tasks.fair import Balance, Places
from embodied.tasks.housework import housework, said
from embodied.tasks.item import FAMILIES, HOME_FAMILIES, PLAN_FAMILIES, TRAINING_FAMILIES, Item
from embodied.tasks.layout_tasks import LAYOUT_MAKERS
from embodied.tasks.story_tasks import MAKERS
from embodied.tasks.verify import verify

makers = MAKERS | LAYOUT_MAKERS

MAX_TRIES = 100
"""Seeds tried per kept item before a family is called exhausted."""
TOLERATED = 1 / 100
"""Share of a family's items that may fail their verification."""
TOLERATED_AT_HOME = 1 / 5
"""The same for questions about activities: people's programs do not always show what they are for (one "gets some
water" with a napkin), and what they wrote names things that no program uses.
"""
JUDGED_FROM = 30
"""Asked items from which on that share is judged: of fewer, two or three fail by chance, and nothing is to mend."""
PASSES = 4
"""Times that a recorded program is asked about, until it is kept: each time with other choices in evaluation, in other
words in training."""
PLAN_VARIANTS = 6
"""Times that training shows a recorded plan, each time in other words and with its things in another order: searched
plans are in any number, recorded ones are few."""
PER_ACTIVITY = 8
"""Recordings of one activity that are asked about before its further ones, so that no activity is most answers."""


def candidates(family: str, split: Split, seed: int) -> Iterator[Item | None]:
    """Items of one family, one try at a time."""
    archive = default_archive()
    rng = random.Random(f"{family}-{split}-{seed}")
    if family in makers:
        seeds = home_seeds(split)
        for number in range(seeds.start + seed * 10_000, seeds.stop):
            yield makers[family](random.Random(f"{family}-{number}"), number, split)
        return
    if family in ("housework_qa", "negated_housework_qa"):
        activities = sorted({r.activity for r in archive.recordings} - (EVAL_ACTIVITIES if split == "train" else set()))
        for number in range(seed * 10_000, (seed + 1) * 10_000):
            yield housework(rng, number, activities, negated=family.startswith("negated"), split=split)
        return
    if family == "plan_generation":
        yield from plans_for_training(rng, split, seed)
        return
    seen, unseen = seen_recordings(archive, split), split_recordings(archive, "eval")
    if family in PLAN_FAMILIES:
        for recording in shuffled(rng, unseen if "unseen" in family else seen):
            yield home_tasks.plan_item(rng, recording, family, split)
        return
    make = home_tasks.recognition if family == "activity_recognition" else home_tasks.inference
    pool = in_turns(shuffled(rng, seen if split == "train" else (*seen, *unseen)))
    for _ in range(PASSES):
        for recording in pool:
            yield make(rng, recording, pool, split)


def in_turns(recordings: Sequence[Recording]) -> list[Recording]:
    """The first few of each activity before the next few of each."""
    before: Counter[str] = Counter()
    turns = []
    for recording in recordings:
        turns.append(before[recording.activity] // PER_ACTIVITY)
        before[recording.activity] += 1
    return [recording for _, recording in sorted(zip(turns, recordings, strict=True), key=lambda turn: turn[0])]


def plans_for_training(rng: random.Random, split: Split, seed: int) -> Iterator[Item | None]:
    """Recorded plans of training activities and searched plans, in turn."""
    order = shuffled(rng, plan_recordings(default_archive()))
    recorded = ((variant, recording) for variant in range(PLAN_VARIANTS) for recording in order)
    for number in range(seed * 10_000, 900_000):
        for variant, recording in islice(recorded, 1):
            yield home_tasks.plan_item(rng, recording, "plan_generation", split, variant)
        yield home_tasks.searched_plan(rng, number, split)


def new_first(items: Iterator[Item | None], kept: set[str]) -> Iterator[Item | None]:
    """The items whose prompts are not kept yet come before those that only offer other choices."""
    again: list[Item] = []
    for item in items:
        if item is not None and item.prompt in kept:
            again.append(item)
        else:
            yield item
    yield from again


def shuffled(rng: random.Random, pool: Sequence[Recording]) -> list[Recording]:
    """A shuffled copy."""
    return rng.sample(list(pool), len(pool))


def build_family(family: str, split: Split, count: int, *, seed: int = 0) -> list[Item]:
    """Up to `count` verified items of one family, no question with the same choices twice. Raises TaskError for an
    unknown family, or where more items than `TOLERATED` fail their verification, of `JUDGED_FROM` or more.

    Training does not see choices; of its families, only counting has answers few enough to be even in.
    """
    if family not in (*FAMILIES, *TRAINING_FAMILIES):
        raise TaskError(f"unknown task family {family!r}. Use one of {', '.join(FAMILIES)}.")
    found: list[Item] = []
    asked: set[tuple[str, frozenset[str]]] = set()
    failed = tries = 0
    balance, places = Balance(), Places(random.Random(f"places-{family}-{split}-{seed}"))
    fair = split == "eval" or family == "counting"
    kept: set[str] = set()
    for item in new_first(candidates(family, split, seed), kept):
        tries += 1
        if len(found) >= count or tries > count * MAX_TRIES:
            break
        if item is None or (key := (item.prompt, frozenset(item.choices if fair else ()))) in asked:
            continue
        asked.add(key)
        if not verify(item):
            failed += 1
        elif not item.choices or not fair or balance.admits(item):
            found.append(places.put(item) if item.choices else item)
            kept.add(item.prompt)
    tolerated = TOLERATED_AT_HOME if family in HOME_FAMILIES else TOLERATED
    if len(asked) >= JUDGED_FROM and failed > max(1, len(asked) * tolerated):
        raise TaskError(f"{failed} of {len(asked)} {family} items fail their verification. Mend their maker.")
    return found


def build_items(
    split: Split = "eval", count: int = 100, *, families: Sequence[str] = FAMILIES, seed: int = 0
) -> list[Item]:
    """Up to `count` items of each family (recorded plans are fewer)."""
    return [item for family in families for item in build_family(family, split, count, seed=seed)]


def training_records(count: int, *, seed: int = 0) -> list[dict[str, Any]]:
    """Training examples of the four families, `count` of each, as finetuning reads them: {"context", "response",
    "source"}, where the source names the family.

    What evaluation asks too is left out: a plan for the same activity with the same things (`splits`), and a question
    in the same words. Raises TaskError where a held-out activity is among the answers.
    """
    items = [item for family in TRAINING_FAMILIES for item in build_family(family, "train", count, seed=seed)]
    alike = [family for family in TRAINING_FAMILIES if family in FAMILIES]
    items = without_overlap(items, build_items("eval", 100, families=alike), lambda item: item.prompt)
    held_out = {name for activity in EVAL_ACTIVITIES for name in (activity, said(activity))}
    if any(item.gold in held_out for item in items):
        raise TaskError("a held-out activity is among the training answers. Build with `embodied.splits`.")
    records = [{"context": i.messages(), "response": i.gold, "source": f"embodied:{i.family}"} for i in items]
    random.Random(seed).shuffle(records)
    return records


def plan_records(path: Path, *, seed: int = 0) -> list[dict[str, Any]]:
    """Training examples from a file of `groundling collect plans`: every plan that reached its goal.

    Raises CollectError for a file that cannot be read, TaskError for one that holds no plans, or whose homes are kept
    for evaluation.
    """
    rng = random.Random(seed)
    settings = read_settings(path)
    if (kind := settings.get("kind")) != "plans":
        held = "explorations" if kind == "explore" else f"experience of kind {kind!r}"
        raise TaskError(f"{path} holds {held}, no plans to train on. Collect with `groundling collect plans`.")
    if settings.get("split") != "train":
        raise TaskError(f"{path} was collected in evaluation homes. Collect with --split train to train on it.")
    records = []
    for entry in read_experience(path):
        if entry["found"] and entry["plan_text"]:
            where = f"You are in the {room}.\n" if (room := entry.get("room")) else ""  # version 1 has none
            asked = where + rng.choice(home_tasks.PLAN).format(f"see to it that {entry['goal_text']}")
            context = [{"role": "user", "content": asked}]
            response = "\n".join(entry["plan_text"])
            records.append({"context": context, "response": response, "source": "embodied:collected_plan"})
    return records

"""Building task sets: `build_items` for evaluation, `training_records` for finetuning, and their files.

Every item is verified by an independent computation before it is kept; an item on which the two disagree is dropped
and counted, and more than one in a hundred is an error. Training draws from training activities and homes only, and
what evaluation asks too is left out. Boundary: puts families together; scoring a model is in `embodied.evaluate`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from embodied.archive import Recording, default_archive
from embodied.collect import read_experience, read_settings
from embodied.errors import TaskError
from embodied.splits import EVAL_ACTIVITIES, Split, home_seeds, seen_recordings, split_recordings, without_overlap
from embodied.tasks import home_tasks
from embodied.tasks.item import FAMILIES, PLAN_FAMILIES, TRAINING_FAMILIES, Item
from embodied.tasks.story_tasks import MAKERS
from embodied.tasks.verify import verify

MAX_TRIES = 40
"""Seeds tried per kept item before a family is called exhausted."""


def candidates(family: str, split: Split, seed: int) -> Iterator[Item | None]:
    """Items of one family, one try at a time."""
    archive = default_archive()
    rng = random.Random(f"{family}-{split}-{seed}")
    if family in MAKERS:
        seeds = home_seeds(split)
        for number in range(seeds.start + seed * 10_000, seeds.stop):
            yield MAKERS[family](random.Random(f"{family}-{number}"), number, split)
        return
    if family in ("housework_qa", "negated_housework_qa"):
        activities = home_tasks.train_activities() if split == "train" else sorted(home_tasks.things_used())
        for number in range(10_000):
            yield home_tasks.housework(rng, number, activities, negated=family.startswith("negated"), split=split)
        return
    if family == "plan_generation":
        yield from plans_for_training(rng, split, seed)
        return
    activities = home_tasks.train_activities() if split == "train" else sorted(home_tasks.things_used())
    make: dict[str, Callable[[Recording], Item | None]] = {
        "activity_recognition": lambda r: home_tasks.recognition(rng, r, activities, split),
        "activity_inference": lambda r: home_tasks.inference(rng, r, activities, split),
    }
    seen, unseen = seen_recordings(archive, split), split_recordings(archive, "eval")
    if family in PLAN_FAMILIES:
        pool = unseen if "unseen" in family else seen
        for recording in shuffled(rng, pool):
            yield home_tasks.plan_item(rng, recording, family, split)
        return
    for recording in shuffled(rng, seen if split == "train" else (*seen, *unseen)):
        yield make[family](recording)


def plans_for_training(rng: random.Random, split: Split, seed: int) -> Iterator[Item | None]:
    """Recorded plans of training activities and searched plans, in turn."""
    recorded = iter(shuffled(rng, seen_recordings(default_archive(), split)))
    for number in range(seed * 10_000, 900_000):
        recording = next(recorded, None) if number % 2 else None
        if recording is not None:
            yield home_tasks.plan_item(rng, recording, "plan_generation", split)
        yield home_tasks.searched_plan(rng, number, split)


def shuffled(rng: random.Random, pool: Sequence[Recording]) -> list[Recording]:
    """A shuffled copy."""
    return rng.sample(list(pool), len(pool))


def build_family(family: str, split: Split, count: int, *, seed: int = 0) -> list[Item]:
    """Up to `count` verified items of one family, no prompt twice. Raises TaskError for an unknown family, or where
    more than one item in a hundred fails its verification.
    """
    if family not in (*FAMILIES, *TRAINING_FAMILIES):
        raise TaskError(f"unknown task family {family!r}. Use one of {', '.join(FAMILIES)}.")
    found: list[Item] = []
    prompts: set[str] = set()
    failed = tries = 0
    for item in candidates(family, split, seed):
        tries += 1
        if len(found) >= count or tries > count * MAX_TRIES:
            break
        if item is None or item.prompt in prompts:
            continue
        prompts.add(item.prompt)
        if verify(item):
            found.append(item)
        else:
            failed += 1
    if failed > max(1, (len(found) + failed) / 100):
        raise TaskError(f"{failed} of {failed + len(found)} {family} items fail their verification. Mend their maker.")
    return found


def build_items(
    split: Split = "eval", count: int = 100, *, families: Sequence[str] = FAMILIES, seed: int = 0
) -> list[Item]:
    """Up to `count` items of each family (recorded plans are fewer)."""
    return [item for family in families for item in build_family(family, split, count, seed=seed)]


def training_records(count: int, *, seed: int = 0) -> list[dict[str, Any]]:
    """Training examples of the four families, `count` of each, as finetuning reads them: {"context", "response",
    "source"}, where the source names the family.

    An example whose prompt is also an evaluation prompt is left out: two people's programs for one activity can use the
    same things. Raises TaskError where a held-out activity is among the answers.
    """
    items = [item for family in TRAINING_FAMILIES for item in build_family(family, "train", count, seed=seed)]
    items = without_overlap(items, build_items("eval", 100), lambda item: item.prompt)
    held_out = {said for activity in EVAL_ACTIVITIES for said in (activity, home_tasks.said(activity))}
    if any(item.gold in held_out for item in items):
        raise TaskError("a held-out activity is among the training answers. Build with `embodied.splits`.")
    records = [{"context": i.messages(), "response": i.gold, "source": f"embodied:{i.family}"} for i in items]
    random.Random(seed).shuffle(records)
    return records


def plan_records(path: Path, *, seed: int = 0) -> list[dict[str, Any]]:
    """Training examples from a file of `groundling collect plans`: every plan that reached its goal.

    Raises CollectError for a file that cannot be read, TaskError for one whose homes are kept for evaluation.
    """
    rng = random.Random(seed)
    if read_settings(path).get("split") != "train":
        raise TaskError(f"{path} was collected in evaluation homes. Collect with --split train to train on it.")
    records = []
    for entry in read_experience(path):
        if entry["kind"] == "plans" and entry["found"] and entry["plan_text"]:
            asked = rng.choice(home_tasks.PLAN).format(f"see to it that {entry['goal_text']}")
            context = [{"role": "user", "content": asked}]
            response = "\n".join(entry["plan_text"])
            records.append({"context": context, "response": response, "source": "embodied:collected_plan"})
    return records

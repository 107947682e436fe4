"""An independent answer to every question about an activity.

Which activity some steps or an end belong to is read from the question's own words, by how other people's programs of
each offered activity are worded; an end must also be in the stored final home, which another simulator made. What an
activity needs is looked up in what the simulator handled when the programs ran, and in what people wrote about them.
It takes nothing from the makers but the item.
Boundary: whether an item holds; the makers are in `home_tasks` and `housework`.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from functools import lru_cache

from embodied.archive import Recording, default_archive, initial_edges
from embodied.requests import fold
from embodied.tasks.item import Item
from embodied.wording import say_steps
from embodied.world.program import execute
from embodied.world.simulator import Simulator

LEAST_SHARE = 0.2
"""Of an activity's runs that handle a thing, for it to be needed at all."""


def agrees(item: Item) -> bool:
    """Whether the second opinion is the item's answer."""
    if item.family in ("housework_qa", "negated_housework_qa"):
        return needs_agree(item)
    recording = next(r for r in default_archive().recordings if r.key == item.world["recording"])
    if item.family == "activity_inference" and not in_final_home(item, recording):
        return False
    return guess(item, recording) == item.gold


def bare(activity: str) -> str:
    """An activity's name without articles and case."""
    return re.sub(r"\b(?:the|a|something)\b|\s+", "", activity.lower())


@lru_cache(maxsize=1)
def worded() -> dict[str, list[tuple[str, frozenset[str]]]]:
    """Per activity its recordings, as (key, the words of their steps)."""
    found: dict[str, list[tuple[str, frozenset[str]]]] = defaultdict(list)
    for recording in default_archive().recordings:
        told = " ".join(say_steps(recording.program.steps, recording.scene))
        found[bare(recording.activity)].append((recording.key, frozenset(fold(told).split())))
    return found


@lru_cache(maxsize=1)
def common() -> dict[str, float]:
    """Each word's share of all programs."""
    programs = [words for found in worded().values() for _, words in found]
    return {word: count / len(programs) for word, count in Counter(w for words in programs for w in words).items()}


def guess(item: Item, recording: Recording) -> str:
    """The offered activity whose other programs use the question's words most: naive Bayes over words, where a word
    that an activity's few programs lack is as likely as it is elsewhere.
    """
    words = common().keys() & set(fold(item.prompt.partition("\nQuestion:")[0]).split())

    def likelihood(choice: str) -> float:
        others = [told for key, told in worded()[bare(choice)] if key != recording.key]
        counts = {word: sum(word in told for told in others) for word in sorted(words)}
        return sum(math.log((count + common()[word]) / (len(others) + 1)) for word, count in counts.items())

    return max(item.choices, key=likelihood)


def in_final_home(item: Item, recording: Recording) -> bool:
    """Whether each fact that the question tells is of a thing that differs between the stored end and the start."""
    states, edges = recording.stored_final()
    start = {node.id: node for node in recording.scene.nodes}
    changed = {number for number, now in states.items() if now != set(start[number].states)}
    moved = [edge for edge in edges - initial_edges(recording.scene) if edge[1] not in ("CLOSE", "FACING")]
    changed |= {number for a, _, b in moved for number in (a, b)}
    named = {start[number].spoken for number in changed}
    told = item.prompt.partition("\nQuestion:")[0].removeprefix("Now ").rstrip(".")
    facts = re.split(r", | and (?=the |a |another |other |you )", told)
    return all(any(re.search(rf"\b{re.escape(name)}\b", fact) for name in named) or "you are" in fact for fact in facts)


@lru_cache(maxsize=1)
def handled() -> dict[str, list[frozenset[str]]]:
    """Per activity, what each of its programs handled when it ran."""
    found: dict[str, list[frozenset[str]]] = defaultdict(list)
    for recording in default_archive().recordings:
        scene, steps = recording.scene, recording.program.steps
        done = execute(Simulator(scene), steps).done
        found[recording.activity].append(
            frozenset(scene.nodes[i].spoken for step in steps[:done] for i in (step.target, step.second) if i >= 0)
        )
    return found


@lru_cache(maxsize=1)
def written() -> dict[str, str]:
    """Per activity, all that people wrote about their programs."""
    found: dict[str, list[str]] = defaultdict(list)
    for recording in default_archive().recordings:
        found[recording.activity].append(fold(recording.description))
    return {activity: " . ".join(texts) for activity, texts in found.items()}


def needs_agree(item: Item) -> bool:
    """Whether runs and descriptions say of each choice what the item says."""
    activity, negated = item.world["activity"], item.family.startswith("negated")
    runs = handled()[activity]
    for choice in item.choices:
        share = sum(choice in things for things in runs) / len(runs)
        of_use = share >= LEAST_SHARE
        idle = share == 0 and f" {fold(choice)} " not in f" {written()[activity]} "
        if not (of_use if (choice == item.gold) != negated else idle):
            return False
    return True

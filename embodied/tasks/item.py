"""The task item: one question with its gold answer, as it is written, trained on and evaluated."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from embodied.splits import Split

STORY_FAMILIES = (
    "single_supporting_fact",
    "two_supporting_facts",
    "three_supporting_facts",
    "counting",
    "lists",
    "deduction_by_location",
    "path_finding",
    "counting_qa",
    "object_path_tracking",
    "object_location_qa",
)
"""Asked about a story or a description; the first seven are bAbI-like (arXiv 1502.05698)."""
HOME_FAMILIES = ("housework_qa", "negated_housework_qa", "activity_recognition", "activity_inference")
PLAN_FAMILIES = (
    "plan_generation_seen",
    "plan_generation_unseen",
    "plan_generation_confusing",
    "plan_generation_unseen_confusing",
)
"""Answered by writing a plan; all other families are choices."""
FAMILIES = (*STORY_FAMILIES, *HOME_FAMILIES, *PLAN_FAMILIES)
"""The 18 evaluation families."""
TRAINING_FAMILIES = ("plan_generation", "activity_recognition", "counting", "object_path_tracking")
"""The four that experience is trained on (arXiv 2305.10626, section 3.2)."""


class Item(BaseModel):
    """One task. `choices` is empty where a plan is to be written; `answer` is then -1 and `gold` the recorded plan."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    family: str
    split: Split
    prompt: str
    choices: tuple[str, ...] = ()
    answer: int = -1
    gold: str
    world: dict[str, Any] = Field(default_factory=dict, description="What verifies it: home, goal, program.")

    def messages(self) -> list[dict[str, str]]:
        """The conversation that asks it."""
        return [{"role": "user", "content": self.prompt}]


def choose(
    rng: random.Random, gold: str, others: Sequence[str], *, size: int = 4
) -> tuple[tuple[str, ...], int] | None:
    """Shuffled choices with the gold one among them, and its place; None where there are too few others."""
    wrong = sorted(set(others) - {gold})
    if len(wrong) < size - 1:
        return None
    choices = [gold, *rng.sample(wrong, size - 1)]
    rng.shuffle(choices)
    return tuple(choices), choices.index(gold)


def majority_baseline(items: Sequence[Item]) -> float:
    """Accuracy of the better of two blind answers: always one place, or always the commonest answer text."""
    asked = [item for item in items if item.choices]
    if not asked:
        return 0.0
    places = Counter(item.answer for item in asked)
    texts = Counter(item.gold for item in asked)
    return max(places.most_common(1)[0][1], texts.most_common(1)[0][1]) / len(asked)

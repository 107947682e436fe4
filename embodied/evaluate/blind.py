"""Plans from templates, written without a model: what the plans of a family are measured against.

A template reads nothing but the things that the prompt lists, and does the same with each of them.
Boundary: writes plans and scores them; choices have `majority_baseline`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from embodied.evaluate.run import FamilyScores, score_plans
from embodied.tasks.home_tasks import AT_HOME
from embodied.tasks.item import Item

TEMPLATES = (("Find the {0}.", "Grab the {0}."), ("Walk to the {0}.",))
"""Steps for each thing."""


def things_listed(prompt: str) -> list[str]:
    """The things that a prompt says are at home, in its order."""
    listed = prompt.partition(AT_HOME)[2].partition(".\n")[0]
    return re.split(", | and ", listed) if listed else []


def fill(template: Sequence[str], prompt: str) -> str:
    """A template's plan for a prompt, in numbered sentences."""
    sentences = [step.format(thing) for thing in things_listed(prompt) for step in template]
    return "\n".join(f"{i}. {sentence}" for i, sentence in enumerate(sentences, 1))


def best_templates(items: Sequence[Item]) -> FamilyScores:
    """Scores over the plan items of one family, every figure that of the template which is better in it."""
    found = []
    for template in TEMPLATES:
        scores = FamilyScores(items[0].family)
        for item in items:
            score_plans(scores, item, [fill(template, item.prompt)])
        found.append(scores)
    best = FamilyScores(items[0].family, max((scores.scores for scores in found), key=sum))
    for name in found[0].extra:
        best.extra[name] = max((scores.extra[name] for scores in found), key=lambda values: sum(v or 0 for v in values))
    return best

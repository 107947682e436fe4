"""Running a decoder over task items: choices by likelihood, plans by writing them.

How a choice is scored is fixed per family beforehand, never tuned on answers: one-word answers by their log-probability
corrected by the prior (minus that after a question without content, so that common words have no start), answers of
several names by their mean per token, so that longer ones are not behind.
Boundary: scores per item; intervals and tables are in `report`.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from dialog.decoder import Decoder, Sampling
from dialog.dialect import Dialect
from dialog.messages import Message
from dialog.roles import load_role
from embodied.evaluate.likelihood import answer_logprobs
from embodied.evaluate.metrics import rouge_l, run_plan, step_overlap
from embodied.tasks.item import PLAN_FAMILIES, Item
from embodied.tasks.verify import scene_of

Rule = Literal["prior", "mean"]
RULES: dict[str, Rule] = {
    "lists": "mean",
    "path_finding": "mean",
    "object_path_tracking": "mean",
    "object_location_qa": "mean",
}
"""Families whose answers are several names; all other choices are corrected by the prior."""
EMPTY_QUESTION = "Question:"
ROLE = load_role("assistant")
"""The role that finetuning writes its examples in."""
AT_ONCE = 16
"""Items in flight."""
PLAN_TOKENS = 256
"""Room for about 30 steps; the longest tenth of the recorded plans is cut."""


@dataclass
class FamilyScores:
    """Scores of one family, per item: accuracy (0 or 1) for choices, ROUGE-L for plans; `extra` only for plans."""

    family: str
    scores: list[float] = field(default_factory=list)
    extra: dict[str, list[float]] = field(default_factory=dict)

    @property
    def metric(self) -> str:
        return "rouge_l" if self.family in PLAN_FAMILIES else "accuracy"

    def add(self, **values: float | None) -> None:
        """Add an item's further figures; None is left out."""
        for name, value in values.items():
            if value is not None:
                self.extra.setdefault(name, []).append(float(value))


class Asker:
    """Asks one decoder in one dialect."""

    def __init__(self, decoder: Decoder, dialect: Dialect, plan_tokens: int = PLAN_TOKENS) -> None:
        self.decoder, self.dialect, self.plan_tokens = decoder, dialect, plan_tokens
        self.priors: dict[tuple[int, ...], float] = {}

    def prompt(self, text: str) -> list[int]:
        """The ids after which the model answers."""
        return self.dialect.base_prompt([Message(role="user", content=text)], ROLE)

    async def prior(self, answers: Sequence[Sequence[int]]) -> list[float]:
        """Log-probability of answers after a question without content, in nats; each is read once."""
        new = [tuple(a) for a in dict.fromkeys(map(tuple, answers)) if tuple(a) not in self.priors]
        if new:
            read = await answer_logprobs(self.decoder, self.prompt(EMPTY_QUESTION), new)
            self.priors |= {a: float(found.sum()) for a, found in zip(new, read, strict=True)}
        return [self.priors[tuple(answer)] for answer in answers]

    async def choose(self, item: Item) -> int:
        """The place of the choice that the model finds likeliest."""
        answers = [self.dialect.answer_ids(choice) for choice in item.choices]
        read = await answer_logprobs(self.decoder, self.prompt(item.prompt), answers)
        if RULES.get(item.family, "prior") == "mean":
            scores = [float(found.mean()) for found in read]
        else:
            priors = await self.prior(answers)
            scores = [float(found.sum()) - prior for found, prior in zip(read, priors, strict=True)]
        return max(range(len(scores)), key=scores.__getitem__)

    async def write(self, item: Item) -> str:
        """The plan that the model writes, taking the likeliest token each time."""
        sampling = Sampling(
            n=1, temperature=0.0, max_tokens=self.plan_tokens, stop_token_ids=self.dialect.stop_token_ids, seed=0
        )
        samples = await self.decoder.generate(self.prompt(item.prompt), sampling)
        return samples[0].text


async def evaluate(
    decoder: Decoder,
    dialect: Dialect,
    items: Sequence[Item],
    *,
    plan_tokens: int = PLAN_TOKENS,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, FamilyScores]:
    """Score every item; written plans end after `plan_tokens`. Returns scores by family, in the order of the items.

    `AT_ONCE` items are asked at the same time, which engines that batch requests use.
    """
    asker, gate, done = Asker(decoder, dialect, plan_tokens), asyncio.Semaphore(AT_ONCE), itertools.count(1)

    async def ask(item: Item) -> int | str:
        async with gate:
            answer = await (asker.choose(item) if item.choices else asker.write(item))
            progress(next(done))
            return answer

    try:
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(ask(item)) for item in items]
    except* Exception as failures:
        raise failures.exceptions[0] from None
    found: dict[str, FamilyScores] = {}
    for item, answered in zip(items, asked, strict=True):
        scores, answer = found.setdefault(item.family, FamilyScores(item.family)), answered.result()
        if isinstance(answer, str):
            score_plan(scores, item, answer)
        else:
            scores.scores.append(float(answer == item.answer))
    return found


def score_plan(scores: FamilyScores, item: Item, text: str) -> None:
    """Compare a written plan with the recorded one, and run it."""
    scores.scores.append(rouge_l(text, item.gold))
    ran = run_plan(text, scene_of(item), item.world["goal"])
    scores.add(
        lcs=step_overlap(text, item.gold),
        executable=ran.executable,
        steps_done=ran.done,
        goal_success=None if ran.goal is None else ran.goal == 1.0,
        mended_executable=ran.mended,
        mended_goal_success=None if ran.mended_goal is None else ran.mended_goal == 1.0,
    )

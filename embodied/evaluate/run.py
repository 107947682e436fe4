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
from embodied.evaluate.metrics import PlanRun, rouge_l, run_plan, step_overlap
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
TEMPERATURE = 0.8
"""Of the plans that are sampled beside the likeliest one."""
PLAN_TOKENS = 256
"""Room for about 30 steps; the longest tenth of the recorded plans is cut."""


@dataclass
class FamilyScores:
    """Scores of one family, per item: accuracy (0 or 1) for choices, ROUGE-L for plans; `extra` only for plans, None
    where an item has no such figure.
    """

    family: str
    scores: list[float] = field(default_factory=list)
    extra: dict[str, list[float | None]] = field(default_factory=dict)

    @property
    def metric(self) -> str:
        return "rouge_l" if self.family in PLAN_FAMILIES else "accuracy"

    def add(self, **values: float | None) -> None:
        """Add an item's further figures."""
        for name, value in values.items():
            self.extra.setdefault(name, []).append(None if value is None else float(value))


class Asker:
    """Asks one decoder in one dialect."""

    def __init__(
        self, decoder: Decoder, dialect: Dialect, plan_tokens: int = PLAN_TOKENS, plan_samples: int = 1
    ) -> None:
        self.decoder, self.dialect, self.plan_tokens, self.plan_samples = decoder, dialect, plan_tokens, plan_samples
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

    async def write(self, item: Item) -> list[str]:
        """The plans that the model writes: the likeliest token each time, then `plan_samples - 1` sampled ones."""
        prompt = self.prompt(item.prompt)
        likeliest = Sampling(
            n=1, temperature=0.0, max_tokens=self.plan_tokens, stop_token_ids=self.dialect.stop_token_ids, seed=0
        )
        samples = await self.decoder.generate(prompt, likeliest)
        if self.plan_samples > 1:
            drawn = likeliest.model_copy(update={"n": self.plan_samples - 1, "temperature": TEMPERATURE})
            samples += await self.decoder.generate(prompt, drawn)
        return [sample.text for sample in samples]


async def evaluate(
    decoder: Decoder,
    dialect: Dialect,
    items: Sequence[Item],
    *,
    plan_tokens: int = PLAN_TOKENS,
    plan_samples: int = 1,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, FamilyScores]:
    """Score every item; `plan_samples` plans of at most `plan_tokens` are written for each that asks for one.

    Returns scores by family, in the order of the items.

    `AT_ONCE` items are asked at the same time, which engines that batch requests use.
    """
    asker = Asker(decoder, dialect, plan_tokens, plan_samples)
    gate, done = asyncio.Semaphore(AT_ONCE), itertools.count(1)

    async def ask(item: Item) -> int | list[str]:
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
        if isinstance(answer, list):
            score_plans(scores, item, answer)
        else:
            scores.scores.append(float(answer == item.answer))
    return found


def score_plans(scores: FamilyScores, item: Item, texts: Sequence[str]) -> None:
    """Compare the first plan with the recorded one and run it; of several, the home also chooses one by running all."""
    first = texts[0]
    runs = [run_plan(text, scene_of(item), item.world["goal"]) for text in texts]
    scores.scores.append(rouge_l(first, item.gold))
    scores.add(lcs=step_overlap(first, item.gold), steps_done=runs[0].done, **outcomes(runs[0]))
    if len(texts) > 1:
        chosen = min(runs, key=lambda ran: ran.rank)
        scores.add(**{f"chosen_{name}": value for name, value in outcomes(chosen).items()})


def outcomes(ran: PlanRun) -> dict[str, float | None]:
    """What the table says of a plan that was run: success is to run and to bring about the whole goal."""
    return {
        "executable": ran.executable,
        "goal_success": None if ran.goal is None else ran.goal == 1.0,
        "mended_executable": ran.mended,
        "mended_goal_success": None if ran.mended_goal is None else ran.mended_goal == 1.0,
    }

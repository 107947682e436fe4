"""Choices are fair: no shortcut that reads no question does much better than guessing."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import pytest
from numpy.typing import NDArray

from dialog.decoder import DecoderInfo, Sample, Sampling
from dialog.dialect import Dialect
from embodied.evaluate import evaluate
from embodied.tasks import FAMILIES, Item, build_family
from embodied.tasks.fair import Balance, Places
from embodied.tasks.item import PLAN_FAMILIES

CHOICE_FAMILIES = [name for name in FAMILIES if name not in PLAN_FAMILIES]


@lru_cache(maxsize=64)
def family(name: str, seed: int = 0) -> list[Item]:
    return build_family(name, "eval", 40, seed=seed)


def score(items: Sequence[Item], rate: Callable[[Item, str], float]) -> float:
    """The expected accuracy of taking the best rated choice, by lot among equals."""
    total = 0.0
    for item in items:
        rates = {choice: rate(item, choice) for choice in item.choices}
        best = [choice for choice in item.choices if rates[choice] == max(rates.values())]
        total += (item.gold in best) / len(best)
    return total / len(items)


def guessing(items: Sequence[Item]) -> float:
    return sum(1 / len(item.choices) for item in items) / len(items)


def named(item: Item, choice: str) -> bool:
    """Whether the prompt has the choice's words."""
    return f" {choice.lower()} " in "".join(c if c.isalnum() else " " for c in f" {item.prompt.lower()} ")


@pytest.mark.parametrize("name", CHOICE_FAMILIES)
def test_the_right_choice_is_not_given_away_by_being_mentioned(name: str) -> None:
    items = family(name)
    alone = [item for item in items if [choice for choice in item.choices if named(item, choice)] == [item.gold]]
    assert len(alone) / len(items) <= 0.05
    assert score(items, lambda item, choice: named(item, choice)) <= guessing(items) + 0.1
    assert score(items, lambda item, choice: item.prompt.count(choice)) <= guessing(items) + 0.1
    assert score(items, lambda item, choice: item.prompt.rfind(choice)) <= guessing(items) + 0.1


@pytest.mark.parametrize("name", CHOICE_FAMILIES)
def test_no_choice_is_right_by_itself(name: str) -> None:
    """What is right in one draw of a family says little about which choice is right in another."""
    items, other = family(name), family(name, seed=1)
    right = Counter(item.gold for item in other)
    offered = Counter(choice for item in other for choice in item.choices)
    assert score(items, lambda _, choice: right[choice]) <= guessing(items) + 0.15
    assert score(items, lambda _, choice: right[choice] / (offered[choice] or 1)) <= guessing(items) + 0.15
    assert max(Counter(item.answer for item in items).values()) <= len(items) * guessing(items) + 1
    never = Counter(choice for item in items for choice in item.choices if choice not in {i.gold for i in items})
    assert not never or max(never.values()) < 10


class Blind:
    """A model that likes some letters after others and reads nothing else."""

    info = DecoderInfo(engine="blind", model="blind", revision="1", context_length=10_000, vocab_size=256)
    tokenizer = None

    def __init__(self, seed: int) -> None:
        self.likes = np.log(np.random.default_rng(seed).dirichlet(np.ones(256), size=256))

    async def score(self, prompts_ids: Sequence[Sequence[int]], label_ids: Sequence[int]) -> NDArray[np.float32]:
        return np.array([[self.likes[ids[-1], label] for label in label_ids] for ids in prompts_ids], np.float32)

    async def generate(self, prompt_ids: Sequence[int], sampling: Sampling) -> list[Sample]:
        return []

    async def aclose(self) -> None:
        return None


class Letters:
    """A dialect of bytes."""

    stop_token_ids = ()

    def base_prompt(self, messages: Sequence[object], role: object) -> list[int]:
        return list(getattr(messages[-1], "content", "").encode())

    def answer_ids(self, text: str) -> list[int]:
        return list(text.encode())


async def test_a_model_that_reads_nothing_scores_as_guessing() -> None:
    """Neither rule of choosing (mean per token, corrected by the prior) favours a kind of choice: whatever such a
    model prefers is right as often as anything else.
    """
    items = [item for name in CHOICE_FAMILIES for item in family(name)]
    found: dict[str, list[float]] = {name: [] for name in CHOICE_FAMILIES}
    for seed in range(5):
        dialect: Dialect = Letters()  # type: ignore[assignment]
        for name, scores in (await evaluate(Blind(seed), dialect, items)).items():  # type: ignore[arg-type]
            found[name] += scores.scores
    for name, scores in found.items():
        assert abs(np.mean(scores) - guessing(family(name))) <= 0.12, name


def item(choices: str, gold: str, prompt: str = "?") -> Item:
    listed = tuple(choices)
    return Item(
        id="x", family="lists", split="eval", prompt=prompt, choices=listed, answer=listed.index(gold), gold=gold
    )


def test_a_choice_that_is_right_too_often_is_not_taken_in() -> None:
    balance = Balance()
    assert [balance.admits(item("abcd", "a")) for _ in range(3)] == [True, False, False]
    assert [balance.admits(item("abcd", gold)) for gold in "bcda"] == [True] * 4


def test_an_item_that_names_its_answer_is_taken_in_only_beside_others() -> None:
    balance = Balance()
    given = [balance.admits(item(f"abc{i}", str(i), prompt=f"is it {i}?")) for i in range(6)]
    assert given.count(True) <= 2
    assert balance.admits(item("wxyz", "y", prompt="w, x, y or z?"))


def test_every_place_is_right_equally_often() -> None:
    places = Places(random.Random(0))
    put = [places.put(item("abcd", "a")) for _ in range(8)]
    assert Counter(each.answer for each in put) == {0: 2, 1: 2, 2: 2, 3: 2}
    assert all(each.choices[each.answer] == "a" and set(each.choices) == set("abcd") for each in put)

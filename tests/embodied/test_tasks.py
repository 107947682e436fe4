"""The task families: verified gold answers, shuffled choices, and splits apart."""

from __future__ import annotations

import random
from collections import Counter
from functools import lru_cache

import pytest

from embodied.errors import TaskError
from embodied.splits import EVAL_ACTIVITIES, without_overlap
from embodied.tasks import FAMILIES, TRAINING_FAMILIES, Item, build_family, majority_baseline, training_records
from embodied.tasks.home_tasks import said
from embodied.tasks.item import PLAN_FAMILIES, choose
from embodied.tasks.verify import read, verify


@lru_cache(maxsize=32)
def family(name: str) -> list[Item]:
    return build_family(name, "eval", 25)


def test_there_are_eighteen_families() -> None:
    assert len(set(FAMILIES)) == 18
    assert len(TRAINING_FAMILIES) == 4


@pytest.mark.parametrize("name", FAMILIES)
def test_items_are_verified_and_shuffled(name: str) -> None:
    items = family(name)
    assert len(items) == 25
    assert len({item.prompt for item in items}) == 25
    assert all(verify(item) for item in items)
    if name in PLAN_FAMILIES:
        assert all(item.gold.startswith("1. ") and not item.choices for item in items)
        return
    assert all(len(set(item.choices)) == 4 and item.choices[item.answer] == item.gold for item in items)
    assert len({item.answer for item in items}) == 4
    assert majority_baseline(items) <= 0.6


def test_equal_seeds_build_equal_items() -> None:
    assert build_family("lists", "eval", 5) == build_family("lists", "eval", 5)
    assert build_family("lists", "eval", 5) != build_family("lists", "eval", 5, seed=1)


def test_a_wrong_gold_answer_is_found() -> None:
    for name in FAMILIES:
        if name in PLAN_FAMILIES:
            continue
        item = family(name)[0]
        wrong = (item.answer + 1) % len(item.choices)
        assert not verify(item.model_copy(update={"answer": wrong, "gold": item.choices[wrong]})), name


def test_a_plan_that_does_not_run_is_found() -> None:
    item = family("plan_generation_seen")[0]
    assert not verify(item.model_copy(update={"world": item.world | {"program": ["[SLEEP]"]}}))


def test_the_verifying_reader_refuses_what_it_cannot_read() -> None:
    assert read("Anna goes to the kitchen. Anna takes the cup.").thing_room == {"cup": "kitchen"}
    with pytest.raises(TaskError, match="cannot read"):
        read("Anna ponders the cup.")


def test_unseen_plans_are_about_held_out_activities() -> None:
    held_out = {said(activity) for activity in EVAL_ACTIVITIES}
    for name in PLAN_FAMILIES:
        about = [any(activity in item.prompt for activity in held_out) for item in family(name)]
        assert all(about) if "unseen" in name else not any(about)


def test_training_shares_no_prompt_with_evaluation() -> None:
    records = training_records(12)
    assert Counter(r["source"].removeprefix("embodied:") for r in records) == dict.fromkeys(TRAINING_FAMILIES, 12)
    assert {record["context"][0]["role"] for record in records} == {"user"}
    held_out = {said(activity) for activity in EVAL_ACTIVITIES}
    assert not [record for record in records if record["response"] in held_out]
    prompts = [item.prompt for name in FAMILIES for item in family(name)]
    asked = [record["context"][0]["content"] for record in records]
    assert without_overlap(asked, prompts, str) == asked


def test_unknown_families_are_named() -> None:
    with pytest.raises(TaskError, match="unknown task family 'juggling'"):
        build_family("juggling", "eval", 1)


def test_the_majority_baseline_is_the_better_blind_answer() -> None:
    def item(answer: int, gold: str) -> Item:
        choices = tuple(gold if i == answer else f"w{i}" for i in range(4))
        return Item(id="x", family="lists", split="eval", prompt="?", choices=choices, answer=answer, gold=gold)

    assert majority_baseline([item(0, "a"), item(0, "b"), item(1, "c"), item(2, "d")]) == 0.5
    assert majority_baseline([item(0, "a"), item(1, "a"), item(2, "a"), item(3, "b")]) == 0.75
    assert choose(random.Random(0), "a", ["b", "c"]) is None

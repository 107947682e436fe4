"""The task families: verified gold answers, shuffled choices, and splits apart."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import pytest

from embodied.archive import Archive, Recording
from embodied.errors import TaskError
from embodied.evaluate.blind import things_listed
from embodied.plan import goal_from_text
from embodied.splits import EVAL_ACTIVITIES, Split, plan_recordings, seen_recordings, without_overlap
from embodied.tasks import FAMILIES, TRAINING_FAMILIES, Item, build, build_family, majority_baseline, training_records
from embodied.tasks.build import JUDGED_FROM, PLAN_VARIANTS
from embodied.tasks.home_tasks import RECOGNISE, plan_item, things_of
from embodied.tasks.housework import alike, of_no_use, said, table, things_used
from embodied.tasks.item import HOME_FAMILIES, PLAN_FAMILIES, STORY_FAMILIES, choose
from embodied.tasks.verify import read, verify
from embodied.wording import be, say_goal
from embodied.world import Node, Scene, initial


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
    assert len({(item.prompt, frozenset(item.choices)) for item in items}) == 25
    assert all(verify(item) for item in items)
    if name in PLAN_FAMILIES:
        assert all(item.gold.startswith("1. ") and not item.choices for item in items)
        return
    size = 3 if name == "counting" else 4  # two hands hold none, one or two things
    assert all(len(set(item.choices)) == size and item.choices[item.answer] == item.gold for item in items)
    assert len({item.answer for item in items}) == size
    assert majority_baseline(items) <= 0.4


def test_few_questions_are_asked_again_with_other_choices() -> None:
    """Eleven activities have enough things for a question about what is of no use; a family is larger than that."""
    items = build_family("negated_housework_qa", "eval", 80)
    assert len(items) == 80
    assert len({item.prompt for item in items}) < 40
    assert len({(item.prompt, frozenset(item.choices)) for item in items}) == 80


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


@pytest.mark.parametrize("limit", range(1, 6))
def test_a_small_set_is_built_although_some_of_a_few_items_fail(limit: int) -> None:
    for name in HOME_FAMILIES:
        assert [len(build_family(name, "eval", limit, seed=seed)) for seed in (4, 18, 22, 29, 32)] == [limit] * 5


def test_a_maker_whose_items_fail_is_found_at_any_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Failing items are asked again with other seeds, so that a bad maker soon has many of them."""
    monkeypatch.setattr(build, "verify", lambda item: False)
    for name in ("lists", "housework_qa"):
        with pytest.raises(TaskError, match=rf"(\d+) of \1 {name} items fail their verification"):
            build_family(name, "eval", 1)
    rejected = iter([True] * 2 + [False] * 1_000)
    monkeypatch.setattr(build, "verify", lambda item: not next(rejected))
    assert len(build_family("lists", "eval", 10)) == 10  # two of a few are no share
    rejected = iter([True] * 2 + [False] * 1_000)
    with pytest.raises(TaskError, match=r"^2 of \d+ lists items fail"):
        build_family("lists", "eval", JUDGED_FROM)


def test_alike_activities_are_never_offered_together() -> None:
    for name in ("activity_recognition", "activity_inference"):
        for item in build_family(name, "eval", 60):
            activity = next(a for a in things_used() if said(a) == item.gold)
            assert not {said(other) for other in alike("activities", activity)} & (set(item.choices) - {item.gold})


@pytest.mark.parametrize(
    ("activity", "thing"), [("Cook some food", "sink"), ("Browse internet", "laptop"), ("Watch TV", "computer")]
)
def test_what_could_be_used_is_not_called_useless(activity: str, thing: str) -> None:
    assert not of_no_use(activity, thing) or thing in table()["everywhere"]


def test_what_is_used_everywhere_is_never_offered() -> None:
    items = [item for name in ("housework_qa", "negated_housework_qa") for item in build_family(name, "eval", 60)]
    assert not set(table()["everywhere"]) & {choice for item in items for choice in item.choices}


def test_a_thing_is_needed_where_half_of_the_recordings_use_it(archive: Archive) -> None:
    for item in build_family("housework_qa", "eval", 40):
        runs = [r for r in archive.recordings if r.activity == item.world["activity"]]
        used = {
            choice: sum(f"<{choice.replace(' ', '_')}>" in " ".join(r.lines) for r in runs) for choice in item.choices
        }
        assert all(count == 0 for choice, count in used.items() if choice != item.gold)
        assert item.gold not in item.prompt


def test_questions_that_the_second_opinion_answers_otherwise_are_dropped() -> None:
    item = build_family("housework_qa", "eval", 1)[0]
    assert verify(item)
    assert not verify(item.model_copy(update={"world": {"activity": "Pet cat"}}))
    item = build_family("activity_recognition", "eval", 1)[0]
    swapped = item.prompt.replace(item.prompt.partition("\nQuestion")[0], "1. Find the cat. 2. Touch the cat.")
    assert not verify(item.model_copy(update={"prompt": swapped, "choices": ("pet the cat", item.gold), "answer": 1}))


def test_texts_are_grammatical() -> None:
    text = "\n".join(item.prompt for name in FAMILIES for item in family(name))
    for wrong in (
        r"\b(?:socks|pants|shoes|keys|spectacles|pajamas) (?:is|was)\b",
        r"\b(?:is|was) the (?:socks|pants|keys)\b",
    ):
        assert not re.search(wrong, text)
    stories = [item.prompt for name in STORY_FAMILIES for item in build_family(name, "eval", 40)]
    assert not [story for story in stories if story.startswith(("There ", "Then "))]
    assert not re.search(r"(?<=\. )(\w+) (?!goes|walks|moves)[^.]*\. There \1", " ".join(stories))


def test_a_goal_says_nothing_twice(small_home: Scene) -> None:
    nodes = [*small_home.nodes, Node(12, "cup", "Props", ("GRABBABLE",)), Node(13, "socks", "Clothes", ("GRABBABLE",))]
    home = Scene.build([*nodes, Node(14, "socks", "Clothes", ("GRABBABLE",))], initial(small_home).edges())
    goal = goal_from_text(["ON(cup.7, bed)", "ON(cup.12, bed)", "ON(socks.13, bed)", "ON(socks.14, bed)"], home)
    assert say_goal(goal) == (
        "the cup is on the bed, a second cup is on the bed, the socks are on the bed and other socks are on the bed"
    )


def test_every_plural_word_is_known_as_one(archive: Archive) -> None:
    names = {Node(0, kind).spoken for kind, _, _ in archive.body["kinds"]}
    plural = {name for name in names if name.endswith("s") and not name.endswith("ss")} | {"teeth"}
    assert {name for name in names if be(name) == "are"} == plural - {"deck of cards"}


def test_the_verifying_reader_refuses_what_it_cannot_read() -> None:
    assert read("Anna goes to the kitchen. Anna takes the cup.").thing_room == {"cup": "kitchen"}
    assert read("Anna goes to the kitchen. Ben goes to the hall. Anna takes the cup.").thing_room == {"cup": "kitchen"}
    with pytest.raises(TaskError, match="cannot read"):
        read("Anna ponders the cup.")
    with pytest.raises(TaskError, match="without having it"):
        read("Anna takes the cup. Ben drops the cup.")


def test_unseen_plans_are_about_held_out_activities() -> None:
    held_out = {said(activity) for activity in EVAL_ACTIVITIES}
    for name in PLAN_FAMILIES:
        about = [any(activity in item.prompt for activity in held_out) for item in family(name)]
        assert all(about) if "unseen" in name else not any(about)


@pytest.mark.parametrize("split", ["eval", "train"])
def test_the_things_at_home_are_not_listed_in_the_order_of_use(split: Split) -> None:
    """Of two things, the one that the plan uses first is listed first about half of the time."""
    names = PLAN_FAMILIES if split == "eval" else ("plan_generation",)
    first: list[bool] = []
    for item in [item for name in names for item in build_family(name, split, 25)]:
        listed, gold = things_listed(item.prompt), item.gold.lower()
        used = [thing for thing in listed if f"the {thing}" in gold]
        at = [gold.index(f"the {thing}") for thing in used]
        first += [a < b for a, b in pairwise(at) if a != b]
    assert len(first) > 30
    assert 0.3 < sum(first) / len(first) < 0.7


def test_training_shares_no_prompt_with_evaluation() -> None:
    records = training_records(12)
    assert Counter(r["source"].removeprefix("embodied:") for r in records) == dict.fromkeys(TRAINING_FAMILIES, 12)
    assert {record["context"][0]["role"] for record in records} == {"user"}
    held_out = {said(activity) for activity in EVAL_ACTIVITIES}
    assert not [record for record in records if record["response"] in held_out]
    prompts = [item.prompt for name in FAMILIES for item in family(name)]
    asked = [record["context"][0]["content"] for record in records]
    assert without_overlap(asked, prompts, str) == asked


def test_no_plan_to_train_on_is_for_an_activity_and_things_of_evaluation(archive: Archive) -> None:
    """As the prompts say it, whatever the template, the order of the things, and the room."""

    def asked(recordings: Sequence[Recording], split: Split) -> list[tuple[str, frozenset[str]]]:
        items = [plan_item(random.Random(0), r, "plan_generation_seen", split) for r in recordings]
        found = []
        for recording, item in zip(recordings, items, strict=True):
            if item is not None and "At home you have: " in item.prompt:
                things = item.prompt.partition("At home you have: ")[2].partition(".\n")[0]
                found.append((recording.activity, frozenset(re.split(", | and ", things))))
        return found

    held_out = asked(seen_recordings(archive, "eval"), "eval")
    trained = asked(plan_recordings(archive), "train")
    assert len(held_out) > 60
    assert len(trained) > 200
    assert not set(held_out) & set(trained)


def test_training_asks_about_a_recording_again_in_other_words_and_counts_evenly() -> None:
    items = build_family("activity_recognition", "train", 2_000)
    asked = Counter(item.id for item in items)
    assert 200 < len(asked) < len(items) == len({item.prompt for item in items})
    assert max(asked.values()) <= len(RECOGNISE)
    golds = Counter(item.gold for item in build_family("counting", "train", 60))
    assert max(golds.values()) - min(golds.values()) <= 2


def test_recorded_plans_are_shown_again_with_their_things_in_another_order(archive: Archive) -> None:
    plans = Counter("home" in item.world for item in build_family("plan_generation", "train", 40))
    assert plans[True] >= 15
    assert plans[False] >= 15
    recording = max(plan_recordings(archive), key=lambda each: len(things_of(each.key)))
    variants = [plan_item(random.Random(0), recording, "plan_generation", "train", i) for i in range(PLAN_VARIANTS)]
    lists = [things_listed(item.prompt) for item in variants if item]
    assert len({tuple(things) for things in lists}) == PLAN_VARIANTS
    assert len({frozenset(things) for things in lists}) == 1
    assert len({item.id for item in variants if item}) == PLAN_VARIANTS


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

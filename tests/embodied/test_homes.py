"""Generated homes and the splits."""

from __future__ import annotations

import re

from embodied.archive import Archive
from embodied.homes import catalogue, generate_home, known_classes
from embodied.splits import (
    EVAL_ACTIVITIES,
    Split,
    fingerprint,
    home_seeds,
    seen_recordings,
    split_recordings,
    without_overlap,
)
from embodied.world import initial


def test_equal_seeds_give_equal_homes_and_others_differ() -> None:
    assert generate_home(3) == generate_home(3)
    assert generate_home(3) != generate_home(4)


def test_homes_are_homes() -> None:
    for seed in range(30):
        home = generate_home(seed)
        state = initial(home)
        assert 40 <= len(home) <= 140
        rooms = {home.nodes[i].name for i in range(len(home)) if home.rooms >> i & 1}
        assert {"kitchen", "bathroom", "bedroom"} <= rooms
        assert all(state.room(i) is not None for i, node in enumerate(home.nodes))


def test_every_class_of_the_catalogue_is_known() -> None:
    table = catalogue()
    used = {name for room in table["rooms"].values() for name in room["furniture"]}
    used |= {name for places in (table["on"], table["in"]) for names in places.values() for name in names}
    assert used <= set(known_classes())


def test_no_home_is_like_another() -> None:
    homes = {frozenset(initial(generate_home(seed)).edges()) for seed in range(200)}
    assert len(homes) == 200


def test_splits_are_apart(archive: Archive) -> None:
    train, unseen = split_recordings(archive, "train"), split_recordings(archive, "eval")
    assert len(train) + len(unseen) == 518
    assert {r.activity for r in unseen} == EVAL_ACTIVITIES
    seen_train, seen_eval = seen_recordings(archive, "train"), seen_recordings(archive, "eval")
    assert len(seen_train) + len(seen_eval) == len(train)
    assert not {r.key for r in seen_train} & {r.key for r in seen_eval}
    assert not set(home_seeds("train")) & set(home_seeds("eval"))


def test_what_evaluation_asks_is_left_out_of_training() -> None:
    train = ["Where is the cup?", "Where is the plate?"]
    assert without_overlap(train, ["where is the CUP"], str) == ["Where is the plate?"]


def test_equal_programs_are_on_one_side(archive: Archive) -> None:
    def programs(split: Split) -> set[str]:
        return {fingerprint(re.sub(r"\(.*?\)", "", "\n".join(r.lines))) for r in seen_recordings(archive, split)}

    assert not programs("train") & programs("eval")

"""Plans for orders that nobody recorded: they must do what the order's verb says."""

from __future__ import annotations

import pytest

from embodied.chores import chore_of, parts
from embodied.telling import Advice
from embodied.trial import try_out


@pytest.mark.parametrize(
    ("order", "steps"),
    [
        ("boil water", ["Pour the water into the cup."]),
        ("boil water", ["Grab the water.", "Drink the water."]),
        ("dry my shirt", ["Put the shirt in the microwave.", "Switch on the microwave."]),
        ("warm my shirt", ["Put the shirt in the oven.", "Switch on the oven."]),
        ("heat up the milk", ["Put the milk in the sink.", "Switch on the microwave."]),
        ("heat up the milk", ["Put the milk in the microwave.", "Switch on the microwave.", "Switch off the microwave.",
                              "Grab the milk.", "Drink the milk."]),
        ("dry the cat", ["Wash the cat."]),
        ("close the dishwasher", ["Switch on the dishwasher."]),
        ("feed the cat", ["Grab the cat.", "Touch the cat."]),
        ("make a bed", ["Wash the bed."]),
        ("fold the towel", ["Grab the towel.", "Put the towel on the bed."]),
        ("wash the cup", ["Grab the cup.", "Drink from the cup."]),
        ("bring the cup to the table", ["Put the cup on the table.", "Grab the cup."]),
    ],
)  # fmt: skip
def test_a_plan_for_what_nobody_recorded_does_what_the_verb_says(order: str, steps: list[str]) -> None:
    assert try_out(order, steps) == "did not do what was asked"


@pytest.mark.parametrize(
    ("order", "steps"),
    [
        ("boil water", ["Pour the water into the pot.", "Put the pot in the oven.", "Switch on the oven."]),
        ("heat the milk in the microwave", ["Pour the milk into the cup.", "Put the cup in the microwave.",
                                            "Switch on the microwave."]),
        ("cook the chicken", ["Put the chicken in the oven.", "Switch on the oven."]),
        ("toast the bread", ["Put the bread in the toaster.", "Switch on the toaster."]),
        ("wash the cup", ["Put the cup in the sink.", "Switch on the faucet.", "Wash the cup.",
                          "Switch off the faucet."]),
        ("fill the cup with water", ["Pour the water into the cup."]),
        ("bring the cup to the table", ["Grab the cup.", "Put the cup on the table."]),
        ("use the microwave", ["Switch on the microwave."]),
    ],
)  # fmt: skip
def test_a_good_plan_for_what_nobody_recorded_is_taken(order: str, steps: list[str]) -> None:
    tried = try_out(order, steps)
    assert isinstance(tried, Advice), tried


def test_verbs_are_read_as_people_say_them() -> None:
    found = map(chore_of, ("closing the fridge", "turn the TV off", "iron a shirt"))
    assert [chore and chore.does for chore in found] == [("CLOSE X",), ("SWITCHOFF X",), None]
    assert parts("wash the cup and the plate in the sink with soap") == (["cup", "plate"], ["sink", "soap"])

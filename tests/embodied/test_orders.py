"""Orders that are a step in themselves: done in a usual home, told as people say it, and refused where they harm."""

from __future__ import annotations

import pytest

from embodied.advice import known_plan
from embodied.archive import Archive
from embodied.dangers import dangers, sensible
from embodied.orders import is_so, is_usual, plain_order
from embodied.telling import Advice, tell_steps
from embodied.wording import say_steps
from embodied.world import Action, Scene, Simulator, Step, execute, initial

PLACED = """
put the milk in the fridge
put the cup in the dishwasher
put the shirt in the washing machine
put the plate in the cupboard
put the pizza in the oven
put the fish in the fridge
put the chicken in the oven
put the cheese in the cupboard
put the plate on the kitchen table
put the towel on the bed
put the pot on the stove
put the book in the bookshelf
put the bread in the microwave
put the coffee in the coffee maker
put the napkin in the trash can
pour the milk into the cup
""".strip().splitlines()
ENDED = {
    "turn off the oven": "Switch off the oven.",
    "turn off the TV": "Switch off the television.",
    "turn off the radio": "Switch off the stereo.",
    "turn off the faucet": "Switch off the faucet.",
    "turn off the dishwasher": "Switch off the dishwasher.",
    "turn off the washing machine": "Switch off the washing machine.",
    "turn off the fridge": "Switch off the fridge.",
    "turn on the stove": "Switch on the stove.",
    "close the fridge": "Close the fridge.",
    "close the oven": "Close the oven.",
    "close the dishwasher": "Close the dishwasher.",
    "open the door": "Open the door.",
    "close the door": "Close the door.",
    "open the oven": "Open the oven.",
    "plug in the tv": "Plug in the television.",
    "unplug the tv": "Unplug the television.",
    "put on my shirt": "Put on the shirt.",
    "take off my shirt": "Take off the shirt.",
}
"""Orders to what is to be done at last, in homes where it is mostly so already."""
HARMFUL = """
put the spoon in the microwave
put the fork in the microwave
put the knife in the microwave
put the pot in the microwave
put the pillow in the microwave
put the book in the microwave
put the phone in the microwave
put the towel in the oven
put the pillow in the oven
put the sheets in the oven
put the newspaper in the oven
put the book in the oven
put the alcohol in the oven
put the shirt on the stove
put the laptop in the oven
put the laptop in the sink
put the phone in the sink
put the keyboard in the sink
put the blow dryer in the sink
put the phone in the toilet
put the towel in the toilet
put the laptop in the washing machine
put the detergent in the coffee maker
put the oil in the coffee maker
put the shampoo in the coffee maker
pour the detergent into the cup
pour the dish soap into the pot
pour the shampoo into the coffee maker
put the soap in the fridge
put the milk in the washing machine
put the bread in the washing machine
put the chicken in the dishwasher
put the candle on the bed
put the iron on the bed
put the knife on the bed
put the cat in the box
touch the electrical outlet
drink alcohol
drink mouthwash
drink the oil
drink from the rag
pull my hair
push the cat
pull the cat
squeeze the cat
wash the laptop
""".strip().splitlines()
HARMLESS = """
put the bread in the microwave
put the plate in the dishwasher
put the shirt in the washing machine
put the detergent in the washing machine
put the coffee in the coffee maker
put the cup in the sink
put the milk in the fridge
put the pillow on the bed
put the laptop on the desk
pour the water into the pot
drink juice
touch the cat
touch my hair
push the button
move the chair
""".strip().splitlines()


def done(order: str) -> Advice:
    advice = plain_order(order)
    assert advice is not None
    assert execute(Simulator(advice.scene), advice.plan.steps).ok
    assert advice.ordered in advice.plan.steps
    return advice


def told(advice: Advice | None) -> list[str]:
    assert advice is not None
    return [line.split(". ", 1)[1] for line in tell_steps(advice.plan.steps, advice.scene, advice.order)]


@pytest.mark.parametrize("order", PLACED)
def test_nothing_strange_is_touched_and_what_was_opened_is_closed(order: str) -> None:
    advice = done(order)
    simulator, ordered = Simulator(advice.scene), advice.ordered
    assert ordered is not None
    assert not is_so(simulator, advice.start, ordered)
    assert is_so(simulator, advice.plan.end, ordered)
    meant = [simulator.names[i] for i in (ordered.target, ordered.second)]
    for step in advice.plan.steps:
        for thing in (step.target, step.second):
            assert thing < 0 or thing in ordered[1:] or is_usual(simulator, thing, meant, ())
        if step.action is Action.OPEN:
            assert advice.plan.end.has(step.target, "CLOSED")
    assert "open" not in advice.outcome().split()


def test_the_own_example_is_told_as_people_do_it() -> None:
    assert told(done("put the milk in the fridge")) == [
        "Walk to the milk.",
        "Grab the milk.",
        "Walk to the fridge.",
        "Open the fridge.",
        "Put the milk in the fridge.",
        "Close the fridge.",
    ]
    chicken = told(done("put the chicken in the oven"))
    assert chicken.index("Close the fridge.") < chicken.index("Walk to the oven.")


@pytest.mark.parametrize(("order", "last"), ENDED.items())
def test_what_is_so_already_is_made_otherwise_first(order: str, last: str) -> None:
    assert told(done(order))[-1] == last


@pytest.mark.parametrize("order", HARMFUL)
def test_what_harms_is_not_advised(order: str) -> None:
    assert known_plan(order) is None
    assert plain_order(order) is None


@pytest.mark.parametrize("order", HARMLESS)
def test_what_only_looks_like_harm_is_advised(order: str) -> None:
    assert done(order)


def test_most_recorded_plans_may_be_advised(archive: Archive) -> None:
    refused = [
        recording.activity
        for recording in archive.recordings[::6]
        if not sensible(Simulator(recording.scene), recording.program.steps)
    ]
    assert refused == []  # of all 518 three: soap left on a plate, dish soap for the dishwasher, and pulling the cat


def test_soap_goes_on_dishes_only_where_they_are_washed(archive: Archive) -> None:
    scene = next(
        each.scene for each in archive.recordings if {"dish_soap", "plate"} <= each.scene.by_name.keys()
    )  # fmt: skip
    soap, plate = scene.by_name["dish_soap"][0], scene.by_name["plate"][0]
    pouring = Step(Action.POUR, soap, plate)
    assert not sensible(Simulator(scene), [pouring])
    assert sensible(Simulator(scene), [pouring, Step(Action.SCRUB, plate)])


def test_the_table_of_dangers_names_what_there_is(archive: Archive) -> None:
    table, classes = dangers(), {name for name, _, _ in archive.body["kinds"]}
    cells = {each for row in (*table.together, *table.inside, *table.done.values()) for each in row}
    assert {each for each in cells if each not in table.kinds} <= classes
    plain = {name for kind in table.kinds.values() for name in kind.names if not name.endswith(".*")}
    assert plain <= classes


def test_pots_go_on_the_stove_and_into_the_oven_only_what_is_put_in_it(small_home: Scene) -> None:
    dinner = told(known_plan("cook dinner"))
    assert {"Switch on the stove.", "Put the pasta in the sauce pan.", "Put the sauce pan on the stove."} <= {*dinner}
    assert told(done("put the pizza in the oven"))[-2:] == ["Put the pizza in the oven.", "Close the oven."]
    assert done("put the pot on the stove").outcome() == "the pot is on the stove"
    # What tasks say of the same steps does not change.
    advice = known_plan("cook dinner")
    assert advice is not None
    assert any("Put the sauce pan in the oven." in line for line in say_steps(advice.plan.steps, advice.scene))


def test_nobody_walks_to_ones_hands_or_counts_them(archive: Archive) -> None:
    recording = next(each for each in archive.recordings if len(each.scene.by_name.get("hands_both", ())) > 1)
    scene = recording.scene
    first, second = scene.by_name["hands_both"][:2]
    steps = [Step(Action.WALK, first), Step(Action.WASH, first), Step(Action.RINSE, second)]
    assert tell_steps(steps, scene) == ["1. Wash the hands.", "2. Rinse the hands."]
    text = known_plan("wash my hands")
    assert text is not None
    assert not [line for line in text.text.splitlines() if "Walk to the hands" in line or "first hands" in line]


@pytest.mark.parametrize(
    ("order", "step", "activity"),
    [
        ("wash a dress", "Put the dress in the washing machine.", "Wash clothes"),
        ("wash towels", "Put the towel in the washing machine.", "Wash clothes"),
        ("wash my socks", "Put the socks in the washing machine.", "Wash clothes"),
        ("wash the cup", "Scrub the cup.", "Wash dishes by hand"),
        ("wash the glass", "Scrub the water glass.", "Wash dishes by hand"),
        ("wash the fork", "Rinse the fork.", "Wash dishes by hand"),
    ],
)
def test_what_nobody_recorded_is_washed_as_its_like(order: str, step: str, activity: str) -> None:
    advice = known_plan(order)
    assert advice is not None
    assert advice.activity == activity
    assert step in told(advice)
    assert execute(Simulator(advice.scene), advice.plan.steps).ok
    assert initial(advice.scene) == advice.start


@pytest.mark.parametrize("order", ["wash the newspaper", "wash the water", "scrub the cat", "rinse the chair"])
def test_standing_beside_a_thing_is_no_washing(order: str) -> None:
    assert plain_order(order) is None

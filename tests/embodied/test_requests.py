"""Which requests the virtualhome tool takes, which it leaves alone, and that a known plan does what was asked."""

from __future__ import annotations

import pytest

from embodied.advice import concise, known_plan
from embodied.archive import Archive
from embodied.orders import plain_order
from embodied.repair import Repaired, repair
from embodied.requests import is_household, known_activity, named, units, vocabulary, what_is_asked
from embodied.telling import Advice, tell_steps
from embodied.tool import VirtualHome
from embodied.world import Simulator, initial

ASKED = {
    "Make coffee": ["How can I make a cup of coffee?", "Could you please show me how to brew coffee?"],
    "Wash clothes": [
        "What is the best way to wash my clothes?",
        "I want to do a load of laundry",
        "do the laundry",
        "do the dirty laundry",
        "How do I wash a dress?",
        "How do I wash towels?",
        "How do I load the washing machine?",
    ],
    "Turn on light": [
        "Please turn on the lights",
        "How do I turn the lamp on?",
        "How do I switch on the kitchen light?",
    ],
    "Watch TV": ["I want to watch TV", "Can you tell me how to watch a movie?", "what are the steps for watching TV?"],
    "Change TV channel": ["How can I change the TV channel?", "switch channels"],
    "Work": ["How do I work from home?", "I need to do some work", "do work"],
    "Relax on sofa": ["What is the best way to relax on the sofa?", "sit down on the couch"],
    "Browse internet": ["How can I browse the internet?", "I'd like to surf the web"],
    "Drink": ["I want to drink a glass of water", "How do I have some water?", "have some water"],
    "Pick up phone": ["How do I answer the phone?", "please pick the phone up"],
    "Read book": ["I would like to read a book", "help me read a novel"],
    "Wash dishes with dishwasher": ["How do I use the dishwasher?", "wash the dirty dishes in the dishwasher"],
    "Wash dishes by hand": [
        "What's the best way to wash the dishes?",
        "How can I do the dishes by hand?",
        "do the dishes",
        "do the washing up",
        "wash the dirty dishes",
        "How do I wash the cup?",
    ],
    "Pet cat": ["How do I pet a cat?", "I want to stroke the cat"],
    "Put groceries in Fridge": ["How should I store my groceries?", "Put the food in the refrigerator, please"],
    "Listen to music": ["How can I listen to music?", "let's play some music"],
    "Wash hands": [
        "What is the best way to wash my hands?",
        "Hello, how do I wash my hands with soap?",
        "wash my dirty hands",
    ],
    "Write an email": ["How do I write an email to a friend?", "I want to send an e-mail"],
    "Wash teeth": ["What is the right way to clean my teeth?", "wash teeth"],
    "Brush teeth": ["What is the best way to brush my teeth?", "how to brush teeth"],
    "Go to toilet": ["OK, how do I use the toilet?", "I need to go to the toilet"],
    "Go to sleep": ["How can I fall asleep?", "I want to go to bed", "have a nap"],
    "Set up table": ["How do I set the table for my guests?", "please lay the dinner table"],
    "Cook some food": ["What is the best way to cook dinner?", "How do I make a meal?"],
    "Get some water": ["How do I get some water?", "I want to fetch a cup of water"],
}
"""Activity to ways of asking for it."""
PLAIN = {
    "turn off the light": "Switch off the light.",
    "How do I put the milk in the fridge?": "Put the milk in the fridge.",
    "How can I drink milk?": "Drink from the milk.",
    "Please put the plate on the kitchen table": "Put the plate on the table.",
    "I want to sit on the chair": "Sit on the chair.",
    "How do I lie down on the bed?": "Lie down on the bed.",
    "open the bathroom cabinet": "Open the bathroom cabinet.",
    "What is the best way to turn the toaster on?": "Switch on the toaster.",
    "grab a cup": "Grab the cup.",
    "How do I pour the milk into the cup?": "Pour the milk into the cup.",
}
"""Orders that are a step to how the step is said."""
NOT_ASKED = """
How do I put out the lights?
turn down the light
How do I stop drinking milk?
How do I stop watching TV?
How can I quit drinking coffee?
How do I avoid making coffee?
How do I run a load test?
How do I do load balancing in nginx?
How do I get water out of my phone?
How do I get a refund for my phone?
How do I take a screenshot on my phone?
How do I make dinner reservations?
How do I prepare a pivot table?
How do I use a web framework?
How do I set a channel topic on Slack?
How do I get red wine out of the carpet?
How do I remove the milk from my diet?
How do I get off the phone?
How do I get off the chair?
How do I get out of bed?
How do I get a cat?
How do I get a credit card?
How do I take a picture?
How do I get over the death of my cat?
How do I work?
How do you work?
How do you drink?
How do I get to work?
How do I work out?
How do I work on computer vision?
How do I watch a movie without subtitles?
How do I watch a movie in Spanish?
How do I watch TV shows for free?
How do I watch a movie on my phone?
How do I turn on dark mode?
How do I turn on the light mode?
How do I turn on the check engine light?
How do I set a light sensor?
How do I read a book in Java?
How do I read a book to my students?
How do I write a book?
How do I write an email client?
How do I write an email to my boss asking for a raise?
How do I send email from Python?
How do I validate an email address?
How do I play a song on the guitar?
How do I listen to music on Spotify?
How do I use the internet archive?
How do I search the web with an API?
How do I go to sleep mode?
How do I put my computer to sleep?
How do I fall asleep faster?
How do I have water in my knee treated?
How do I drink more water?
How do I drink less coffee?
How do I make a coffee table?
How do I make coffee grow?
How do I fix the coffee maker?
How do I get coffee stains out of a shirt?
How do I set the table on fire?
How do I set a table in CSS?
How do I set up a table in SQL?
How do I drop a table?
How do I lay out a table?
How do I set up a ping pong table?
How do I prepare a table of contents?
How do I make a meal plan?
How do I cook the books?
How do I make food last longer?
How do I make lunch plans?
How do I heat a house?
How do I clean my data?
How do I wash my hands of it?
How do I clean the dishwasher?
How do I fix the dishwasher?
How do I clean the washing machine?
How do I wash the dishwasher?
How do I do the dishes with my feet?
How do I pick up a language?
How do I answer a phone interview?
How do I pick up the phone bill?
How do I pet sit?
How do I pet a dog?
How do I change the channel name on Discord?
How do I change the wifi channel?
How do I go to the toilet in space?
How do I brush my cat's teeth?
How do I open a bank account?
How do I open a folder?
How do I open the console?
How do I open a file?
How do I open the pivot table?
How do I close a window in vim?
How do I move a table in Word?
How do I move the mouse faster?
How do I cut a video?
How do I clean the toilet bowl?
How do I put a table in a form?
How do I put on weight?
How do I put on a show?
How do I turn off notifications on my phone?
How do I turn off the computer remotely?
How do I switch off my mind?
How do I plug in a model?
How do I start a fire?
How do I release a CD?
How do I wake up?
How do I wake up early?
How do I drink mouthwash?
How do I store food in a database?
How do I stock a store?
How do I put the groceries in the oven?
How do I put the milk on the wall?
How do I put the phone in the microwave?
How do I put the laptop in the washing machine?
How do I put my baby to bed?
How do I put the dog in the box?
How do I clean my phone?
How do I rinse the laptop?
How do I scrub the keyboard?
How do I eat the cat?
How do I cut my hair?
How do I charge my phone?
How do I get a shower?
How do I take a shower?
How do I get rid of the cat?
How do I get milk delivered?
How do I switch phones?
How do I lift weights?
How do I lift the phone ban?
How do I hold the phone hostage?
How do I hold a door knob meeting?
How do I serve a web page?
How do I mix a drink?
How do I fold a web page?
How do I make a bed frame?
How do I make the bed?
How do I turn on my phone's flashlight?
How do I turn the light into electricity?
How do I turn on the TV without a remote?
make coffee great again
do not make coffee
never wash the dishes
no coffee please
watch out for the TV
read book reviews
relax on the couch with nobody watching TV
sleep on the couch
How do I sit on the fence?
How do I lie on my resume?
How do I read the table of contents?
How do I pour concrete into the sink?
How do I pour water into the computer?
How do I pour milk on the laptop?
How do I put the light on the desk?
How do I start a console?
How do I touch base with a friend?
How do I watch the clock?
How do I watch the stock market?
How do I find my phone?
How do I use a microwave?
How do I drop out?
How do I switch on the news?
How do I type faster on the keyboard?
How do I write to a file?
How do I get a clean plate?
How do I set the table for four people?
drink dirty water
drink hot milk
wash my hands with dirty water
wash the dishes with dirty water
touch a hot oven
put a hot pot on the bed
put hot food in the fridge
eat dirty food
How do I get the water hot?
put two cups on the table
put the ice cream in the freezer
put the food in the freezer
open the freezer
go to the dining room
do you drink milk
do the dishes need soap
do my clothes need washing
have you washed the dishes
can the cat drink milk
will the milk go in the fridge
How do I wash the newspaper?
How do I wash the water?
scrub the cat
rinse the chair
wash my face
""".strip().splitlines()
"""Requests that only look like ones for a household plan."""


@pytest.mark.parametrize(("activity", "request_"), [(a, each) for a, found in ASKED.items() for each in found])
def test_activities_are_asked_for_in_many_ways(activity: str, request_: str) -> None:
    order = what_is_asked(request_)
    assert order is not None
    assert known_activity(order) == activity
    assert known_plan(order) is not None


def test_every_activity_is_asked_for_in_two_ways_at_least() -> None:
    assert ASKED.keys() == vocabulary().keys()
    assert min(map(len, ASKED.values())) >= 2


@pytest.mark.parametrize(("request_", "step"), PLAIN.items())
def test_plain_orders_are_done(request_: str, step: str) -> None:
    order = what_is_asked(request_)
    assert order is not None
    assert known_plan(order) is None
    advice = plain_order(order)
    assert advice is not None
    assert advice.ordered is not None
    assert steps(advice)[advice.plan.steps.index(advice.ordered)] == step


def steps(advice: Advice | None) -> list[str]:
    assert advice is not None
    return [line.split(". ", 1)[1] for line in tell_steps(advice.plan.steps, advice.scene)]


@pytest.mark.parametrize("request_", NOT_ASKED)
async def test_what_only_looks_like_a_request_is_left_alone(request_: str) -> None:
    assert await VirtualHome().run(request_) == []


def test_names_are_read_whole_and_the_first_word_is_what_is_done() -> None:
    assert units("Make me a cup of coffee with the coffee maker") == ["make", "coffee", "with", "coffee maker"]
    assert named("brush my teeth with the toothbrush") == ["teeth", "toothbrush"]
    assert named("set the coffee table") == ["coffee table"]
    assert known_activity("fix the coffee maker") is None


def test_a_model_is_asked_only_about_what_homes_hold() -> None:
    assert is_household("heat up the milk")
    assert not is_household("heat up the debate")
    assert not is_household("get red wine out of the carpet")
    assert not is_household("milk the cat")


@pytest.mark.parametrize(
    ("order", "needed", "origin"),
    [
        ("get some water", "Pour the water into the water glass.", "recorded plan for: Drink"),
        ("drink water from a cup", "Drink from the cup.", "recorded plan for: Drink"),
        ("brush my teeth", "Wash the teeth.", "recorded plan for: Wash teeth"),
        ("brush my teeth with toothpaste", "Squeeze the toothpaste.", "recorded plan for: Wash teeth"),
        ("cook dinner", "Put the pasta in the sauce pan.", "recorded plan for: Cook some food"),
        ("use the toilet", "Sit on the toilet.", "recorded plan for: Go to toilet"),
        ("wash the bowl", "Rinse the bowl.", "recorded plan for: Wash dishes by hand"),
        ("wash my shirt", "Put the shirt in the washing machine.", "recorded plan for: Wash clothes"),
    ],
)
def test_a_recorded_plan_does_what_was_asked_with_what_was_named(order: str, needed: str, origin: str) -> None:
    advice = known_plan(order)
    assert needed in steps(advice)
    assert advice is not None
    assert advice.origin == origin


@pytest.mark.parametrize(
    "order", ["drink milk", "drink water with the cat", "put the food in the oven", "take shower", "do homework"]
)
def test_no_recorded_plan_stands_in_for_another(order: str) -> None:
    assert known_plan(order) is None


def test_the_end_is_told_of_the_thing_that_it_is_true_of(archive: Archive) -> None:
    recording = next(each for each in archive.recordings if each.key == "file1083_2")
    simulator = Simulator(recording.scene)
    plan = repair(simulator, concise(recording, simulator))
    assert isinstance(plan, Repaired)
    advice = Advice("cook some food", recording.scene, plan, initial(recording.scene), "recorded")
    assert {"Pour the water into the first pot.", "Put the second pot on the stove."} <= {*steps(advice)}
    assert advice.outcome() == (
        "the stove is switched on, the water is in the first pot and the second pot is on the stove"
    )

"""Questions about stories: eight families whose gold answers come from the world's states.

Each maker takes a seeded random source and a home seed and returns an item, or None where that story allows no clear
question; the caller then tries the next seed. Wrong choices are drawn as the right one is: from what the text tells.
Boundary: asks; `verify` answers from the text alone, and `build` keeps only items on which both agree.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import combinations, pairwise

from embodied.homes import generate_home
from embodied.splits import Split
from embodied.tasks.item import Item, choose
from embodied.tasks.story import Story, own_names, places, portable, tell_story
from embodied.wording import be, join, name, say_place
from embodied.world.scene import ON_BY, bits
from embodied.world.state import State, initial

Maker = Callable[[random.Random, int, Split], Item | None]
NUMBERS = ("none", "one", "two", "three", "four", "five", "six", "seven")
IN_HANDS = NUMBERS[:3]
"""How many things two hands hold."""


def ask(
    family: str, rng: random.Random, seed: int, split: Split, text: str, questions: Sequence[str], gold: str,
    others: Sequence[str], *, size: int = 4,
) -> Item | None:  # fmt: skip
    """Assemble an item; None where there are too few wrong choices."""
    chosen = choose(rng, gold, others, size=size)
    if chosen is None:
        return None
    prompt = f"{text}\nQuestion: {rng.choice(questions)}"
    return Item(
        id=f"{family}-{split}-{seed}", family=family, split=split, prompt=prompt, choices=chosen[0], answer=chosen[1],
        gold=gold, world={"home": seed},
    )  # fmt: skip


def single_supporting_fact(rng: random.Random, seed: int, split: Split) -> Item | None:
    """Where is a person?"""
    story = tell_story(rng, seed, events=rng.randint(6, 11), others=3)
    seen = story.whereabouts
    if not seen:
        return None
    who = rng.choice(sorted(seen))
    questions = (f"Where is {who}?", f"In which room is {who} now?")
    return ask("single_supporting_fact", rng, seed, split, story.text, questions, name(story.scene, seen[who]),
               story.rooms)  # fmt: skip


def two_supporting_facts(rng: random.Random, seed: int, split: Split) -> Item | None:
    """In which room is a thing that was carried?"""
    story = tell_story(rng, seed, events=rng.randint(7, 12), others=2)
    if not story.things:
        return None
    thing = rng.choice(story.things)
    room = story.state.room(thing)
    if room is None or not story.room_is_told(thing):
        return None
    named = name(story.scene, thing)
    questions = (f"In which room {be(named)} the {named}?", f"Which room {be(named)} the {named} in now?")
    return ask("two_supporting_facts", rng, seed, split, story.text, questions, name(story.scene, room), story.rooms)


def three_supporting_facts(rng: random.Random, seed: int, split: Split) -> Item | None:
    """Where was a thing before it came to where it is?"""
    story = tell_story(rng, seed, events=rng.randint(9, 15), few=2, others=1)
    for thing in story.things:
        rooms = story.rooms_of(thing)
        if len(rooms) >= 2 and rooms.count(rooms[-1]) == 1 and story.room_is_told(thing):
            named, last = name(story.scene, thing), name(story.scene, rooms[-1])
            was = be(named, past=True)
            questions = (
                f"Where {was} the {named} before the {last}?",
                f"In which room {was} the {named} right before the {last}?",
            )
            others = [room for room in story.rooms if room != last]  # the question itself says that it is not this one
            return ask("three_supporting_facts", rng, seed, split, story.text, questions,
                       name(story.scene, rooms[-2]), others)  # fmt: skip
    return None


def pause(rng: random.Random, story: Story, count: Callable[[State], int]) -> Story | None:
    """The story as far as some moment, each number of `count` that occurs being as likely; None where it is short."""
    moments: dict[int, list[int]] = {}
    for length, told in enumerate(story.told, 1):
        if length >= 3 and story.until(length).things:
            moments.setdefault(count(told.state), []).append(length)
    return story.until(rng.choice(moments[rng.choice(sorted(moments))])) if moments else None


def counting(rng: random.Random, seed: int, split: Split) -> Item | None:
    """How many things does the person carry? Three choices, because a person has two hands."""
    told = tell_story(rng, seed, events=rng.randint(4, 10), others=rng.choice((0, 0, 1)))
    story = pause(rng, told, lambda state: len(state.holding()))
    if story is None:
        return None
    gold = NUMBERS[len(story.state.holding())]
    questions = (f"How many things is {story.who} carrying?", f"How many things does {story.who} hold now?")
    return ask("counting", rng, seed, split, story.text, questions, gold, IN_HANDS, size=len(IN_HANDS))


def lists(rng: random.Random, seed: int, split: Split) -> Item | None:
    """What does the person carry?"""
    story = pause(rng, tell_story(rng, seed, events=rng.randint(5, 11)), lambda state: len(state.holding()))
    if story is None or len(story.things) < 2:
        return None
    known = [name(story.scene, i) for i in story.things]
    held = [name(story.scene, i) for i in story.things if i in story.state.holding()]
    others: set[str] = set()
    for _ in range(40):
        few = sorted(rng.sample(known, rng.randint(0, 2)), key=known.index)
        if few != held and len(others) < 3:
            others.add(carried(few))
    questions = (f"What is {story.who} carrying?", f"What does {story.who} have in hand now?")
    return ask("lists", rng, seed, split, story.text, questions, carried(held), sorted(others))


def carried(names: Sequence[str]) -> str:
    """`nothing`, `the cup`, or `the cup and the plate` in the order they are first mentioned."""
    return join([f"the {each}" for each in names]) if names else "nothing"


def object_path_tracking(rng: random.Random, seed: int, split: Split) -> Item | None:
    """Through which rooms did a thing go?"""
    story = tell_story(rng, seed, events=rng.randint(8, 14), few=2, others=rng.choice((0, 0, 1)))
    for thing in story.things:
        way = [name(story.scene, room) for room in story.rooms_of(thing)]
        if 2 <= len(way) <= 4 and story.room_is_told(thing):
            named = name(story.scene, thing)
            questions = (
                f"Through which rooms did the {named} go, in order?",
                f"In which rooms {be(named, past=True)} the {named}, one after the other?",
            )
            wrong = [", ".join(other) for other in wrong_ways(rng, way, story.rooms)]
            return ask("object_path_tracking", rng, seed, split, story.text, questions, ", ".join(way), wrong)
    return None


def wrong_ways(rng: random.Random, way: Sequence[str], rooms: Sequence[str]) -> list[list[str]]:
    """Three ways of the same length: two changes of the right way, and both changes at once, so that no way is in the
    middle of the four. A change turns the way round or exchanges one room; no room comes twice in a row.
    """
    changes: list[Callable[[list[str]], list[str]]] = [lambda given: given[::-1]]
    changes += [
        lambda given, i=i, room=room: [*given[:i], room, *given[i + 1 :]]
        for i in range(len(way))
        for room in rooms
        if room != way[i]
    ]
    rng.shuffle(changes)
    for one, two in combinations(changes, 2):
        four = [list(way), one([*way]), two([*way]), one(two([*way]))]
        if len(set(map(tuple, four))) == 4 and all(a != b for each in four for a, b in pairwise(each)):
            return four[1:]
    return []


def object_location_qa(rng: random.Random, seed: int, split: Split) -> Item | None:
    """On or in which piece of furniture did a thing end up?"""
    story = tell_story(rng, seed, events=rng.randint(12, 18))
    placed = [i for i in story.things if say_place(story.state, i) in story.spots]
    if not placed:
        return None
    thing = rng.choice(placed)
    gold, named = say_place(story.state, thing), name(story.scene, thing)
    questions = (f"Where did the {named} end up?", f"Where should you look for the {named}?")
    assert gold is not None
    return ask("object_location_qa", rng, seed, split, story.text, questions, gold, story.spots)


def counting_qa(rng: random.Random, seed: int, split: Split) -> Item | None:
    """How many things are on a place whose contents are told, after a story about it? Four numbers in a row are
    offered, each of them as likely to be right.
    """
    scene = generate_home(seed)
    start = initial(scene)
    able, own = set(portable(scene)), own_names(scene)
    spots = []
    for place in places(scene):
        on = list(bits(start.row(ON_BY, place)))
        if 1 <= len(on) <= 6 and own.issuperset(on) and able & set(on):
            spots.append((place, on))
    if not spots:
        return None
    place, on = rng.choice(spots)
    lowest = rng.randint(0, 2)
    count = lowest + rng.randint(0, 3)
    told = tell_story(rng, seed, events=rng.randint(5, 12), focus=place)
    ends = [i for i, t in enumerate(told.told, 1) if i >= 3 and t.state.row(ON_BY, place).bit_count() == count]
    if not ends:
        return None
    named, things = name(scene, place), [name(scene, i) for i in on]
    verb = be(things[0]) if len(things) == 1 else "are"
    listed = join([f"the {thing}" for thing in things])
    text = f"On the {named} there {verb} {listed}. {told.until(rng.choice(ends)).text}"
    questions = (f"How many things are on the {named} now?", f"How many things does the {named} bear at the end?")
    return ask("counting_qa", rng, seed, split, text, questions, NUMBERS[count], NUMBERS[lowest : lowest + 4])


MAKERS: dict[str, Maker] = {
    maker.__name__: maker
    for maker in (
        single_supporting_fact, two_supporting_facts, three_supporting_facts, counting, lists, counting_qa,
        object_path_tracking, object_location_qa,
    )
}  # fmt: skip

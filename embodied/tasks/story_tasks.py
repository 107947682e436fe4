"""Questions about stories and homes: ten families whose gold answers come from the world's states.

Each maker takes a seeded random source and a home seed and returns an item, or None where that story allows no clear
question; the caller then tries the next seed. Wording varies by template; choices are shuffled.
Boundary: asks; `verify` answers from the text alone, and `build` keeps only items on which both agree.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from itertools import pairwise

from embodied.homes import generate_home
from embodied.splits import Split
from embodied.tasks.item import Item, choose
from embodied.tasks.story import Story, own_names, places, portable, tell_story
from embodied.wording import join, name, say_place
from embodied.world.scene import ON_BY, Scene, bits
from embodied.world.state import initial

Maker = Callable[[random.Random, int, Split], Item | None]
NUMBERS = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def ask(
    family: str, rng: random.Random, seed: int, split: Split, text: str, questions: Sequence[str], gold: str,
    others: Sequence[str],
) -> Item | None:  # fmt: skip
    """Assemble an item; None where there are too few wrong choices."""
    chosen = choose(rng, gold, others)
    if chosen is None:
        return None
    prompt = f"{text}\nQuestion: {rng.choice(questions)}"
    return Item(
        id=f"{family}-{split}-{seed}", family=family, split=split, prompt=prompt, choices=chosen[0], answer=chosen[1],
        gold=gold, world={"home": seed},
    )  # fmt: skip


def room_names(scene: Scene) -> list[str]:
    """All rooms, and the room that generated homes do not have, so that there are always four choices."""
    return [*[name(scene, i) for i in bits(scene.rooms)], "hall", "cellar"]


def single_supporting_fact(rng: random.Random, seed: int, split: Split) -> Item | None:
    """Where is the person?"""
    story = tell_story(rng, seed, events=rng.randint(3, 6))
    room = story.state.room(story.simulator.me)
    if room is None or not any(f"the {name(story.scene, room)}" in s for s in story.sentences):
        return None
    questions = (f"Where is {story.who}?", f"In which room is {story.who} now?")
    return ask("single_supporting_fact", rng, seed, split, " ".join(story.sentences), questions,
               name(story.scene, room), room_names(story.scene))  # fmt: skip


def two_supporting_facts(rng: random.Random, seed: int, split: Split) -> Item | None:
    """In which room is a thing that was carried?"""
    story = tell_story(rng, seed, events=rng.randint(5, 9))
    if not story.things:
        return None
    thing = rng.choice(story.things)
    room = story.state.room(thing)
    if room is None or not told_room(story, thing):
        return None
    named = name(story.scene, thing)
    questions = (f"In which room is the {named}?", f"Which room is the {named} in now?")
    return ask("two_supporting_facts", rng, seed, split, " ".join(story.sentences), questions,
               name(story.scene, room), room_names(story.scene))  # fmt: skip


def told_room(story: Story, thing: int) -> bool:
    """Whether the text has told the person's room by the time the thing was first taken."""
    for sentence in story.sentences:
        if any(f"the {name(story.scene, room)}." in sentence for room in bits(story.scene.rooms)):
            return True
        if f"the {name(story.scene, thing)}" in sentence:
            return False
    return False


def three_supporting_facts(rng: random.Random, seed: int, split: Split) -> Item | None:
    """Where was a thing before it came to where it is?"""
    story = tell_story(rng, seed, events=rng.randint(8, 14), few=2)
    for thing in story.things:
        rooms = story.rooms_of(thing)
        if len(rooms) >= 2 and rooms.count(rooms[-1]) == 1 and told_room(story, thing):
            named, last = name(story.scene, thing), name(story.scene, rooms[-1])
            questions = (
                f"Where was the {named} before the {last}?",
                f"In which room was the {named} right before the {last}?",
            )
            return ask("three_supporting_facts", rng, seed, split, " ".join(story.sentences), questions,
                       name(story.scene, rooms[-2]), room_names(story.scene))  # fmt: skip
    return None


def counting(rng: random.Random, seed: int, split: Split) -> Item | None:
    """How many things does the person carry?"""
    story = tell_story(rng, seed, events=rng.randint(2, 9))
    if not story.things:
        return None
    gold = NUMBERS[len(story.state.holding())]
    questions = (f"How many things is {story.who} carrying?", f"How many things does {story.who} hold now?")
    return ask("counting", rng, seed, split, " ".join(story.sentences), questions, gold, NUMBERS[:4])


def lists(rng: random.Random, seed: int, split: Split) -> Item | None:
    """What does the person carry?"""
    story = tell_story(rng, seed, events=rng.randint(3, 9))
    if len(story.things) < 2:
        return None
    held = [i for i in story.things if i in story.state.holding()]
    known = [name(story.scene, i) for i in story.things]
    gold = carried([name(story.scene, i) for i in held])
    others = ["nothing", *[carried([a]) for a in known]]
    others += [carried(sorted((a, b), key=known.index)) for a in known for b in known if a < b]
    questions = (f"What is {story.who} carrying?", f"What does {story.who} have in hand now?")
    return ask("lists", rng, seed, split, " ".join(story.sentences), questions, gold, others)


def carried(names: Sequence[str]) -> str:
    """`nothing`, `the cup`, or `the cup and the plate` in the order they are first mentioned."""
    return join([f"the {each}" for each in names]) if names else "nothing"


def object_path_tracking(rng: random.Random, seed: int, split: Split) -> Item | None:
    """Through which rooms did a thing go?"""
    story = tell_story(rng, seed, events=rng.randint(8, 14), few=2)
    for thing in story.things:
        rooms = story.rooms_of(thing)
        if 2 <= len(rooms) <= 4 and told_room(story, thing):
            way = [name(story.scene, room) for room in rooms]
            every = room_names(story.scene)
            others = {", ".join(w) for w in wrong_ways(way, every)}
            named = name(story.scene, thing)
            questions = (
                f"Through which rooms did the {named} go, in order?",
                f"In which rooms was the {named}, one after the other?",
            )
            return ask("object_path_tracking", rng, seed, split, " ".join(story.sentences), questions,
                       ", ".join(way), sorted(others))  # fmt: skip
    return None


def wrong_ways(way: Sequence[str], rooms: Sequence[str]) -> list[list[str]]:
    """Ways of the same length, no room twice in a row: reversed, or with one room exchanged."""
    found = [list(reversed(way))]
    for i in range(len(way)):
        found += [[*way[:i], room, *way[i + 1 :]] for room in rooms if room != way[i]]
    return [w for w in found if w != list(way) and all(a != b for a, b in pairwise(w))]


def object_location_qa(rng: random.Random, seed: int, split: Split) -> Item | None:
    """On or in what is a thing at the end?"""
    story = tell_story(rng, seed, events=rng.randint(5, 10))
    placed = [i for i in story.things if i not in story.state.holding() and say_place(story.state, i)]
    rooms = {f"in the {name(story.scene, room)}" for room in bits(story.scene.rooms)}
    placed = [i for i in placed if say_place(story.state, i) not in rooms]
    if not placed:
        return None
    thing = rng.choice(placed)
    gold = say_place(story.state, thing)
    spots = [f"{'in' if 'SURFACES' not in story.scene.nodes[i].properties else 'on'} the {name(story.scene, i)}"
             for i in places(story.scene)]  # fmt: skip
    named = name(story.scene, thing)
    questions = (f"Where did the {named} end up?", f"Where should you look for the {named}?")
    assert gold is not None
    return ask("object_location_qa", rng, seed, split, " ".join(story.sentences), questions, gold, spots)


def counting_qa(rng: random.Random, seed: int, split: Split) -> Item | None:
    """How many things are on a place whose contents are told, after a story about it?"""
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
    story = tell_story(rng, seed, events=rng.randint(3, 8), focus=place)
    named = name(scene, place)
    things = join([f"the {name(scene, i)}" for i in on])
    text = f"On the {named} there {'is' if len(on) == 1 else 'are'} {things}. {' '.join(story.sentences)}"
    count = story.state.row(ON_BY, place).bit_count()
    if count >= len(NUMBERS) or count - 1 < 0:
        return None
    others = [NUMBERS[i] for i in range(max(0, count - 3), min(len(NUMBERS), count + 4))]
    questions = (f"How many things are on the {named} now?", f"How many things does the {named} bear at the end?")
    return ask("counting_qa", rng, seed, split, text, questions, NUMBERS[count], others)


def deduction_by_location(rng: random.Random, seed: int, split: Split) -> Item | None:
    """A thing is on a place, the place is in a room: in which room is the thing?"""
    scene = generate_home(seed)
    start = initial(scene)
    chains, spots = [], places(scene)
    for thing in portable(scene):
        place, room = say_place(start, thing), start.room(thing)
        holder = next((i for i in spots if place and place.endswith(f"the {name(scene, i)}")), None)
        if place and room is not None and holder is not None:
            chains.append((name(scene, thing), place, name(scene, holder), name(scene, room)))
    rng.shuffle(chains)
    chains = chains[: rng.randint(3, 5)]
    if len(chains) < 3:
        return None
    told = {f"The {thing} is {place}." for thing, place, _, _ in chains}
    told |= {f"The {holder} is in the {room}." for _, _, holder, room in chains}
    sentences = sorted(told)
    rng.shuffle(sentences)
    thing, _, _, room = rng.choice(chains)
    questions = (f"In which room is the {thing}?", f"Which room would you find the {thing} in?")
    return ask("deduction_by_location", rng, seed, split, " ".join(sentences), questions, room, room_names(scene))


def path_finding(rng: random.Random, seed: int, split: Split) -> Item | None:
    """Which rooms lie on the way from one room to another, given the doors?"""
    scene = generate_home(seed)
    doors: dict[int, list[int]] = {}
    for door, room in sorted(scene.between):
        doors.setdefault(door, []).append(room)
    links = [tuple(rooms) for rooms in doors.values() if len(rooms) == 2]
    if len(links) < 2:
        return None
    rng.shuffle(links)
    forms = ("A door leads from the {0} to the {1}.", "The {0} has a door to the {1}.")
    told = [rng.choice(forms).format(*[name(scene, i) for i in rng.sample(link, 2)]) for link in links]
    far = [(a, b) for a in bits(scene.rooms) for b in bits(scene.rooms) if len(way_between(links, a, b)) >= 3]
    if not far:
        return None
    a, b = rng.choice(far)
    way = [name(scene, i) for i in way_between(links, a, b)]
    every = room_names(scene)
    wrong = [w for w in wrong_ways(way, every) if w[0] == way[0] and w[-1] == way[-1]]
    wrong += [[way[0], other, *way[1:]] for other in every if other not in way]
    questions = (
        f"Which rooms do you pass from the {way[0]} to the {way[-1]}, both included?",
        f"How do you get from the {way[0]} to the {way[-1]}? Name the rooms in order.",
    )
    return ask("path_finding", rng, seed, split, " ".join(told), questions, ", ".join(way),
               [", ".join(w) for w in wrong])  # fmt: skip


def way_between(links: Sequence[tuple[int, ...]], start: int, end: int) -> list[int]:
    """The shortest way through doors, both rooms included; empty where there is none."""
    before: dict[int, int | None] = {start: None}
    queue = deque([start])
    while queue:
        room = queue.popleft()
        for link in links:
            if room in link:
                other = link[0] if link[1] == room else link[1]
                if other not in before:
                    before[other] = room
                    queue.append(other)
    way: list[int] = []
    at: int | None = end if end in before else None
    while at is not None:
        way.append(at)
        at = before[at]
    return way[::-1]


MAKERS: dict[str, Maker] = {
    maker.__name__: maker
    for maker in (
        single_supporting_fact, two_supporting_facts, three_supporting_facts, counting, lists, deduction_by_location,
        path_finding, counting_qa, object_path_tracking, object_location_qa,
    )
}  # fmt: skip

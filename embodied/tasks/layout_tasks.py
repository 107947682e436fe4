"""Questions about a home's layout as a text describes it: which room a thing is in, and the way through the doors.

Boundary: asks, as `story_tasks` does, about descriptions in which nothing happens.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence

from embodied.homes import generate_home
from embodied.splits import Split
from embodied.tasks.item import Item
from embodied.tasks.story import places, portable
from embodied.tasks.story_tasks import Maker, ask
from embodied.wording import be, name, say_place
from embodied.world.scene import bits
from embodied.world.state import initial

Link = tuple[int, int]
"""Two rooms with a door between them."""


def deduction_by_location(rng: random.Random, seed: int, split: Split) -> Item | None:
    """A thing is on a place, the place is in a room: in which room is the thing? One thing of each room is told of."""
    scene = generate_home(seed)
    start = initial(scene)
    spots = {name(scene, i) for i in places(scene)}
    chains: dict[str, list[tuple[str, str, str]]] = {}
    for thing in portable(scene):
        place, room = say_place(start, thing), start.room(thing)
        holder = (place or "").partition(" the ")[2]
        if place and room is not None and holder in spots:
            chains.setdefault(name(scene, room), []).append((name(scene, thing), place, holder))
    told = {room: rng.choice(found) for room, found in sorted(chains.items())}
    if len(told) < 4:
        return None
    sentences = [f"The {thing} {be(thing)} {place}." for thing, place, _ in told.values()]
    sentences += [f"The {holder} is in the {room}." for room, (_, _, holder) in told.items()]
    rng.shuffle(sentences)
    room = rng.choice(sorted(told))
    thing = told[room][0]
    questions = (f"In which room {be(thing)} the {thing}?", f"Which room would you find the {thing} in?")
    return ask("deduction_by_location", rng, seed, split, " ".join(sentences), questions, room, sorted(told))


def path_finding(rng: random.Random, seed: int, split: Split) -> Item | None:
    """Which rooms lie on the way from one room to another, given the doors? Wrong ways are right with other doors."""
    scene = generate_home(seed)
    doors: dict[int, list[int]] = {}
    for door, room in sorted(scene.between):
        doors.setdefault(door, []).append(room)
    links = [(a, b) for a, b in doors.values()]
    rooms = list(bits(scene.rooms))
    far = [(a, b) for a in rooms for b in rooms if len(way_between(links, a, b)) >= 3]
    if not far:
        return None
    rng.shuffle(links)
    forms = ("A door leads from the {0} to the {1}.", "The {0} has a door to the {1}.")
    told = [rng.choice(forms).format(*[name(scene, i) for i in rng.sample(link, 2)]) for link in links]
    a, b = rng.choice(far)
    way, wrong = way_between(links, a, b), set[tuple[int, ...]]()
    for _ in range(200):
        other = tuple(way_between(other_doors(rng, rooms), a, b))
        if len(wrong) < 3 and len(other) >= 3 and other != tuple(way):
            wrong.add(other)
    here, there = name(scene, a), name(scene, b)
    questions = (
        f"Which rooms do you pass from the {here} to the {there}, both included?",
        f"How do you get from the {here} to the {there}? Name the rooms in order.",
    )
    said = [", ".join(name(scene, i) for i in each) for each in (way, *sorted(wrong))]
    return ask("path_finding", rng, seed, split, " ".join(told), questions, said[0], said[1:])


def other_doors(rng: random.Random, rooms: Sequence[int]) -> list[Link]:
    """Doors as another home with these rooms might have them."""
    order = rng.sample(rooms, len(rooms))
    return [(rng.choice(order[:at]), room) for at, room in enumerate(order) if at]


def way_between(links: Sequence[Link], start: int, end: int) -> list[int]:
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


LAYOUT_MAKERS: dict[str, Maker] = {maker.__name__: maker for maker in (deduction_by_location, path_finding)}

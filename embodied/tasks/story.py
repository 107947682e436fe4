"""Stories: somebody carries things about a home, told in sentences, with the world's state after each.

Every sentence is a step that the simulator did, so the world knows every answer. Only things with a name of their own
take part. Other people may walk about meanwhile, so that a room's name alone says nothing about the one who is asked
about. Boundary: makes stories; questions are in `story_tasks`, and the reader that checks them in `verify`.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from itertools import takewhile
from typing import NamedTuple

from embodied.homes import generate_home
from embodied.repair import Repaired, repair
from embodied.wording import holds_things, name
from embodied.world.scene import INSIDE, ON, Scene, bits
from embodied.world.simulator import Simulator, Step
from embodied.world.state import State, initial
from embodied.world.vocabulary import PROPERTY_BIT, Action

PEOPLE = (
    "Anna",
    "Ben",
    "Clara",
    "David",
    "Emma",
    "Felix",
    "Greta",
    "Hugo",
    "Ida",
    "Jonas",
    "Lena",
    "Max",
    "Nora",
    "Otto",
)
GO = ("{who} goes to the {room}.", "{who} walks into the {room}.", "Then {who} moves to the {room}.")
TAKE = ("{who} picks up the {thing}.", "{who} takes the {thing}.", "There {who} gets the {thing}.")
NOT_FIRST = "Then "
"""A sentence with this word needs one before it."""
ON_ARRIVAL = "There "
"""A sentence with this word needs one before it in which the same person goes somewhere."""
PUT = ("{who} puts the {thing} {on} the {place}.", "{who} leaves the {thing} {on} the {place}.")
DROP = ("{who} drops the {thing}.", "{who} puts down the {thing} right there.")
P = PROPERTY_BIT


class Told(NamedTuple):
    """One sentence, with the world after it and what it is about."""

    text: str
    state: State
    who: str
    room: int = -1
    """The room that the person went to."""
    thing: int = -1
    """The thing that the person handled."""
    spot: str = ""
    """Where it was put, such as `on the table`."""


@dataclass
class Story:
    """A story under way. The other people walk in a state of their own each: they touch nothing."""

    simulator: Simulator
    who: str
    start: State
    told: list[Told] = field(default_factory=list)
    others: dict[str, State] = field(default_factory=dict)

    @property
    def scene(self) -> Scene:
        return self.simulator.scene

    @property
    def state(self) -> State:
        """The world now."""
        return self.told[-1].state if self.told else self.start

    @property
    def text(self) -> str:
        return " ".join(told.text for told in self.told)

    @property
    def things(self) -> list[int]:
        """The things that were handled, in the order they are first mentioned."""
        return list(dict.fromkeys(told.thing for told in self.told if told.thing >= 0))

    @property
    def spots(self) -> list[str]:
        """Where things were put."""
        return list(dict.fromkeys(told.spot for told in self.told if told.spot))

    @property
    def whereabouts(self) -> dict[str, int]:
        """Each person's room, of those whose room was told."""
        return {told.who: told.room for told in self.told if told.room >= 0}

    @property
    def rooms(self) -> list[str]:
        """The names of all rooms that somebody went to."""
        return sorted({name(self.scene, told.room) for told in self.told if told.room >= 0})

    def tell(
        self, rng: random.Random, forms: tuple[str, ...], after: State, *, who: str = "", room: int = -1,
        thing: int = -1, place: int = -1,
    ) -> None:  # fmt: skip
        """Add a sentence about a person (by default the one who carries) and the state after it."""
        who = who or self.who
        arrived = bool(self.told) and self.told[-1].who == who and self.told[-1].room >= 0
        fitting = [
            form
            for form in forms
            if (self.told or not form.startswith(NOT_FIRST)) and (arrived or not form.startswith(ON_ARRIVAL))
        ]
        words = {word: name(self.scene, i) for word, i in (("room", room), ("thing", thing)) if i >= 0}
        spot = ""
        if place >= 0:
            words |= {"place": name(self.scene, place), "on": "in" if holds_things(self.scene, place) else "on"}
            spot = "{on} the {place}".format(**words)
        self.told.append(Told(rng.choice(fitting).format(who=who, **words), after, who, room, thing, spot))

    def until(self, count: int) -> Story:
        """The story as far as its first `count` sentences."""
        return Story(self.simulator, self.who, self.start, self.told[:count])

    def rooms_of(self, thing: int) -> list[int]:
        """The rooms a thing was in, in order, without repeats in a row."""
        found: list[int] = []
        for state in (self.start, *(told.state for told in self.told)):
            room = state.room(thing)
            if room is not None and (not found or found[-1] != room):
                found.append(room)
        return found

    def room_is_told(self, thing: int) -> bool:
        """Whether the text has told the person's room by the time the thing was first handled."""
        before = takewhile(lambda told: told.thing != thing, self.told)
        return any(told.who == self.who and told.room >= 0 for told in before)


def own_names(scene: Scene) -> set[int]:
    """Things of the home that no other thing is called the same as."""
    count = Counter(node.spoken for node in scene.nodes)
    return {i for i, node in enumerate(scene.nodes) if count[node.spoken] == 1}


def portable(scene: Scene) -> list[int]:
    """Things that a story may carry: named uniquely, and nothing else depends on them."""
    base = initial(scene)
    full = {place for i in range(len(scene)) for place in bits(base.row(ON, i) | base.row(INSIDE, i))}
    own, unfit = own_names(scene), P["SITTABLE"] | P["HAS_PLUG"]
    return [
        i
        for i, mask in enumerate(scene.properties)
        if mask & P["GRABBABLE"] and not mask & unfit and i not in full and i in own
    ]


def places(scene: Scene) -> list[int]:
    """Furniture to put things on or in, named uniquely."""
    able = P["SURFACES"] | P["CONTAINERS"]
    own = own_names(scene)
    return [
        i
        for i, mask in enumerate(scene.properties)
        if mask & able and not mask & P["GRABBABLE"] and not scene.rooms >> i & 1 and i in own
    ]


def put_relation(scene: Scene, place: int) -> Action:
    """Whether things go on or in a place."""
    return Action.PUTIN if holds_things(scene, place) else Action.PUTBACK


def tell_story(
    rng: random.Random, seed: int, *, events: int, focus: int | None = None, few: int = 4, others: int = 0
) -> Story:
    """A story of about `events` sentences in a generated home; `few` things take part, so that they come again.

    With `focus`, half of the puttings are on that place. `others` is how many more people walk about.
    """
    simulator = Simulator(generate_home(seed))
    scene = simulator.scene
    who, *company = rng.sample(PEOPLE, 1 + others)
    story = Story(simulator, who, initial(scene))
    story.others = dict.fromkeys(company, story.start)
    things, spots = portable(scene), places(scene)
    rng.shuffle(things)
    if focus is not None:
        near = [i for i in things if story.start.row(ON, i) >> focus & 1]
        things = near[:few] + [i for i in things if i not in near]
    cast = things[:few]
    for _ in range(events * 3):
        if len(story.told) >= events:
            break
        if company and rng.random() < 0.4:
            stroll(story, rng, rng.choice(company))
            continue
        held = [i for i in story.state.holding() if i in cast]
        free = [i for i in cast if i not in held]
        luck = rng.random()
        if len(held) < 2 and free and (luck < 0.45 or not held):
            carry(story, rng, Step(Action.GRAB, rng.choice(free)), TAKE)
        elif held and luck < 0.85:
            thing = rng.choice(held)
            place = focus if focus is not None and rng.random() < 0.5 else rng.choice(spots)
            carry(story, rng, Step(put_relation(scene, place), thing, place), PUT)
        elif held and luck < 0.93:
            carry(story, rng, Step(Action.DROP, rng.choice(held)), DROP)
        else:
            room = rng.choice(list(bits(scene.rooms)))
            if story.state.room(simulator.me) != room:
                after = simulator.step(story.state, Step(Action.WALK, room))
                if isinstance(after, State):
                    story.tell(rng, GO, after, room=room)
    return story


def stroll(story: Story, rng: random.Random, who: str) -> None:
    """Let another person go to another room."""
    state = story.others[who]
    room = rng.choice([i for i in bits(story.scene.rooms) if i != state.room(story.simulator.me)])
    after = story.simulator.step(state, Step(Action.WALK, room))
    if isinstance(after, State):
        story.others[who] = after
        story.tell(rng, GO, story.state, who=who, room=room)


def carry(story: Story, rng: random.Random, step: Step, forms: tuple[str, ...]) -> None:
    """Do a carrying step with all it needs; tell the change of room first, where there is one."""
    simulator, before = story.simulator, story.state
    done = repair(simulator, [step], before)
    if not isinstance(done, Repaired) or any(s.action is Action.DROP and s != step for s in done.steps):
        return
    here, there = before.room(simulator.me), done.end.room(simulator.me)
    if there is not None and here != there:
        gone = simulator.step(before, Step(Action.WALK, there))
        if not isinstance(gone, State):
            return
        done = repair(simulator, [step], gone)
        if not isinstance(done, Repaired):
            return
        story.tell(rng, GO, gone, room=there)
    story.tell(rng, forms, done.end, thing=step.target, place=step.second)

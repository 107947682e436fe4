"""Stories: somebody carries things about a home, told in sentences, with the world's state after each.

Every sentence is a step that the simulator did, so the world knows every answer. Only things with a name of their own
take part. Boundary: makes stories; questions are in `story_tasks`, and the reader that checks them in `verify`.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

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
PUT = ("{who} puts the {thing} {on} the {place}.", "{who} leaves the {thing} {on} the {place}.")
DROP = ("{who} drops the {thing}.", "{who} puts down the {thing} right there.")
P = PROPERTY_BIT


@dataclass
class Story:
    """A story under way. `states[i]` is the world after `sentences[i]`."""

    simulator: Simulator
    who: str
    start: State
    sentences: list[str] = field(default_factory=list)
    states: list[State] = field(default_factory=list)
    things: list[int] = field(default_factory=list)

    @property
    def scene(self) -> Scene:
        return self.simulator.scene

    @property
    def state(self) -> State:
        """The world now."""
        return self.states[-1] if self.states else self.start

    def tell(self, rng: random.Random, forms: tuple[str, ...], after: State, **words: str) -> None:
        """Add a sentence and the state after it."""
        self.sentences.append(rng.choice(forms).format(who=self.who, **words))
        self.states.append(after)

    def rooms_of(self, thing: int) -> list[int]:
        """The rooms a thing was in, in order, without repeats in a row."""
        found: list[int] = []
        for state in (self.start, *self.states):
            room = state.room(thing)
            if room is not None and (not found or found[-1] != room):
                found.append(room)
        return found


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


def tell_story(rng: random.Random, seed: int, *, events: int, focus: int | None = None, few: int = 4) -> Story:
    """A story of about `events` carrying events in a generated home; `few` things take part, so that they come again.

    With `focus`, half of the events take from or put on that place.
    """
    simulator = Simulator(generate_home(seed))
    scene = simulator.scene
    story = Story(simulator, rng.choice(PEOPLE), initial(scene))
    things, spots = portable(scene), places(scene)
    rng.shuffle(things)
    if focus is not None:
        near = [i for i in things if story.start.row(ON, i) >> focus & 1]
        things = near[:few] + [i for i in things if i not in near]
    cast = things[:few]
    for _ in range(events * 3):
        if len(story.sentences) >= events:
            break
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
            room = rng.choice([i for i in range(len(scene)) if scene.rooms >> i & 1])
            if story.state.room(simulator.me) != room:
                after = simulator.step(story.state, Step(Action.WALK, room))
                if isinstance(after, State):
                    story.tell(rng, GO, after, room=name(scene, room))
    return story


def carry(story: Story, rng: random.Random, step: Step, forms: tuple[str, ...]) -> None:
    """Do a carrying step with all it needs; tell the change of room first, where there is one."""
    simulator, scene, before = story.simulator, story.scene, story.state
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
        story.tell(rng, GO, gone, room=name(scene, there))
    words = {"thing": name(scene, step.target)}
    if step.second >= 0:
        words |= {"place": name(scene, step.second), "on": "in" if holds_things(scene, step.second) else "on"}
    story.tell(rng, forms, done.end, **words)
    if step.target not in story.things:
        story.things.append(step.target)

"""Random exploration: an embodied agent without a goal does what it can, and notes what it did, what moved, and
what is where at the end (arXiv 2305.10626, section 3.1).

Boundary: walks and records in one home; files and process pools are in `collect`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import pairwise

from embodied.world.program import render_line
from embodied.world.scene import INSIDE_BY, ON_BY, bits
from embodied.world.simulator import Simulator, Step
from embodied.world.state import State, initial, where
from embodied.world.vocabulary import PROPERTY_BIT, TWO_OBJECTS, Action, arity

MOVING = (Action.WALK, Action.GRAB, Action.PUTBACK, Action.PUTIN, Action.DROP, Action.POUR)
"""Drawn more often than the rest: exploration should move things about."""
CONTENT_FREE = frozenset({Action.RUN, Action.RELEASE, Action.POINTAT})
"""Same effect as another action, or none; left out of exploration."""


@dataclass(frozen=True)
class Move:
    """A thing changed its place at a step (from 0). Places are as `where` gives them."""

    step: int
    thing: int
    before: tuple[str, int] | None
    after: tuple[str, int] | None


@dataclass(frozen=True)
class Exploration:
    """A finished exploration: the steps that succeeded, with every state before, between and after them."""

    steps: tuple[Step, ...]
    trail: tuple[State, ...]
    moves: tuple[Move, ...]

    def lines(self) -> list[str]:
        """The steps as program lines."""
        return [render_line(step, self.trail[0].scene) for step in self.steps]


def random_step(simulator: Simulator, state: State, rng: random.Random) -> Step:
    """A step with a fair chance of success: things at hand, then within reach, then anywhere."""
    action = rng.choice(MOVING) if rng.random() < 0.6 else rng.choice(USUAL)
    held = state.holding()
    near = state.related(simulator.me, "CLOSE")

    def anything() -> int:
        """Rooms are few among many nodes; walls and floors are many and dull: draw by class first."""
        names = list(simulator.scene.by_name)
        return rng.choice(simulator.scene.by_name[rng.choice(names)])

    def pick(first: bool) -> int:
        luck = rng.random()
        if first and held and (action in TWO_OBJECTS or luck < 0.3):
            return rng.choice(held)
        if near and luck < 0.85 and action is not Action.WALK:
            place = rng.choice(near)
            inside = list(bits(state.row(INSIDE_BY, place) | state.row(ON_BY, place)))
            return rng.choice(inside) if first and inside and rng.random() < 0.5 else place
        return anything()

    return Step(action, *[pick(i == 0) for i in range(arity(action))])


def plausible(simulator: Simulator, step: Step) -> bool:
    """Whether a person would try it. The world's rules allow a plate on itself or a lamp put on a wall; what people
    learn from should not hold that, so things go on surfaces and into containers, and not the character.
    """
    if step.target == simulator.me or step.second == simulator.me:
        return False
    if step.action not in TWO_OBJECTS:
        return True
    if step.target == step.second or simulator.scene.nodes[step.second].category in DULL:
        return False
    wants = PLACES.get(step.action, 0)
    return not wants or bool(simulator.properties[step.second] & wants)


PLACES = {
    Action.PUTBACK: PROPERTY_BIT["SURFACES"],
    Action.PUTIN: PROPERTY_BIT["CONTAINERS"] | PROPERTY_BIT["RECIPIENT"],
}
"""What a place needs so that things are put on it or in it."""
DULL = frozenset({"Walls", "Floor", "Floors", "Ceiling"})
USUAL = tuple(action for action in Action if action not in CONTENT_FREE)


def walk_about(
    simulator: Simulator,
    rng: random.Random,
    *,
    steps: int,
    start: State | None = None,
    record: list[Step] | None = None,
) -> list[State]:
    """Do up to `steps` random steps that change something; returns the states passed, the start first."""
    state = initial(simulator.scene) if start is None else start
    trail = [state]
    for _ in range(steps * 60):
        if len(trail) > steps:
            break
        step = random_step(simulator, state, rng)
        if not plausible(simulator, step):
            continue
        after = simulator.step(state, step)
        if isinstance(after, State) and after is not state and after != state:
            state = after
            trail.append(state)
            if record is not None:
                record.append(step)
    return trail


def explore(simulator: Simulator, seed: int, *, steps: int = 20, start: State | None = None) -> Exploration:
    """Explore a home with `steps` successful random steps. Equal seeds repeat it exactly."""
    taken: list[Step] = []
    trail = walk_about(simulator, random.Random(f"explore-{seed}"), steps=steps, start=start, record=taken)
    moves = []
    for at, (before, after) in enumerate(pairwise(trail)):
        things = {place % simulator.n for place in before.rows.keys() | after.rows.keys()}
        things |= set(before.holding()) | set(after.holding())
        for thing in sorted(things - {simulator.me}):
            old, new = where(before, thing), where(after, thing)
            if old != new:
                moves.append(Move(at, thing, old, new))
    return Exploration(tuple(taken), tuple(trail), tuple(moves))


def contents(state: State) -> dict[int, list[int]]:
    """What lies on or in each place that is no room, wall or floor: place index to thing indexes."""
    scene = state.scene
    found = {}
    for place, node in enumerate(scene.nodes):
        if scene.rooms >> place & 1 or node.category in DULL or place == scene.character:
            continue
        things = list(bits(state.row(ON_BY, place) | state.row(INSIDE_BY, place)))
        if things:
            found[place] = things
    return found

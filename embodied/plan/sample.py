"""Sampling goals that a plan exists for: explore at random, and take some of what changed.

Boundary: uses `explore` for the random walk; the goal says nothing about how the walk got there.
"""

from __future__ import annotations

import random

from embodied.errors import GoalError
from embodied.explore import walk_about
from embodied.plan.goal import Fact, Goal, goal_between
from embodied.world.scene import ON, STATE
from embodied.world.simulator import Simulator
from embodied.world.state import State, initial


def sample_goal(simulator: Simulator, seed: int, *, facts: int = 4, start: State | None = None) -> Goal:
    """A goal of 1 to `facts` facts that a random walk of the home reached, so that a plan exists.

    A walk that changed nothing is walked again with the next seed.
    """
    start = initial(simulator.scene) if start is None else start
    me = simulator.me
    for attempt in range(100):
        rng = random.Random(f"goal-{seed}-{attempt}")
        end = walk_about(simulator, rng, steps=rng.randint(5, 60), start=start)[-1]
        try:
            changed = list(goal_between(start, end).facts)
        except GoalError:
            continue
        rng.shuffle(changed)
        chosen = changed[: rng.randint(1, facts)]
        posture: list[Fact] = [f for f in changed if f.node == me and f.kind in (ON, STATE)]
        if any(fact in posture for fact in chosen):  # sitting without the seat could be met by any seat, or by none
            chosen += [fact for fact in posture if fact not in chosen]
        return Goal(simulator.scene, tuple(sorted(chosen)))
    raise GoalError(f"random walks from seed {seed} change nothing in {simulator.scene.name}. Use a home with objects.")

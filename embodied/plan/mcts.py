"""Monte Carlo tree search for plans: PUCT selection, discounted returns, one node per state.

The return of a path is sum_t gamma^t r_t, where r_t is the change in the fraction of goal facts that hold, so it is
backed up as G <- r + gamma G from the leaf to the root. A step is chosen by the largest
Q(s,a) + c P(s,a) sqrt(N(s)) / (1 + N(s,a)).
States met on several paths share one node (transposition table), statistics live on the edges. A leaf is valued by a
short rollout of the priors; no path comes back to a state it passed. The first plan found ends the search and is
shortened by leaving steps out.
Boundary: one search in one process; many in a pool are run by `embodied.collect`.
"""

from __future__ import annotations

import random
import time
from bisect import bisect
from dataclasses import dataclass, field
from itertools import accumulate
from math import sqrt

from pydantic import BaseModel, ConfigDict, Field

from embodied.plan.goal import Goal
from embodied.plan.moves import Proposer
from embodied.world.program import execute
from embodied.world.simulator import Failure, Simulator, Step
from embodied.world.state import State, initial


class SearchSettings(BaseModel):
    """How a search runs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    simulations: int = Field(default=2_000, ge=1, description="Budget: simulations before giving up.")
    gamma: float = Field(default=0.97, gt=0.0, le=1.0, description="Discount per step.")
    exploration: float = Field(default=1.0, ge=0.0, description="PUCT's c.")
    depth: int = Field(default=60, ge=1, description="Longest path, in steps.")
    rollout: int = Field(default=12, ge=0, description="Longest rollout, in steps.")
    stop_early: bool = Field(default=True, description="End with the first plan; otherwise use the whole budget.")
    seed: int = Field(default=0, ge=0, description="Equal seeds repeat a search exactly.")


@dataclass(frozen=True)
class Found:
    """A search's result. `plan` reaches `reached` (a fraction) of the goal; it is the best partial one where not all
    could be reached within the budget, and `note` then says so.
    """

    plan: tuple[Step, ...]
    reached: float
    simulations: int
    states: int
    seconds: float = field(compare=False)
    note: str = ""

    @property
    def ok(self) -> bool:
        """Whether the whole goal is reached."""
        return self.reached == 1.0


class _Edge:
    __slots__ = ("child", "count", "prior", "reward", "step", "total")

    def __init__(self, step: Step, prior: float) -> None:
        self.step, self.prior = step, prior
        self.child: _Node | None = None
        self.reward = self.total = 0.0
        self.count = 0


class _Node:
    __slots__ = ("count", "edges", "reached", "state")

    def __init__(self, state: State, reached: float) -> None:
        self.state, self.reached = state, reached
        self.edges: list[_Edge] | None = None
        self.count = 0


class _Search:
    def __init__(self, simulator: Simulator, goal: Goal, start: State, settings: SearchSettings) -> None:
        self.simulator, self.goal, self.settings = simulator, goal, settings
        self.proposer = Proposer(simulator, goal, start)
        self.rng = random.Random(settings.seed)
        self.root = _Node(start, goal.reached(start))
        self.table: dict[object, _Node] = {start.key: self.root}
        self.best: tuple[float, tuple[Step, ...]] = (self.root.reached, ())

    def note_best(self, reached: float, steps: list[Step]) -> None:
        """Keep the plan that reaches most, the shorter of two equals."""
        if reached > self.best[0] or (reached == self.best[0] and len(steps) < len(self.best[1])):
            self.best = (reached, tuple(steps))

    def simulate(self) -> None:
        """One selection, expansion, rollout and backup."""
        settings, node = self.settings, self.root
        path: list[_Edge] = []
        steps: list[Step] = []
        passed = {node}
        value = 0.0
        while len(path) < settings.depth and node.reached < 1.0:
            if node.edges is None:
                self.expand(node)
                value = self.rollout(node, steps)
                break
            edge = self.select(node, passed)
            if edge is None:  # nothing new can be done here
                break
            path.append(edge)
            steps.append(edge.step)
            assert edge.child is not None
            node = edge.child
            passed.add(node)
        self.note_best(node.reached, steps)
        for edge in reversed(path):
            value = edge.reward + settings.gamma * value
            edge.count += 1
            edge.total += value
        for at in passed:
            at.count += 1

    def expand(self, node: _Node) -> None:
        """Give a node its edges; the steps themselves are tried when selected."""
        proposed = self.proposer.propose(node.state, self.goal.missing(node.state))
        total = sum(weight for _, weight in proposed) or 1.0
        node.edges = [_Edge(step, weight / total) for step, weight in proposed]

    def select(self, node: _Node, passed: set[_Node]) -> _Edge | None:
        """The best edge by PUCT that the world allows; edges it forbids are dropped. None leads back to a node that the
        path has passed: counts do not change on the way down, so it would go round until the depth is used up.
        """
        edges = node.edges or []
        while edges:
            scale = self.settings.exploration * sqrt(node.count + 1)
            best, best_score = None, float("-inf")
            for edge in edges:
                if edge.child in passed:
                    continue
                count = edge.count
                score = edge.prior * scale / (1 + count)
                if count:
                    score += edge.total / count
                if score > best_score:
                    best, best_score = edge, score
            if best is None:
                return None
            if best.child is not None:
                return best
            if not self.follow(node, best):
                edges.remove(best)
        return None

    def follow(self, node: _Node, edge: _Edge) -> bool:
        """Try an edge's step; False where the world refuses it or it changes nothing."""
        after = self.simulator.step(node.state, edge.step)
        if isinstance(after, Failure) or after is node.state:
            return False
        key = after.key
        child = self.table.get(key)
        if child is None:
            child = self.table[key] = _Node(after, self.goal.reached(after))
        elif child is node:
            return False
        edge.child, edge.reward = child, child.reached - node.reached
        return True

    def rollout(self, node: _Node, steps: list[Step]) -> float:
        """The discounted return of following the priors at random from a node."""
        state, reached, value, discount = node.state, node.reached, 0.0, 1.0
        simulator, propose, goal, random_ = self.simulator, self.proposer.propose, self.goal, self.rng.random
        taken = list(steps)
        for _ in range(self.settings.rollout):
            missing = goal.missing(state)
            proposed = propose(state, missing)
            if not proposed:
                break
            weights = list(accumulate(weight for _, weight in proposed))
            for _ in range(3):
                step = proposed[bisect(weights, random_() * weights[-1])][0]
                after = simulator.step(state, step)
                if isinstance(after, State):
                    break
            else:
                break
            taken.append(step)
            if after is state:
                discount *= self.settings.gamma
                continue
            state = after
            now = goal.reached(state)
            value += discount * (now - reached)
            discount *= self.settings.gamma
            if now > reached:
                self.note_best(now, taken)
            reached = now
            if reached == 1.0:
                break
        return value


def search(
    simulator: Simulator, goal: Goal, start: State | None = None, settings: SearchSettings | None = None
) -> Found:
    """Search for a plan from `start` (the scene as built, if None) to `goal`."""
    settings = settings or SearchSettings()
    start = initial(simulator.scene) if start is None else start
    began = time.perf_counter()
    run = _Search(simulator, goal, start, settings)
    done = 0
    while done < settings.simulations and not (run.best[0] == 1.0 and settings.stop_early):
        run.simulate()
        done += 1
    reached, plan = run.best
    plan, reached = shorten(simulator, goal, start, plan, reached)
    note = ""
    if reached < 1.0:
        lacks = goal.missing(execute(simulator, plan, start).state)
        words = ", ".join(Goal(goal.scene, tuple(lacks)).describe())
        note = f"no plan within {done} simulations; the best one lacks {words}"
    return Found(plan, reached, done, len(run.table), time.perf_counter() - began, note)


def shorten(
    simulator: Simulator, goal: Goal, start: State, plan: tuple[Step, ...], reached: float
) -> tuple[tuple[Step, ...], float]:
    """The plan without every step, or pair of steps, that it runs without and reaches as much, and what it reaches.

    That is more than before where a step undid a part of the goal.
    """
    for size in (1, 2, 1):
        at = len(plan) - size
        while at >= 0:
            shorter = plan[:at] + plan[at + size :]
            outcome = execute(simulator, shorter, start)
            if outcome.ok and (now := goal.reached(outcome.state)) >= reached:
                plan, reached = shorter, now
                at = min(at, len(plan)) - size
            else:
                at -= 1
    return plan, reached

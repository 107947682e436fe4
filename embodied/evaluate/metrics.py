"""Scores of one answer, and intervals over many: ROUGE-L, longest common steps, running a plan, the bootstrap.

Boundary: numbers from texts and plans; no model here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from embodied.errors import GoalError, ProgramError
from embodied.plan.goal import Fact, Goal, goal_from_text
from embodied.reading import NUMBERING, Memory, leads_nowhere, read_step
from embodied.repair import Repaired, repair
from embodied.world.scene import INSIDE, LEFT, ON, RIGHT, STATE, Scene
from embodied.world.simulator import Simulator
from embodied.world.state import State, initial

RESAMPLES = 2_000
LONGEST_PLAN = 80
LISTED = re.compile(r"\s*(?:(?:step\s*)?\d+\s*[.):\-]|[-*•])", re.IGNORECASE)


def lcs_length(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(b) + 1)
    for x in a:
        before = 0
        for j, y in enumerate(b, 1):
            row[j], before = (before + 1 if x == y else max(row[j], row[j - 1])), row[j]
    return row[-1]


def rouge_l(candidate: str, reference: str) -> float:
    """ROUGE-L F1 over lower-case words (Lin 2004, section 3), 0 to 1."""
    a, b = (re.findall(r"[a-z0-9]+", text.lower()) for text in (candidate, reference))
    common = lcs_length(a, b)
    return 2 * common / (len(a) + len(b)) if common else 0.0


def plan_steps(text: str) -> list[str]:
    """The steps of a written plan: one a line, without numbering and final dots; prose before the first is left out."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    numbered = [line for line in lines if LISTED.match(line)]  # "then" and "next" begin steps of prose as well
    return [NUMBERING.sub("", line).strip(" .").lower() for line in (numbered or lines)][:LONGEST_PLAN]


def step_overlap(candidate: str, reference: str) -> float:
    """Longest common subsequence of steps, as a fraction of the longer plan."""
    a, b = plan_steps(candidate), plan_steps(reference)
    return lcs_length(a, b) / max(len(a), len(b), 1)


class PlanRun(NamedTuple):
    """How a written plan fared: whether every step could be done, the share done, and the share of the goal reached;
    and once it was mended, whether it runs, what it then reaches, and how many changes that took.
    """

    executable: bool
    done: float
    goal: float | None
    mended: bool
    mended_goal: float | None
    changes: int = 0

    @property
    def rank(self) -> tuple[bool, bool, int]:
        """Lower is better, by the world alone (not the goal): runs as it stands, runs once mended, changes."""
        return not self.executable, not self.mended, self.changes


def run_plan(text: str, scene: Scene, goal: Sequence[str]) -> PlanRun:
    """Run a written plan as it stands until a step cannot be read or done, and again as the tool mends it."""
    simulator, memory = Simulator(scene), Memory()
    state, done = initial(scene), 0
    steps = plan_steps(text)
    for sentence in steps:
        try:
            after = simulator.step(state, read_step(sentence, simulator, state, memory))
        except ProgramError:
            break
        if not isinstance(after, State):
            break
        state, done = after, done + 1
    again = Memory()
    kept = [sentence for sentence in steps if not leads_nowhere(sentence, simulator)]
    readers = [lambda now, sentence=sentence: read_step(sentence, simulator, now, again) for sentence in kept]
    mended = repair(simulator, readers)
    works = mended if isinstance(mended, Repaired) and mended.steps else None
    try:
        wanted = goal_from_text(goal, scene) if goal else None
    except GoalError:
        wanted = None
    return PlanRun(
        executable=bool(steps) and done == len(steps),
        done=done / max(len(steps), 1),
        goal=reached_alike(wanted, state) if wanted else None,
        mended=works is not None,
        mended_goal=None if wanted is None else reached_alike(wanted, works.end) if works else 0.0,
        changes=len(works.changes) + len(steps) - len(kept) if works else 0,
    )


def reached_alike(goal: Goal, state: State) -> float:
    """How much of a goal a state reaches when things of one class are worth the same: any light will do for a light.

    Facts are grouped by class. A group of states counts as many of its facts as there are more such things than at the
    start, a group of places as many as there are. Being on and being in a place are one, because recordings put things
    "on" what holds them.
    """
    scene = goal.scene

    def group(fact: Fact) -> tuple[object, ...]:
        if fact.kind == STATE:
            return STATE, scene.nodes[fact.node].name, fact.bit
        other = scene.nodes[fact.other]
        at = RIGHT if fact.kind == RIGHT else ON
        return at, scene.nodes[fact.node].name, other.name

    def count(key: tuple[object, ...], now: State) -> int:
        kind, name, other = key
        nodes = scene.by_name[str(name)]
        if kind == STATE:
            return sum(bool(now.row(STATE, i) & int(str(other))) for i in nodes)
        targets = sum(1 << i for i in scene.by_name[str(other)])
        if kind == RIGHT:
            return ((now.row(RIGHT, scene.character) | now.row(LEFT, scene.character)) & targets).bit_count()
        return sum(bool((now.row(ON, i) | now.row(INSIDE, i)) & targets) for i in nodes)

    wanted = Counter(group(fact) for fact in goal.facts)
    start = initial(scene)
    got = 0
    for key, number in wanted.items():
        gained = count(key, state) - (count(key, start) if key[0] == STATE else 0)
        got += min(number, max(0, gained))
    return got / sum(wanted.values())


def interval(values: Sequence[float], *, seed: int = 0) -> tuple[float, float]:
    """95% bootstrap interval of the mean: percentiles over resampled items."""
    if not values:
        return 0.0, 0.0
    rng = np.random.default_rng(seed)
    array = np.asarray(values, dtype=np.float64)
    means = array[rng.integers(0, len(array), (RESAMPLES, len(array)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)

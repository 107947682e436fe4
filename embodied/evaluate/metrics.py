"""Scores of one answer, and intervals over many: ROUGE-L, longest common steps, running a plan, the bootstrap.

Boundary: numbers from texts and plans; no model here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import reduce
from operator import and_, or_
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

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
    """How a written plan fared: whether every step could be done, the share done, and the share of the goal that it
    brought about, none where a step could not be done; and once it was mended, whether it runs, what it then brings
    about, and how many changes that took.
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
    states = [initial(scene)]
    steps = plan_steps(text)
    for sentence in steps:
        try:
            after = simulator.step(states[-1], read_step(sentence, simulator, states[-1], memory))
        except ProgramError:
            break
        if not isinstance(after, State):
            break
        states.append(after)
    done = len(states) - 1
    again = Memory()
    kept = [sentence for sentence in steps if not leads_nowhere(sentence, simulator)]
    readers = [lambda now, sentence=sentence: read_step(sentence, simulator, now, again) for sentence in kept]
    mended = repair(simulator, readers)
    works = mended if isinstance(mended, Repaired) and mended.steps else None
    try:
        wanted = goal_from_text(goal, scene) if goal else None
    except GoalError:
        wanted = None
    executable = bool(steps) and done == len(steps)
    return PlanRun(
        executable=executable,
        done=done / max(len(steps), 1),
        goal=None if wanted is None else brought_about(wanted, states) if executable else 0.0,
        mended=works is not None,
        mended_goal=None if wanted is None else brought_about(wanted, passed(simulator, works)) if works else 0.0,
        changes=len(works.changes) + len(steps) - len(kept) if works else 0,
    )


def passed(simulator: Simulator, plan: Repaired) -> list[State]:
    """The states that a plan passes through, with its start."""
    states = [initial(simulator.scene)]
    for step in plan.steps:
        after = simulator.step(states[-1], step)
        if isinstance(after, State):
            states.append(after)
    return states


def brought_about(goal: Goal, states: Sequence[State]) -> float:
    """How much of a goal a plan brings about, by the states from its start to its end, when things of one class are
    worth the same: any light will do for a light.

    Facts are grouped by class, and a group counts as many of its facts as the plan made of that kind: they hold at the
    end and did not all along. What was there from the start and stayed is not counted. Being on and being in a place
    are one, because recordings put things "on" what holds them.
    """
    scene = goal.scene

    def made(node: int, kinds: Sequence[int]) -> int:
        """What holds of a node at the end and did not all along, as bits."""
        rows = [reduce(or_, [state.row(kind, node) for kind in kinds]) for state in states]
        return rows[-1] & ~reduce(and_, rows)

    def group(fact: Fact) -> tuple[int, str, int | str]:
        if fact.kind == STATE:
            return STATE, scene.nodes[fact.node].name, fact.bit
        at = RIGHT if fact.kind == RIGHT else ON
        return at, scene.nodes[fact.node].name, scene.nodes[fact.other].name

    def count(kind: int, name: str, what: int | str) -> int:
        kinds = {STATE: (STATE,), RIGHT: (RIGHT, LEFT), ON: (ON, INSIDE)}[kind]
        mask = what if isinstance(what, int) else sum(1 << i for i in scene.by_name[what])
        return sum((made(node, kinds) & mask).bit_count() for node in scene.by_name[name])

    wanted = Counter(group(fact) for fact in goal.facts)
    return sum(min(number, count(*key)) for key, number in wanted.items()) / sum(wanted.values())


def interval(values: Sequence[float], groups: Sequence[str] | None = None, *, seed: int = 0) -> tuple[float, float]:
    """95% bootstrap interval of the mean: percentiles over resampled groups, each with all of its values.

    Values of one group are not independent. Without `groups` each value is one of its own.
    """
    if not values:
        return 0.0, 0.0
    of = numbered(range(len(values)) if groups is None else groups)
    sums, counts = np.bincount(of, values), np.bincount(of)
    drawn = np.random.default_rng(seed).integers(0, len(sums), (RESAMPLES, len(sums)))
    low, high = np.percentile(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1), [2.5, 97.5])
    return float(low), float(high)


def numbered(groups: Sequence[object]) -> list[int]:
    """Each value's group as a number, counted as they first appear."""
    names: dict[object, int] = {}
    return [names.setdefault(name, len(names)) for name in groups]


def drawn_gains(
    base: Sequence[float], tuned: Sequence[float], groups: Sequence[str], rng: np.random.Generator
) -> NDArray[np.float64]:
    """One family's relative improvement, (tuned - base) / base, in each of `RESAMPLES` bootstrap draws.

    A group is drawn with the scores of both models, because both answered the same items. NaN where the base drawn
    is 0, as it has no relative improvement then. Several families share one `rng`: drawn alike, they would seem to
    rise and fall together.
    """
    of = numbered(groups)
    before, after = np.bincount(of, base), np.bincount(of, tuned)
    drawn = rng.integers(0, len(before), (RESAMPLES, len(before)))
    under, over = before[drawn].sum(axis=1), after[drawn].sum(axis=1)
    return np.divide(over - under, under, out=np.full(RESAMPLES, np.nan), where=under > 0)


def mean_gain_interval(gains: Sequence[NDArray[np.float64]]) -> tuple[float, float] | None:
    """95% interval of the mean over families of what `drawn_gains` gave for each, all families in one draw.

    In a draw a family without a gain is left out of the mean, as the mean over all items leaves it out; a draw in
    which none has one is left out itself. None where no draw is left.
    """
    if not gains:
        return None
    drawn = np.array(gains)
    has = ~np.isnan(drawn)
    some = has.any(axis=0)
    if not some.any():
        return None
    means = np.where(has, drawn, 0.0).sum(axis=0)[some] / has.sum(axis=0)[some]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)

"""Making a plan work: run it, and where a step fails put the missing steps before it, or leave the step out.

The missing steps come from the failure itself: too far, then walk there; shut in, then open it; sitting, then stand
up; hands full, then put something down; not held, then fetch it; unplugged, then plug in; still on, then switch off.
A step that is already so is left out; one that can never be done rejects the plan, unless it does not matter for the
goal.
Boundary: uses the simulator as the only judge; where plans come from is in `tool`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from embodied.errors import ProgramError
from embodied.world import vocabulary as words
from embodied.world.scene import STATE
from embodied.world.simulator import Failure, Simulator, Step
from embodied.world.state import State, initial
from embodied.world.vocabulary import Action

MAX_INSERTED = 8
"""Most steps put before one step; more means the plan is not worth repairing."""
NEEDS_HELD = frozenset(
    {Action.PUTBACK, Action.PUTIN, Action.PUTON, Action.POUR, Action.DRINK, Action.READ, Action.DROP, Action.RELEASE}
)
NEEDS_FACING = frozenset({Action.LOOKAT, Action.POINTAT, Action.WATCH})
REMARKS = frozenset({Action.LOOKAT, Action.POINTAT, Action.TURNTO, Action.TOUCH, Action.GREET, Action.STANDUP})
"""Steps that change nothing that matters; they may go where they cannot be done."""


@dataclass(frozen=True)
class Repaired:
    """A plan that runs from `start` to `end`; what was changed is said in `changes`."""

    steps: tuple[Step, ...]
    end: State
    changes: tuple[str, ...] = ()
    already: tuple[Step, ...] = ()
    """Steps that were left out because what they do was so already."""


@dataclass(frozen=True)
class Rejected:
    """Why a plan cannot be made to work, and at which of its steps (from 0)."""

    reason: str
    at: int


Reader = Callable[[State], Step]
"""Gives a step in a state: names mean what is at hand then."""


def repair(simulator: Simulator, plan: Sequence[Step | Reader], start: State | None = None) -> Repaired | Rejected:
    """Run a plan and mend it where it fails."""
    state = initial(simulator.scene) if start is None else start
    done: list[Step] = []
    changes: list[str] = []
    already: list[Step] = []
    for at, given in enumerate(plan):
        try:
            step = given if isinstance(given, Step) else given(state)
        except ProgramError as error:
            return Rejected(str(error), at)
        after = simulator.step(state, step)
        if isinstance(after, State):
            state = after
            done.append(step)
            continue
        if after.kind == "satisfied":
            already.append(step)
            changes.append(f"left out {step.action.name.lower()}: {after.reason}")
            continue
        inserted: list[Step] = []
        mended = _enable(simulator, state, step, inserted, MAX_INSERTED)
        if isinstance(mended, Failure):
            if step.action in REMARKS:
                changes.append(f"left out {step.action.name.lower()}: {mended.reason}")
                continue
            return Rejected(mended.reason, at)
        state = mended
        done += inserted
        changes.append(
            f"added {', '.join(s.action.name.lower() for s in inserted[:-1])} before {step.action.name.lower()}"
        )
    return Repaired(tuple(done), state, tuple(changes), tuple(already))


def _enable(simulator: Simulator, state: State, step: Step, inserted: list[Step], budget: int) -> State | Failure:
    """Do `step`, putting before it what its failure asks for, each of which may need more. Appends to `inserted`."""
    for _ in range(budget):
        after = simulator.step(state, step)
        if isinstance(after, State):
            inserted.append(step)
            return after
        if after.kind in ("affordance", "unknown", "satisfied"):
            return after
        before = _missing(simulator, state, step)
        if before is None or len(inserted) >= budget:
            return after
        state_or = _enable(simulator, state, before, inserted, budget - 1)
        if isinstance(state_or, Failure):
            return state_or if state_or.kind != "satisfied" else after
        state = state_or
    return Failure("it takes too many steps before this one")


def _missing(simulator: Simulator, state: State, step: Step) -> Step | None:
    """The one step that a failing step asks for first."""
    action, target, second = step
    posture = state.row(STATE, simulator.me) & (words.SITTING | words.LYING)
    if action in (Action.WALK, Action.RUN, Action.FIND):
        return Step(Action.STANDUP) if posture else None
    if action in (Action.SLEEP, Action.WAKEUP):
        beds = simulator.scene.having("LIEABLE") or simulator.scene.having("SITTABLE")
        bed = next((i for i in simulator.scene.by_name.get("bed", ()) if beds >> i & 1), None)
        return None if bed is None else Step(Action.LIE, bed)
    if action in NEEDS_HELD and not simulator.holds(state, target):
        return Step(Action.GRAB, target)
    if action in NEEDS_FACING and not simulator.facing(state, target):
        here = state.room(simulator.me) == state.room(target)
        return Step(Action.TURNTO, target) if here or posture else Step(Action.WALK, target)
    reach = second if action in NEEDS_HELD and second >= 0 else target
    if reach >= 0 and not simulator.close(state, reach):
        return Step(Action.WALK, reach)
    if (box := simulator.shut_in(state, target)) is not None and target >= 0:
        return Step(Action.OPEN, box)
    if action is Action.PUTIN and not state.has(second, "OPEN"):
        return Step(Action.OPEN, second)
    if action is Action.OPEN and state.has(target, "CLOSED") and state.has(target, "ON"):
        return Step(Action.SWITCHOFF, target)
    if action is Action.SWITCHON and state.has(target, "PLUGGED_OUT"):
        return Step(Action.PLUGIN, target)
    if action is Action.CUT and not any("knife" in simulator.names[i] for i in state.holding()):
        knife = next((i for i, name in enumerate(simulator.names) if "knife" in name), None)
        return None if knife is None else Step(Action.GRAB, knife)
    if simulator.free_hand(state) is None:
        return Step(Action.DROP, _spare(simulator, state, target))
    return None


def _spare(simulator: Simulator, state: State, keep: int) -> int:
    """Which held thing to put down: not the one in use, and no knife while another will do."""
    held = [i for i in state.holding() if i != keep]
    return min(held or state.holding(), key=lambda i: ("knife" in simulator.names[i], i))

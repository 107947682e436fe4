"""Programs: reading, writing and running lines such as `[PUTIN] <food_food> (1.1000) <freezer> (1.289)`.

The number after the dot is the node's id; the one before it tells apart things of one name within a program and is
free here. Boundary: text in, steps out; English sentences for people are in `embodied.wording`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from embodied.errors import ProgramError
from embodied.world.names import is_called
from embodied.world.scene import Scene
from embodied.world.simulator import Failure, Simulator, Step
from embodied.world.state import State, initial
from embodied.world.vocabulary import ALIASES, Action, arity

LINE = re.compile(r"\[\s*(\w+)\s*\]((?:\s*<[^<>]+>\s*\([^()]*\))*)\s*(?:\[\d+\])?")
NO_TITLE = re.compile(rf"[(<]|(?:{'|'.join([*Action.__members__, *ALIASES])})\s*<|.*<[^<>]*>", re.IGNORECASE)
"""A line before the first action that matches is meant to be an action, and no title or description."""
OBJECT = re.compile(r"<\s*([^<>]+?)\s*>\s*\(\s*(?:\d+\.)?(\d+)\s*\)")


@dataclass(frozen=True)
class Program:
    """A titled list of steps in one scene."""

    steps: tuple[Step, ...]
    title: str = ""
    description: str = ""


@dataclass(frozen=True)
class Outcome:
    """How a run went: `state` is the last good one, `done` steps were done, then `failure`."""

    state: State
    done: int
    failure: Failure | None = None
    trail: tuple[State, ...] = field(default=(), repr=False)

    @property
    def ok(self) -> bool:
        """Whether every step was done."""
        return self.failure is None


def parse_action(name: str) -> Action:
    """An action by its token, in any case. Raises ProgramError for an unknown one, with the nearest known."""
    token = name.upper()
    if token in Action.__members__:
        return Action[token]
    if token in ALIASES:
        return ALIASES[token]
    import difflib

    near = difflib.get_close_matches(token, Action.__members__, 1)
    hint = f"Did you mean {near[0]}?" if near else f"Use one of {', '.join(Action.__members__)}."
    raise ProgramError(f"unknown action {name!r}. {hint}")


def parse_line(line: str, scene: Scene) -> Step:
    """One program line as a step. Raises ProgramError for a malformed line, action or object."""
    match = LINE.fullmatch(line.strip())
    if not match:
        raise ProgramError(f"malformed program line {line.strip()!r}. Write it as [WALK] <bedroom> (1.67).")
    action = parse_action(match.group(1))
    objects = OBJECT.findall(match.group(2))
    if len(objects) != match.group(2).count("<"):
        raise ProgramError(f"an object's number is not a node id in {line.strip()!r}. Write it as <bedroom> (1.67).")
    if len(objects) != arity(action):
        raise ProgramError(f"{action.name} takes {arity(action)} objects, got {len(objects)} in {line.strip()!r}.")
    targets = []
    for name, number in objects:
        index = scene.index.get(int(number))
        if index is None:
            known = [str(scene.nodes[i].id) for i in scene.by_name.get(name.lower().replace(" ", "_"), ())]
            hint = f"{name!r} here is {', '.join(known)}" if known else f"there is no {name!r} here either"
            raise ProgramError(f"this home has no object with id {number}; {hint}.")
        if not is_called(node := scene.nodes[index], name):
            raise ProgramError(
                f"object {number} here is a {node.name!r}, no {name!r}. Write <{node.name}> (1.{number})."
            )
        targets.append(index)
    return Step(action, *targets)


def parse_program(lines: str | Iterable[str], scene: Scene) -> Program:
    """A whole program: the lines before the first action are its title and description; blank lines and lines that
    start with # are skipped. Raises ProgramError with the line number (from 1), also for a malformed first action.
    """
    text = lines.splitlines() if isinstance(lines, str) else list(lines)
    head: list[str] = []
    steps: list[Step] = []
    for number, line in enumerate(text, 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        if not steps and not stripped.startswith("[") and not NO_TITLE.match(stripped):
            head.append(stripped)
            continue
        try:
            steps.append(parse_line(stripped, scene))
        except ProgramError as error:
            raise ProgramError(f"line {number}: {error}") from None
    return Program(tuple(steps), head[0] if head else "", " ".join(head[1:]))


def render_line(step: Step, scene: Scene) -> str:
    """A step as a program line; `parse_line` reads it back."""
    objects = (step.target, step.second)[: arity(step.action)]
    return " ".join([f"[{step.action.name}]"] + [f"<{scene.nodes[i].name}> (1.{scene.nodes[i].id})" for i in objects])


def execute(
    simulator: Simulator, steps: Sequence[Step], state: State | None = None, *, keep_trail: bool = False
) -> Outcome:
    """Run steps from `state` (the scene as built, if None) until one fails."""
    state = initial(simulator.scene) if state is None else state
    trail = [state] if keep_trail else []
    for done, step in enumerate(steps):
        after = simulator.step(state, step)
        if isinstance(after, Failure):
            return Outcome(state, done, after, tuple(trail))
        state = after
        if keep_trail:
            trail.append(state)
    return Outcome(state, len(steps), None, tuple(trail))

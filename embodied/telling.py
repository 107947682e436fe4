"""Advice, and how it is told to people.

The recordings know one thing for the stove and the oven, and walk to hands before they wash them; nobody says so.
Boundary: the words of the tool only; `wording` says worlds as the tasks do, and tasks must stay what they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from embodied.deeds import GOING
from embodied.errors import EmbodiedError
from embodied.plan.goal import Fact, goal_between
from embodied.repair import Repaired
from embodied.wording import capital, join, name, say_fact, say_step, tell_apart
from embodied.world.scene import INSIDE, ON, STATE, Scene
from embodied.world.simulator import Step
from embodied.world.state import State
from embodied.world.vocabulary import PHRASES, Action

BODY = frozenset({"face", "hair", "hands_both", "teeth"})
"""Parts of the body: always there, and one of each."""
DEEP = frozenset({"sauce_pan"})
"""Places that things are put in, although the recordings call them surfaces."""
OVEN = "oven"
STOVE = "stove"


@dataclass(frozen=True)
class Advice:
    """A plan that worked, and the home it worked in."""

    order: str
    scene: Scene
    plan: Repaired
    start: State
    origin: str
    activity: str = ""
    """The known activity that it is a plan for."""
    ordered: Step | None = None
    """The step that the order is; all other steps lead up to it or tidy up after it."""

    @property
    def text(self) -> str:
        """The plan step by step, what it leads to, and how it was checked."""
        told = tell_steps(self.plan.steps, self.scene, self.order)
        order = re.sub(r"\b(?:my|our)\b", "your", self.order)
        lines = [f"How to {order[:1].lower() + order[1:]}, step by step:", *told]
        if outcome := self.outcome():
            lines.append(f"At the end {outcome}.")
        lines.append(f"Checked: all {len(told)} steps work in the simulated home.")
        return "\n".join(lines)

    def outcome(self) -> str:
        """What holds at the end and did not at the start, in words; the most telling six facts."""
        try:
            facts = goal_between(self.start, self.plan.end).facts
        except EmbodiedError:
            return ""
        told = [fact for fact in facts if fact.kind in (STATE, ON) or fact.node != self.scene.character]
        stoves = stoves_of(self.plan.steps, self.scene)
        names = names_told(self.plan.steps, self.scene, self.order)
        said = list(dict.fromkeys(tell_fact(fact, self.scene, names, stoves) for fact in told))
        return join(said[:6]) if said else ""


def tell_steps(steps: Sequence[Step], scene: Scene, order: str = "") -> list[str]:
    """Numbered sentences as `wording.say_steps` gives them, in words that people use, without going to one's hands."""
    stoves, names = stoves_of(steps, scene), names_told(steps, scene, order)
    told = [step for step in steps if not (step.action in GOING and is_body(scene, step.target))]
    return [f"{i}. {capital(tell_step(step, scene, names, stoves))}." for i, step in enumerate(told, 1)]


def tell_step(step: Step, scene: Scene, names: Mapping[int, str], stoves: frozenset[int]) -> str:
    """One step as a short imperative; what is put on an oven is on the stove."""
    if step.action is Action.PUTBACK:
        if step.second in stoves:
            things = [names.get(i) or name(scene, i) for i in (step.target, step.second)]
            return PHRASES[Action.PUTBACK].format(*things)
        if scene.nodes[step.second].name in DEEP:
            step = Step(Action.PUTIN, step.target, step.second)
    return say_step(step, scene, names)


def tell_fact(fact: Fact, scene: Scene, names: Mapping[int, str], stoves: frozenset[int]) -> str:
    """One fact of the end; what is on an oven is on the stove."""
    said = say_fact(fact, scene, names)
    if fact.kind != ON or fact.node == scene.character:
        return said
    place = names.get(fact.other) or name(scene, fact.other)
    if fact.other in stoves:
        return said.removesuffix(f" in the {place}") + f" on the {place}"
    if scene.nodes[fact.other].name in DEEP:
        return say_fact(Fact(INSIDE, fact.node, fact.bit), scene, names)
    return said


def names_told(steps: Sequence[Step], scene: Scene, order: str) -> dict[int, str]:
    """What things are called: alike ones by their order, parts of the body never so, and stoves by their use, or where
    the order calls them so.
    """
    apart = {i: told for i, told in tell_apart(steps, scene).items() if not is_body(scene, i)}
    asked = re.search(r"\bstoves?\b", order, re.IGNORECASE)
    ovens = scene.by_name.get(OVEN, ()) if asked else stoves_of(steps, scene)
    return apart | {i: apart.get(i, name(scene, i)).replace(name(scene, i), STOVE) for i in ovens}


def stoves_of(steps: Sequence[Step], scene: Scene) -> frozenset[int]:
    """The ovens of a plan that only have things put on them: what people mean then is the stove."""
    used = {step.second for step in steps if step.action is Action.PUTBACK}
    opened = {step.second for step in steps if step.action is Action.PUTIN}
    opened |= {step.target for step in steps if step.action is Action.OPEN}
    return frozenset(i for i in used - opened if scene.nodes[i].name == OVEN)


def is_body(scene: Scene, thing: int) -> bool:
    """Whether a thing is a part of the body."""
    return thing >= 0 and (scene.nodes[thing].name in BODY or "BODY_PART" in scene.nodes[thing].properties)

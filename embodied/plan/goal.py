"""Goals: facts that should hold, usually the difference between two states (arXiv 2305.10626, section 3.1).

A fact is a node's state or a relation between two nodes; a goal is reached when all of its facts hold.
Boundary: says what is wanted and how much of it holds; `mcts` finds a way there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from embodied.errors import GoalError
from embodied.world.scene import INSIDE, LEFT, ON, RIGHT, STATE, Scene, bits
from embodied.world.state import State
from embodied.world.vocabulary import CHARACTER, STATE_BIT, STATES

RELATION_KINDS = {"ON": ON, "INSIDE": INSIDE, "HOLDS": RIGHT}
STATE_FACT = re.compile(r"\s*(\w+)\s*\(\s*([^,()]+?)\s*\)\s*")
RELATION_FACT = re.compile(r"\s*(\w+)\s*\(\s*([^,()]+?)\s*,\s*([^,()]+?)\s*\)\s*")


class Fact(NamedTuple):
    """`kind` is STATE, ON, INSIDE or RIGHT (held in either hand); `bit` a state mask or 1 << the related node."""

    kind: int
    node: int
    bit: int

    @property
    def other(self) -> int:
        """The related node of a relation."""
        return self.bit.bit_length() - 1


@dataclass(frozen=True)
class Goal:
    """Facts in one scene. Raises GoalError where there are none."""

    scene: Scene = field(repr=False)
    facts: tuple[Fact, ...]

    def __post_init__(self) -> None:
        if not self.facts:
            raise GoalError("the goal is empty: nothing differs between the two states. Choose another end state.")

    def holds(self, state: State, fact: Fact) -> bool:
        """Whether one fact holds."""
        found = state.row(fact.kind, fact.node) & fact.bit
        return bool(found or (fact.kind == RIGHT and state.row(LEFT, fact.node) & fact.bit))

    def missing(self, state: State) -> list[Fact]:
        """The facts that do not hold."""
        return [fact for fact in self.facts if not self.holds(state, fact)]

    def reached(self, state: State) -> float:
        """The fraction of facts that hold."""
        return 1 - len(self.missing(state)) / len(self.facts)

    def describe(self) -> list[str]:
        """The facts as text that `goal_from_text` reads back, such as `ON(cup.12, table.4)` or `OPEN(freezer.9)`."""
        names = [f"{node.name}.{node.id}" for node in self.scene.nodes]
        words = {ON: "ON", INSIDE: "INSIDE", RIGHT: "HOLDS"}
        return [
            f"{STATES[fact.bit.bit_length() - 1]}({names[fact.node]})"
            if fact.kind == STATE
            else f"{words[fact.kind]}({names[fact.node]}, {names[fact.other]})"
            for fact in self.facts
        ]


def goal_between(before: State, after: State) -> Goal:
    """What holds in `after` and did not in `before`: new node states, new ON, INSIDE and HOLDS.

    Being inside a room is left out for things whose new place, holder or surface says more. Raises GoalError where
    nothing differs.
    """
    scene = after.scene
    me = scene.character
    states: list[Fact] = []
    places: list[Fact] = []
    rooms: list[Fact] = []
    for node in range(len(scene.nodes)):
        new = after.row(STATE, node) & ~before.row(STATE, node)
        states += [Fact(STATE, node, 1 << i) for i in bits(new)]
        for kind in (ON, INSIDE):
            for place in bits(after.row(kind, node) & ~before.row(kind, node)):
                (rooms if scene.rooms >> place & 1 else places).append(Fact(kind, node, 1 << place))
    old_hands = before.row(RIGHT, me) | before.row(LEFT, me)
    held = (after.row(RIGHT, me) | after.row(LEFT, me)) & ~old_hands
    places += [Fact(RIGHT, me, 1 << i) for i in bits(held)]
    placed = {fact.node for fact in places if fact.kind != RIGHT} | set(bits(held)) | set(after.holding())
    rooms = [fact for fact in rooms if fact.node not in placed]
    return Goal(scene, tuple(states + places + rooms))


def goal_from_text(facts: Sequence[str], scene: Scene) -> Goal:
    """Read facts such as `ON(cup, table)` or `INSIDE(milk.31, freezer.9)`; a name without number is its first node,
    `HOLDS(character, x)` and `HOLDS(x)` say the same. Raises GoalError for an unknown word or object.
    """

    def node(text: str) -> int:
        name, _, number = text.rpartition(".")
        if number.isdigit() and name:
            index = scene.index.get(int(number))
            if index is not None and scene.nodes[index].name == name:
                return index
        found = scene.by_name.get(text.lower().replace(" ", "_"))
        if not found:
            raise GoalError(f"this home has no object {text!r}. Name one of its objects, such as {CHARACTER!r}.")
        return found[0]

    read: list[Fact] = []
    for text in facts:
        one, two = STATE_FACT.fullmatch(text), RELATION_FACT.fullmatch(text)
        word = (one or two or [text, text])[1].upper()
        if one and word == "HOLDS":
            read.append(Fact(RIGHT, scene.character, 1 << node(one[2])))
        elif one and word in STATE_BIT:
            read.append(Fact(STATE, node(one[2]), STATE_BIT[word]))
        elif two and word in RELATION_KINDS:
            read.append(Fact(RELATION_KINDS[word], node(two[2]), 1 << node(two[3])))
        else:
            known = ", ".join([*RELATION_KINDS, *STATE_BIT])
            raise GoalError(f"cannot read the goal {text!r}. Write ON(cup, table) or OPEN(freezer); words: {known}.")
    return Goal(scene, tuple(read))

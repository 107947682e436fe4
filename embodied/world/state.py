"""A state: what differs from the scene. Copying one copies two small dicts, a few microseconds at most.

`rows` maps a row's place in `Scene.base` to its present value and never holds a value equal to the base, so two
states of one scene are equal exactly when their dicts are, and `key` can stand for a state in a transposition table.
Boundary: storage and reading. Only `simulator` writes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from embodied.world.scene import CLOSE, FACING, INSIDE, LEFT, ON, RIGHT, ROW_OF, STATE, Edge, Scene, bits
from embodied.world.vocabulary import STATE_BIT, STATES


class Origin(NamedTuple):
    """Where a grabbed object was: the relation's row kind and the index of the place."""

    kind: int
    place: int


class State:
    """The home at one moment. Treat it as immutable: `Simulator.step` returns a new one."""

    __slots__ = ("origin", "rows", "scene")

    def __init__(self, scene: Scene, rows: dict[int, int] | None = None, origin: dict[int, Origin] | None = None):
        self.scene = scene
        self.rows = {} if rows is None else rows
        self.origin = {} if origin is None else origin

    def copy(self) -> State:
        """An independent state, equal to this one."""
        return State(self.scene, self.rows.copy(), self.origin.copy())

    def row(self, kind: int, node: int) -> int:
        """One row's present value."""
        place = kind * len(self.scene.nodes) + node
        value = self.rows.get(place)
        return self.scene.base[place] if value is None else value

    @property
    def key(self) -> tuple[frozenset[tuple[int, int]], frozenset[tuple[int, Origin]]]:
        """Hashable, and equal for equal states of one scene."""
        return frozenset(self.rows.items()), frozenset(self.origin.items())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, State):
            return NotImplemented
        return self.scene is other.scene and self.rows == other.rows and self.origin == other.origin

    __hash__ = None  # type: ignore[assignment]  # use `key`

    def has(self, node: int, state: str) -> bool:
        """Whether a node is in a named state."""
        return bool(self.row(STATE, node) & STATE_BIT[state])

    def states(self, node: int) -> tuple[str, ...]:
        """The names of a node's states."""
        mask = self.row(STATE, node)
        return tuple(name for i, name in enumerate(STATES) if mask >> i & 1)

    def related(self, node: int, relation: str) -> tuple[int, ...]:
        """The nodes that `node` has `relation` to, ascending; CLOSE includes the character."""
        mask = self.row(ROW_OF[relation], node)
        me = self.scene.character
        if relation == "CLOSE" and node != me and self.row(CLOSE, me) >> node & 1:
            mask |= 1 << me
        return tuple(bits(mask))

    def holding(self) -> tuple[int, ...]:
        """What the character holds, right hand first."""
        me = self.scene.character
        return (*bits(self.row(RIGHT, me)), *bits(self.row(LEFT, me)))

    def room(self, node: int) -> int | None:
        """The room a node is in: itself for a room, the first room it is directly inside, or else, where it is inside
        exactly one thing, that thing's, and so on; None where the chain ends outside every room.
        """
        scene = self.scene
        rooms = scene.rooms
        if rooms >> node & 1:
            return node
        inside = self.row(INSIDE, node)
        found = inside & rooms
        if found:
            return (found & -found).bit_length() - 1
        if inside & (inside - 1):
            return None
        for _ in range(len(scene.nodes)):  # a chain longer than the scene is a loop
            if not inside:
                return None
            node = (inside & -inside).bit_length() - 1
            if rooms >> node & 1:
                return node
            inside = self.row(INSIDE, node)
        return None

    def edges(self) -> set[Edge]:
        """All relations as (from id, name, to id), the form the stored graphs use."""
        scene = self.scene
        ids = [node.id for node in scene.nodes]
        me = scene.character
        found = {(ids[a], "BETWEEN", ids[b]) for a, b in scene.between}
        for name, kind in ROW_OF.items():
            for node in (me,) if kind in (RIGHT, LEFT) else range(len(ids)):
                found.update((ids[node], name, ids[to]) for to in bits(self.row(kind, node)))
        found.update((ids[to], "CLOSE", ids[me]) for to in bits(self.row(CLOSE, me)))
        return found

    def node_states(self) -> dict[int, frozenset[str]]:
        """Every node's states by node id."""
        return {node.id: frozenset(self.states(i)) for i, node in enumerate(self.scene.nodes)}


def initial(scene: Scene) -> State:
    """The scene as it was built."""
    return State(scene)


def where(state: State, node: int) -> tuple[str, int] | None:
    """Where a thing is, most telling first: ("HELD", hand owner), ("ON", place), ("INSIDE", container or room)."""
    if node in state.holding():
        return "HELD", state.scene.character
    for kind, name in ((ON, "ON"), (INSIDE, "INSIDE")):
        places: Iterable[int] = bits(state.row(kind, node))
        ordered = sorted(places, key=lambda place: (state.scene.rooms >> place & 1, place))
        if ordered:
            return name, ordered[0]
    return None


__all__ = ["CLOSE", "FACING", "Origin", "State", "initial", "where"]

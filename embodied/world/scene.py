"""A scene: the immutable home. Nodes are numbered 0..n-1 in ascending id; relations are bit rows.

A row is one integer whose bit j says that the relation holds to node j. All rows lie in one flat tuple `base`, at
`kind * n + node`; a state (`state.State`) records only the rows that differ. Reverse rows (`ON_BY`, `INSIDE_BY`,
`FACING_BY`) and the other nodes' CLOSE rows leave the character out, so that a walk, which changes all of the
character's relations, touches its own rows only; `State.edges` puts those edges back.
Boundary: data and names. What actions do is in `simulator`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from embodied.errors import SceneError
from embodied.world.vocabulary import CHARACTER, PROPERTY_BIT, RELATIONS, ROOM_CATEGORY, SPOKEN, STATE_BIT

STATE, ON, ON_BY, INSIDE, INSIDE_BY, CLOSE, FACING, FACING_BY, RIGHT, LEFT = range(10)
"""Row kinds. STATE is the node's state mask; RIGHT and LEFT (what a hand holds) are used on the character only."""
KINDS = 10
ROW_OF = {"ON": ON, "INSIDE": INSIDE, "CLOSE": CLOSE, "FACING": FACING, "HOLDS_RH": RIGHT, "HOLDS_LH": LEFT}
REVERSE = {ON: ON_BY, INSIDE: INSIDE_BY, FACING: FACING_BY}

Edge = tuple[int, str, int]
"""(from id, relation name, to id)"""


@dataclass(frozen=True, slots=True)
class Node:
    """One thing in the home. `id` is the upstream id, `name` its class such as `coffee_maker`."""

    id: int
    name: str
    category: str = ""
    properties: tuple[str, ...] = ()
    states: tuple[str, ...] = ()

    @property
    def spoken(self) -> str:
        """The name as a person says it."""
        return SPOKEN.get(self.name) or self.name.removeprefix("food_").removeprefix("clothes_").replace("_", " ")

    def __str__(self) -> str:
        return f"{self.spoken} ({self.id})"


@dataclass(frozen=True)
class Scene:
    """An immutable home. Build it with `Scene.build`, which checks it."""

    nodes: tuple[Node, ...]
    base: tuple[int, ...] = field(repr=False)
    between: frozenset[tuple[int, int]] = field(repr=False)
    character: int
    name: str = "home"

    @staticmethod
    def build(nodes: Iterable[Node], edges: Iterable[Edge], *, name: str = "home") -> Scene:
        """Number and check the nodes, and index the edges.

        Raises SceneError for a repeated id, an unknown state, property or relation, an edge to a missing node, a
        CLOSE that holds one way only, a scene without exactly one character, or a character outside every room.
        """
        ordered = tuple(sorted(nodes, key=lambda node: node.id))
        n = len(ordered)
        index = {node.id: i for i, node in enumerate(ordered)}
        if len(index) != n:
            raise SceneError(f"scene {name!r} repeats a node id. Give every node its own id.")
        who = [i for i, node in enumerate(ordered) if node.name == CHARACTER]
        if len(who) != 1:
            raise SceneError(f"scene {name!r} has {len(who)} characters, exactly 1 is supported. Split the scene.")
        me = who[0]
        base = [0] * (KINDS * n)
        for i, node in enumerate(ordered):
            for state in node.states:
                if state not in STATE_BIT:
                    raise SceneError(f"node {node} has unknown state {state!r}. Use one of {', '.join(STATE_BIT)}.")
                base[i] |= STATE_BIT[state]
            for prop in node.properties:
                if prop not in PROPERTY_BIT:
                    raise SceneError(
                        f"node {node} has unknown property {prop!r}. Use one of {', '.join(PROPERTY_BIT)}."
                    )
        between = set()
        one_way: set[tuple[int, int]] = set()
        for from_id, relation, to_id in set(edges):
            if relation not in RELATIONS:
                raise SceneError(f"unknown relation {relation!r} in scene {name!r}. Use one of {', '.join(RELATIONS)}.")
            if from_id not in index or to_id not in index:
                missing = from_id if from_id not in index else to_id
                raise SceneError(f"relation {relation} names node {missing}, which scene {name!r} does not have.")
            a, b = index[from_id], index[to_id]
            if relation == "BETWEEN":
                between.add((a, b))
                continue
            kind = ROW_OF[relation]
            if kind in (RIGHT, LEFT) and a != me:
                raise SceneError(f"node {from_id} holds something, but only the character can. Remove that relation.")
            if kind == CLOSE:
                one_way ^= {(min(a, b), max(a, b))} if a != b else set()
                if b == me and a != me:
                    continue
            base[kind * n + a] |= 1 << b
            if kind in REVERSE and a != me:
                base[REVERSE[kind] * n + b] |= 1 << a
        if one_way:
            a, b = min(one_way)
            raise SceneError(f"{ordered[a]} and {ordered[b]} are CLOSE one way only. Add or remove the other way.")
        scene = Scene(ordered, tuple(base), frozenset(between), me, name)
        if not base[INSIDE * n + me] & scene.rooms:
            raise SceneError(f"the character of scene {name!r} is in no room. Put it INSIDE one.")
        return scene

    def __len__(self) -> int:
        return len(self.nodes)

    @cached_property
    def index(self) -> Mapping[int, int]:
        """Node id to index."""
        return {node.id: i for i, node in enumerate(self.nodes)}

    @cached_property
    def properties(self) -> tuple[int, ...]:
        """Property mask per node."""
        return tuple(sum(PROPERTY_BIT[p] for p in set(node.properties)) for node in self.nodes)

    @cached_property
    def rooms(self) -> int:
        """Mask of the rooms."""
        return sum(1 << i for i, node in enumerate(self.nodes) if node.category == ROOM_CATEGORY)

    @cached_property
    def body(self) -> int:
        """Mask of the character's body parts, which it is always close to."""
        return self.having("BODY_PART")

    @cached_property
    def by_name(self) -> Mapping[str, tuple[int, ...]]:
        """Class name to the indexes that bear it, ascending: the one order of "first found"."""
        names: dict[str, list[int]] = {}
        for i, node in enumerate(self.nodes):
            names.setdefault(node.name, []).append(i)
        return {name: tuple(found) for name, found in names.items()}

    def having(self, prop: str) -> int:
        """Mask of the nodes with a property."""
        bit = PROPERTY_BIT[prop]
        return sum(1 << i for i, mask in enumerate(self.properties) if mask & bit)


def bits(mask: int) -> Iterator[int]:
    """The set bits of `mask`, ascending."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low

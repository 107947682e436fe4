"""A seeded generator of homes, so that unseen scenes exist in any number: `generate_home(seed)`.

Rooms, furniture and plausible places come from `data/homes.yaml`, the classes' properties from the scene archive, so
generated and recorded homes share one vocabulary. Equal seeds give equal homes.
Boundary: makes scenes; which seeds are for training and which for evaluation is in `splits`.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from embodied.archive import default_archive
from embodied.world.scene import Edge, Node, Scene
from embodied.world.vocabulary import CHARACTER, ROOM_CATEGORY

CATALOGUE = Path(__file__).parent / "data" / "homes.yaml"
FIXTURES = frozenset({"sink", "faucet", "toaster", "microwave", "coffe_maker", "tablelamp"})
"""What every piece that lists it gets, where the other items are drawn."""
WASHABLE = frozenset({"plate", "cup", "bowl", "fork", "spoon", "knife", "pot", "table", "kitchen_counter", "towel"})
LIGHTS = frozenset({"light", "tablelamp", "floor_lamp"})


@lru_cache(maxsize=1)
def catalogue() -> Mapping[str, Any]:
    """The table of rooms, furniture and places."""
    return yaml.safe_load(CATALOGUE.read_text())


@lru_cache(maxsize=1)
def known_classes() -> Mapping[str, tuple[str, tuple[str, ...]]]:
    """Class name to (category, properties), from the scene archive."""
    body = default_archive().body
    return {n: (category, tuple(body["properties"][p] for p in props)) for n, category, props in body["kinds"]}


class _Builder:
    """Collects nodes and relations of one home."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.nodes: list[Node] = []
        self.edges: list[Edge] = []
        self.count: dict[str, int] = {}

    def add(self, name: str, category: str | None = None, states: Sequence[str] | None = None) -> int:
        known = known_classes().get(name, ("", ()))
        number = len(self.nodes) + 1
        self.count[name] = self.count.get(name, 0) + 1
        held = self.states(name, known[1]) if states is None else tuple(states)
        self.nodes.append(Node(number, name, category or known[0], known[1], held))
        return number

    def states(self, name: str, properties: Sequence[str]) -> tuple[str, ...]:
        """Plausible states for a class: mostly closed, off, plugged in and clean."""
        rng, found = self.rng, []
        if "CAN_OPEN" in properties:
            found.append("OPEN" if rng.random() < 0.15 else "CLOSED")
        if "HAS_SWITCH" in properties:
            on = rng.random() < (0.5 if name in LIGHTS else 0.1) and "OPEN" not in found
            found.append("ON" if on else "OFF")
        if "HAS_PLUG" in properties:
            found.append("PLUGGED_OUT" if "ON" not in found and rng.random() < 0.1 else "PLUGGED_IN")
        found.append("DIRTY" if name in WASHABLE and rng.random() < 0.4 else "CLEAN")
        return tuple(found)

    def close(self, a: int, b: int) -> None:
        self.edges += [(a, "CLOSE", b), (b, "CLOSE", a)]

    def place(self, piece: int, room: int, relation: str, names: Sequence[str], most: int) -> None:
        """Draw items for a piece of furniture; what shares a place is close to each other."""
        fixed = [name for name in names if name in FIXTURES]
        loose = [name for name in names if name not in FIXTURES and self.count.get(name, 0) < 4]
        drawn = fixed + self.rng.sample(loose, min(len(loose), self.rng.randint(1, most)))
        placed: list[int] = []
        for name in drawn:
            item = self.add(name)
            self.edges += [(item, relation, piece), (item, "INSIDE", room)]
            self.close(item, piece)
            for other in placed:
                self.close(item, other)
            placed.append(item)


def generate_home(seed: int, *, items: int = 5) -> Scene:
    """A home of 3 to 5 rooms with 40 to 100 nodes; `items` is the most loose things drawn per piece of furniture.

    One way leads from each room to each other: doors make a tree, another one in each home.
    """
    rng = random.Random(f"home-{seed}")
    built = _Builder(rng)
    table = catalogue()
    names = [name for name, room in table["rooms"].items() if room["always"] or rng.random() < 0.7]
    rooms = [built.add(name, ROOM_CATEGORY, ("CLEAN",)) for name in names]
    me = built.add(CHARACTER, "Characters", ())
    built.edges.append((me, "INSIDE", rng.choice(rooms)))
    for room, name in zip(rooms, names, strict=True):
        light = built.add("light")
        built.edges.append((light, "INSIDE", room))
        for kind, (chance, most) in table["rooms"][name]["furniture"].items():
            for _ in range(rng.randint(1, most) if rng.random() < chance else 0):
                piece = built.add(kind)
                built.edges.append((piece, "INSIDE", room))
                for relation, places in (("ON", table["on"]), ("INSIDE", table["in"])):
                    if kind in places:
                        built.place(piece, room, relation, places[kind], items)
    doors = random.Random(f"doors-{seed}")
    order = doors.sample(rooms, len(rooms))
    for at, there in enumerate(order[1:], 1):
        here = doors.choice(order[:at])
        door = built.add("door", states=("OPEN", "CLEAN"))
        built.edges += [(door, "INSIDE", here), (door, "BETWEEN", here), (door, "BETWEEN", there)]
    return Scene.build(built.nodes, built.edges, name=f"home-{seed}")

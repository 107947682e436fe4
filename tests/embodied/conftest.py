"""Fixtures of the embodied room: a hand-made home, the recorded ones, and the oracle."""

from __future__ import annotations

from pathlib import Path

import pytest

from embodied.archive import Archive, default_archive
from embodied.world import Node, Scene

KITCHEN, BEDROOM, ME, TABLE, FRIDGE, MILK, CUP, BED, LAMP, KNIFE, BREAD = range(1, 12)
"""Node ids of `small_home`; indexes are one less."""


@pytest.fixture
def small_home() -> Scene:
    """Kitchen with a table (cup, knife, bread on it) and a closed fridge (milk in it); bedroom with bed and lamp."""
    nodes = [
        Node(KITCHEN, "kitchen", "Rooms"),
        Node(BEDROOM, "bedroom", "Rooms"),
        Node(ME, "character", "Characters"),
        Node(TABLE, "table", "Furniture", ("SURFACES",), ("CLEAN",)),
        Node(
            FRIDGE,
            "fridge",
            "Appliances",
            ("CAN_OPEN", "CONTAINERS", "HAS_SWITCH", "HAS_PLUG"),
            ("CLOSED", "PLUGGED_IN"),
        ),
        Node(MILK, "milk", "Food", ("GRABBABLE", "DRINKABLE", "POURABLE")),
        Node(CUP, "cup", "Props", ("GRABBABLE", "RECIPIENT"), ("DIRTY",)),
        Node(BED, "bed", "Furniture", ("LIEABLE", "SITTABLE", "SURFACES")),
        Node(LAMP, "lamp", "Lamps", ("HAS_SWITCH", "HAS_PLUG"), ("OFF", "PLUGGED_OUT")),
        Node(KNIFE, "knife", "Props", ("GRABBABLE",)),
        Node(BREAD, "bread", "Food", ("GRABBABLE", "EATABLE", "CUTTABLE")),
    ]
    edges = [(ME, "INSIDE", BEDROOM), (MILK, "INSIDE", FRIDGE)]
    edges += [(i, "INSIDE", KITCHEN) for i in (TABLE, FRIDGE, CUP, KNIFE, BREAD)]
    edges += [(i, "INSIDE", BEDROOM) for i in (BED, LAMP)]
    edges += [(i, "ON", TABLE) for i in (CUP, KNIFE, BREAD)]
    pairs = [(CUP, TABLE), (KNIFE, TABLE), (BREAD, TABLE), (CUP, KNIFE), (MILK, FRIDGE)]
    edges += [edge for a, b in pairs for edge in ((a, "CLOSE", b), (b, "CLOSE", a))]
    return Scene.build(nodes, edges, name="small")


@pytest.fixture(scope="session")
def archive() -> Archive:
    """The archive that comes with the package."""
    return default_archive()


@pytest.fixture(scope="session")
def upstream() -> Path:
    """The public simulator's code, from its wheel; tests that need it skip where it cannot be had."""
    from serve.errors import ModelStoreError
    from serve.store.wheel import fetch_members
    from tests.embodied.oracle import SOURCE

    try:
        return fetch_members(SOURCE)
    except ModelStoreError as error:
        pytest.skip(f"the virtualhome_eval oracle is not at hand: {error}")

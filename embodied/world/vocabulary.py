"""The words of the world: actions, node states, relations and properties, as VirtualHome names them.

States and properties are bit masks, because a node's states are one integer in the world's state. Boundary: names
and their numbers only; what an action needs and does is in `simulator`, how a program line is written in `program`.
"""

from __future__ import annotations

from enum import IntEnum

STATES = ("CLOSED", "OPEN", "ON", "OFF", "SITTING", "DIRTY", "CLEAN", "LYING", "PLUGGED_IN", "PLUGGED_OUT")
"""Node states; the position is the bit."""
CLOSED, OPEN, ON, OFF, SITTING, DIRTY, CLEAN, LYING, PLUGGED_IN, PLUGGED_OUT = (1 << i for i in range(len(STATES)))
STATE_BIT = {name: 1 << i for i, name in enumerate(STATES)}

PROPERTIES = (
    "SURFACES",
    "GRABBABLE",
    "SITTABLE",
    "LIEABLE",
    "HANGABLE",
    "DRINKABLE",
    "EATABLE",
    "RECIPIENT",
    "CUTTABLE",
    "POURABLE",
    "CAN_OPEN",
    "HAS_SWITCH",
    "READABLE",
    "LOOKABLE",
    "CONTAINERS",
    "CLOTHES",
    "PERSON",
    "BODY_PART",
    "COVER_OBJECT",
    "HAS_PLUG",
    "HAS_PAPER",
    "MOVABLE",
    "CREAM",
)
"""Node properties, which never change; the position is the bit."""
PROPERTY_BIT = {name: 1 << i for i, name in enumerate(PROPERTIES)}

RELATIONS = ("ON", "INSIDE", "BETWEEN", "CLOSE", "FACING", "HOLDS_RH", "HOLDS_LH")
"""Directed relations; BETWEEN (a door and its rooms) never changes, CLOSE always holds both ways."""

ROOM_CATEGORY = "Rooms"
CHARACTER = "character"


class Action(IntEnum):
    """Every action of the symbolic simulator. `PUTBACK` puts on a surface, `PUTOBJBACK` back to where it was."""

    WALK = 0
    RUN = 1
    FIND = 2
    GRAB = 3
    PUTBACK = 4
    PUTIN = 5
    PUTOBJBACK = 6
    OPEN = 7
    CLOSE = 8
    SWITCHON = 9
    SWITCHOFF = 10
    SIT = 11
    STANDUP = 12
    LIE = 13
    DRINK = 14
    TOUCH = 15
    LOOKAT = 16
    TURNTO = 17
    POINTAT = 18
    WATCH = 19
    READ = 20
    TYPE = 21
    PUSH = 22
    PULL = 23
    MOVE = 24
    WASH = 25
    RINSE = 26
    SCRUB = 27
    WIPE = 28
    SQUEEZE = 29
    CUT = 30
    EAT = 31
    POUR = 32
    DROP = 33
    RELEASE = 34
    PLUGIN = 35
    PLUGOUT = 36
    PUTON = 37
    PUTOFF = 38
    WAKEUP = 39
    SLEEP = 40
    GREET = 41


NO_OBJECT = frozenset({Action.STANDUP, Action.WAKEUP, Action.SLEEP})
TWO_OBJECTS = frozenset({Action.PUTBACK, Action.PUTIN, Action.POUR})
ALIASES = {
    "LOOKAT_SHORT": Action.LOOKAT,
    "LOOKAT_MEDIUM": Action.LOOKAT,
    "LOOKAT_LONG": Action.LOOKAT,
    "PUT": Action.PUTBACK,
}


def arity(action: Action) -> int:
    """How many objects `action` takes: 0, 1 or 2."""
    return 0 if action in NO_OBJECT else 2 if action in TWO_OBJECTS else 1


PHRASES = {
    Action.WALK: "walk to the {0}",
    Action.RUN: "run to the {0}",
    Action.FIND: "find the {0}",
    Action.GRAB: "grab the {0}",
    Action.PUTBACK: "put the {0} on the {1}",
    Action.PUTIN: "put the {0} in the {1}",
    Action.PUTOBJBACK: "put the {0} back where it was",
    Action.OPEN: "open the {0}",
    Action.CLOSE: "close the {0}",
    Action.SWITCHON: "switch on the {0}",
    Action.SWITCHOFF: "switch off the {0}",
    Action.SIT: "sit on the {0}",
    Action.STANDUP: "stand up",
    Action.LIE: "lie down on the {0}",
    Action.DRINK: "drink from the {0}",
    Action.TOUCH: "touch the {0}",
    Action.LOOKAT: "look at the {0}",
    Action.TURNTO: "turn to the {0}",
    Action.POINTAT: "point at the {0}",
    Action.WATCH: "watch the {0}",
    Action.READ: "read the {0}",
    Action.TYPE: "type on the {0}",
    Action.PUSH: "push the {0}",
    Action.PULL: "pull the {0}",
    Action.MOVE: "move the {0}",
    Action.WASH: "wash the {0}",
    Action.RINSE: "rinse the {0}",
    Action.SCRUB: "scrub the {0}",
    Action.WIPE: "wipe the {0}",
    Action.SQUEEZE: "squeeze the {0}",
    Action.CUT: "cut the {0}",
    Action.EAT: "eat the {0}",
    Action.POUR: "pour the {0} into the {1}",
    Action.DROP: "drop the {0}",
    Action.RELEASE: "let go of the {0}",
    Action.PLUGIN: "plug in the {0}",
    Action.PLUGOUT: "unplug the {0}",
    Action.PUTON: "put on the {0}",
    Action.PUTOFF: "take off the {0}",
    Action.WAKEUP: "wake up",
    Action.SLEEP: "go to sleep",
    Action.GREET: "greet the {0}",
}
"""Each action in plain English; `{0}` and `{1}` are the objects' spoken names."""

SPOKEN = {
    "coffe_maker": "coffee maker",
    "freezer": "fridge",
    "band-aids": "bandage",
    "shoe-shine_kit": "shoe shine kit",
    "basket_for_clothes": "laundry basket",
    "dining_room": "kitchen",
    "tooth_paste": "toothpaste",
    "creditcard": "credit card",
    "tablelamp": "table lamp",
    "ceilinglamp": "ceiling lamp",
    "walllamp": "wall lamp",
    "tvstand": "TV stand",
    "trashcan": "trash can",
    "mousepad": "mouse pad",
    "cpuscreen": "computer screen",
    "dishrack": "dish rack",
    "hands_both": "hands",
    "novel": "book",
    "drawing": "picture",
    "wallshelf": "wall shelf",
    "closetdrawer": "drawer",
    "photoframe": "photo",
    "powersocket": "power socket",
    "stovefan": "stove fan",
}
"""Class names that a person would say otherwise; the rest lose `food_` or `clothes_` and their underscores."""

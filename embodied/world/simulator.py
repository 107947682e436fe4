"""The world's rules: `Simulator.step(state, step) -> State | Failure`.

VirtualHome's evolving-graph semantics for one character, with objects chosen by instance, as the public simulator
has them: doors never block a walk; finding something that is out of reach walks there; standing up leaves the seat's
ON relation in place; a thing put down stays INSIDE its room as well. "First found" means lowest node id, everywhere.

Two upstream defects are mended, and kept with `as_upstream=True` for differential tests against it: a held object's
room lags its holder's by one walk; putting back onto a place that is out of reach or closed counts as done without
anything happening. Where upstream crashes (an object in no room), a step here fails with a reason.
Boundary: one action at a time; programs are run by `program.execute`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from embodied.world import vocabulary as words
from embodied.world.effects import Effects
from embodied.world.scene import CLOSE, FACING, INSIDE, LEFT, ON, ON_BY, RIGHT, STATE, Scene, bits
from embodied.world.state import State
from embodied.world.vocabulary import PROPERTY_BIT, Action

SEATS = {"couch": 4, "bed": 4, "chair": 1, "loveseat": 2, "sofa": 4, "toilet": 1, "pianobench": 2, "bench": 2}
"""How much a seat bears when sitting; anything else bears one."""
BEDS = {"couch": 2, "bathtub": 2, "bed": 3, "loveseat": 2, "sofa": 2, "bench": 1}
"""How much bears a lying person."""
SQUEEZABLE = frozenset(
    "cleaning_solution tooth_paste shampoo food_peanut_butter dish_soap soap towel rag paper sponge food_lemon "
    "check".split()
)
POUR_INTO = frozenset({"hands_both", "sponge", "face"})
ARITY = tuple(words.arity(action) for action in Action)
P = PROPERTY_BIT


class Step(NamedTuple):
    """One action on nodes by index; -1 where the action takes no such object."""

    action: Action
    target: int = -1
    second: int = -1


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an action cannot be done, in words. `kind` sorts reasons: `missing` (an earlier step would help),
    `affordance` (this object can never do that), `satisfied` (already so), `unknown` (no such action or object).
    """

    reason: str
    kind: str = "missing"


class Simulator:
    """Runs actions in one scene. It holds no state of its own, so one can serve many states and threads."""

    def __init__(self, scene: Scene, *, as_upstream: bool = False) -> None:
        self.scene = scene
        self.as_upstream = as_upstream
        self.effects = Effects(scene, as_upstream=as_upstream)
        self.n = len(scene.nodes)
        self.me = scene.character
        self.properties = scene.properties
        self.names = tuple(node.name for node in scene.nodes)
        self.table: tuple[Callable[[State, int, int], State | Failure], ...] = tuple(
            getattr(self, f"_{action.name.lower()}") for action in Action
        )

    def step(self, state: State, step: Step) -> State | Failure:
        """Do one action. Returns the new state (the given one is untouched; actions without effect return it as it
        is), or a Failure with a reason a person can read.
        """
        action, target, second = step
        try:
            execute, count = self.table[action], ARITY[action]
        except (IndexError, TypeError):
            return Failure(f"there is no action {action!r}", "unknown")
        if count and not (0 <= target < self.n and (count == 1 or 0 <= second < self.n)):
            return Failure(f"{Action(action).name.lower()} names an object that this home does not have", "unknown")
        return execute(state, target, second)

    # Reading, on bit rows.

    def _row(self, state: State, kind: int, node: int) -> int:
        place = kind * self.n + node
        value = state.rows.get(place)
        return self.scene.base[place] if value is None else value

    def close(self, state: State, node: int) -> bool:
        """Whether the character is close to `node`: directly, through one thing both are close to, or because `node`
        lies on a thing the character is close to.
        """
        n, base, rows = self.n, self.scene.base, state.rows
        place = CLOSE * n + self.me
        near = rows.get(place)
        if near is None:
            near = base[place]
        if near >> node & 1:
            return True
        place = CLOSE * n + node
        row = rows.get(place)
        if (base[place] if row is None else row) & near:
            return True
        place = ON * n + node
        row = rows.get(place)
        return bool((base[place] if row is None else row) & near)

    def facing(self, state: State, node: int) -> bool:
        """Whether the character faces `node`, directly or through one thing it faces."""
        faced = self._row(state, FACING, self.me)
        return bool(faced >> node & 1) or any(self._row(state, FACING, i) >> node & 1 for i in bits(faced))

    def shut_in(self, state: State, node: int) -> int | None:
        """The closed thing that `node` is directly inside, or None."""
        for box in bits(self._row(state, INSIDE, node) & ~self.scene.rooms):
            if self._row(state, STATE, box) & words.CLOSED:
                return box
        return None

    def free_hand(self, state: State) -> int | None:
        """The free hand's row kind, right hand first, or None."""
        if not self._row(state, RIGHT, self.me):
            return RIGHT
        return None if self._row(state, LEFT, self.me) else LEFT

    def holds(self, state: State, node: int) -> bool:
        """Whether the character holds `node` in either hand."""
        return bool((self._row(state, RIGHT, self.me) | self._row(state, LEFT, self.me)) >> node & 1)

    def _name(self, node: int) -> str:
        return f"the {self.scene.nodes[node]}"

    def _posture(self, state: State) -> int:
        return self._row(state, STATE, self.me)

    # Reasons that many actions share. Each returns None where nothing stands in the way.

    def _out_of_reach(self, state: State, node: int) -> Failure | None:
        return None if self.close(state, node) else Failure(f"the character is not close to {self._name(node)}")

    def _shut(self, state: State, node: int) -> Failure | None:
        box = self.shut_in(state, node)
        return None if box is None else Failure(f"{self._name(node)} is inside {self._name(box)}, which is closed")

    def _not_held(self, state: State, node: int) -> Failure | None:
        return None if self.holds(state, node) else Failure(f"the character is not holding {self._name(node)}")

    def _hands_full(self, state: State) -> Failure | None:
        return None if self.free_hand(state) is not None else Failure("the character has no free hand")

    def _lacks(self, node: int, properties: int, what: str) -> Failure | None:
        return None if self.properties[node] & properties else Failure(f"{self._name(node)} {what}", "affordance")

    # Moving and posture.

    def _walk(self, state: State, node: int, _: int) -> State | Failure:
        if self._posture(state) & (words.SITTING | words.LYING):
            how = "sitting" if self._posture(state) & words.SITTING else "lying"
            return Failure(f"the character is {how} and must stand up before walking to {self._name(node)}")
        room = state.room(node)
        if room is None:
            return Failure(f"{self._name(node)} is in no room", "affordance")
        here = state.room(self.me)
        if here is None:
            return Failure("the character is in no room", "affordance")
        return self.effects.walk(state, node, room, here)

    _run = _walk

    def _find(self, state: State, node: int, _: int) -> State | Failure:
        if self.close(state, node):
            return self.effects.find(state, node)
        if self._row(state, ON, node) >> self.me & 1 or self.properties[node] & P["BODY_PART"]:
            return Failure(f"the character is not close to {self._name(node)}")
        return self._walk(state, node, -1)

    def _turnto(self, state: State, node: int, _: int) -> State | Failure:
        return self.effects.face(state, node)

    def _crowded(self, state: State, node: int, bears: int) -> Failure | None:
        on = self._row(state, ON_BY, node).bit_count() + (self._row(state, ON, self.me) >> node & 1)
        return Failure(f"there is too much on {self._name(node)}") if on >= bears else None

    def _sit(self, state: State, node: int, _: int) -> State | Failure:
        if reason := self._out_of_reach(state, node):
            return reason
        if self._posture(state) & words.SITTING:
            return Failure("the character is already sitting", "satisfied")
        wrong = self._lacks(node, P["SITTABLE"], "is nothing to sit on") or self._crowded(
            state, node, SEATS.get(self.names[node], 1)
        )
        return wrong or self.effects.settle(state, node, words.SITTING, words.LYING)

    def _lie(self, state: State, node: int, _: int) -> State | Failure:
        if reason := self._out_of_reach(state, node):
            return reason
        if self._posture(state) & words.LYING:
            return Failure("the character is already lying", "satisfied")
        wrong = self._lacks(node, P["LIEABLE"], "is nothing to lie on") or self._crowded(
            state, node, BEDS.get(self.names[node], 1)
        )
        return wrong or self.effects.settle(state, node, words.LYING, words.SITTING)

    def _standup(self, state: State, _: int, __: int) -> State | Failure:
        if not self._posture(state) & (words.SITTING | words.LYING):
            return Failure("the character is already standing", "satisfied")
        return self.effects.change(state, self.me, 0, words.SITTING | words.LYING)

    def _sleep(self, state: State, _: int, __: int) -> State | Failure:
        if not self._posture(state) & (words.SITTING | words.LYING):
            return Failure("the character is neither lying nor sitting")
        return state

    _wakeup = _sleep

    # Things.

    def _grab(self, state: State, node: int, _: int) -> State | Failure:
        if not self.properties[node] & P["GRABBABLE"] and self.names[node] not in ("water", "child"):
            return Failure(f"{self._name(node)} cannot be grabbed", "affordance")
        if node in state.origin:
            return Failure(f"{self._name(node)} was grabbed already", "satisfied")
        if reason := self._out_of_reach(state, node) or self._shut(state, node) or self._hands_full(state):
            return reason
        hand, room = self.free_hand(state), state.room(self.me)
        if room is None or hand is None:
            return Failure("the character is in no room", "affordance")
        return self.effects.grab(state, node, hand, room)

    def _puttable(self, state: State, node: int, place: int, kind: int) -> Failure | None:
        if reason := self._not_held(state, node) or self._out_of_reach(state, place):
            return reason
        if (
            kind == INSIDE
            and self.properties[place] & P["CAN_OPEN"]
            and not self._row(state, STATE, place) & words.OPEN
        ):
            return Failure(f"{self._name(place)} is closed")
        return None

    def _putback(self, state: State, node: int, place: int) -> State | Failure:
        return self._puttable(state, node, place, ON) or self.effects.put(state, node, place, ON)

    def _putin(self, state: State, node: int, place: int) -> State | Failure:
        return self._puttable(state, node, place, INSIDE) or self.effects.put(state, node, place, INSIDE)

    def _putobjback(self, state: State, node: int, _: int) -> State | Failure:
        if node not in state.origin:
            return Failure(f"{self._name(node)} was not grabbed from anywhere")
        kind, place = state.origin[node]
        reason = self._puttable(state, node, place, kind)
        if reason:
            return state if self.as_upstream else reason
        return self.effects.put(state, node, place, kind)

    def _drop(self, state: State, node: int, _: int) -> State | Failure:
        room = state.room(self.me)
        if room is None:
            return Failure("the character is in no room", "affordance")
        return self._not_held(state, node) or self.effects.drop(state, node, room)

    _release = _drop

    def _open(self, state: State, node: int, _: int) -> State | Failure:
        return self._open_or_close(state, node, opening=True)

    def _close(self, state: State, node: int, _: int) -> State | Failure:
        return self._open_or_close(state, node, opening=False)

    def _open_or_close(self, state: State, node: int, *, opening: bool) -> State | Failure:
        if not self.properties[node] & P["CAN_OPEN"] and self.names[node] not in ("desk", "window"):
            return Failure(f"{self._name(node)} cannot be opened or closed", "affordance")
        if reason := self._out_of_reach(state, node) or (self._hands_full(state) if opening else None):
            return reason
        now, before, after = self._row(state, STATE, node), words.CLOSED, words.OPEN
        if not opening:
            before, after = after, before
        if not now & before:
            return Failure(f"{self._name(node)} is not {'closed' if opening else 'open'}", "satisfied")
        if opening and now & words.ON:
            return Failure(f"{self._name(node)} is still on")
        return self.effects.change(state, node, after, before)

    def _switchon(self, state: State, node: int, _: int) -> State | Failure:
        return self._switch(state, node, words.ON, words.OFF, "off")

    def _switchoff(self, state: State, node: int, _: int) -> State | Failure:
        return self._switch(state, node, words.OFF, words.ON, "on")

    def _switch(self, state: State, node: int, after: int, before: int, is_now: str) -> State | Failure:
        if reason := self._lacks(node, P["HAS_SWITCH"], "has no switch") or self._out_of_reach(state, node):
            return reason
        now = self._row(state, STATE, node)
        if not now & before:
            return Failure(f"{self._name(node)} is not {is_now}", "satisfied")
        if after == words.ON and now & words.PLUGGED_OUT:
            return Failure(f"{self._name(node)} is unplugged")
        return self.effects.change(state, node, after, before)

    def _plugin(self, state: State, node: int, _: int) -> State | Failure:
        return self._plug(state, node, words.PLUGGED_IN, words.PLUGGED_OUT, "unplugged")

    def _plugout(self, state: State, node: int, _: int) -> State | Failure:
        return self._plug(state, node, words.PLUGGED_OUT, words.PLUGGED_IN, "plugged in")

    def _plug(self, state: State, node: int, after: int, before: int, is_now: str) -> State | Failure:
        if reason := (
            self._lacks(node, P["HAS_PLUG"], "has no plug")
            or self._out_of_reach(state, node)
            or self._hands_full(state)
        ):
            return reason
        now = self._row(state, STATE, node)
        if not now & before:
            return Failure(f"{self._name(node)} is not {is_now}", "satisfied")
        return self.effects.change(state, node, after, before)

    def _wash(self, state: State, node: int, _: int) -> State | Failure:
        return self._out_of_reach(state, node) or self.effects.change(state, node, words.CLEAN, words.DIRTY)

    _rinse = _scrub = _wash

    def _wipe(self, state: State, node: int, _: int) -> State | Failure:
        if reason := self._out_of_reach(state, node):
            return reason
        if not state.holding():
            return Failure("the character holds nothing to wipe with")
        return self.effects.change(state, node, words.CLEAN, words.DIRTY)

    def _puton(self, state: State, node: int, _: int) -> State | Failure:
        wrong = self._not_held(state, node) or self._lacks(node, P["CLOTHES"], "is nothing to wear")
        return wrong or self.effects.wear(state, node)

    def _putoff(self, state: State, node: int, _: int) -> State | Failure:
        if not self._row(state, ON, node) >> self.me & 1:
            return Failure(f"the character is not wearing {self._name(node)}")
        return self._lacks(node, P["CLOTHES"], "is nothing to wear") or self.effects.unwear(state, node)

    def _pour(self, state: State, node: int, into: int) -> State | Failure:
        if reason := self._lacks(node, P["POURABLE"] | P["DRINKABLE"], "cannot be poured"):
            return reason
        if not self.properties[into] & P["RECIPIENT"] and self.names[into] not in POUR_INTO:
            return Failure(f"{self._name(into)} is nothing to pour into", "affordance")
        wrong = self._not_held(state, node) or self._out_of_reach(state, into)
        return wrong or self.effects.pour(state, node, into)

    # Actions that need something and change nothing.

    def _drink(self, state: State, node: int, _: int) -> State | Failure:
        wrong = self._lacks(node, P["DRINKABLE"] | P["RECIPIENT"], "is nothing to drink or drink from")
        return wrong or self._not_held(state, node) or state

    def _read(self, state: State, node: int, _: int) -> State | Failure:
        return self._lacks(node, P["READABLE"], "is nothing to read") or self._not_held(state, node) or state

    def _touch(self, state: State, node: int, _: int) -> State | Failure:
        return self._out_of_reach(state, node) or self._shut(state, node) or state

    def _lookat(self, state: State, node: int, _: int) -> State | Failure:
        if not self.facing(state, node):
            return Failure(f"the character does not face {self._name(node)}")
        return state

    _pointat = _lookat

    def _watch(self, state: State, node: int, _: int) -> State | Failure:
        if reason := self._lacks(node, P["LOOKABLE"], "is nothing to watch"):
            return reason
        room = state.room(node)
        if room is None or room != state.room(self.me):
            return Failure(f"{self._name(node)} is not in the character's room")
        if not self.facing(state, node):
            return Failure(f"the character does not face {self._name(node)}")
        settled = self._posture(state) & (words.SITTING | words.LYING)
        if settled and self.names[node] != "computer" and not self._row(state, FACING, self.me) >> node & 1:
            return Failure(f"the character does not face {self._name(node)} from where it sits")
        return self._shut(state, node) or state

    def _type(self, state: State, node: int, _: int) -> State | Failure:
        if reason := self._out_of_reach(state, node):
            return reason
        if self.names[node] == "keyboard":
            return state
        return self._lacks(node, P["HAS_SWITCH"], "is nothing to type on") or state

    def _movable(self, state: State, node: int, *, pushing: bool) -> State | Failure:
        if (
            not self.properties[node] & P["MOVABLE"]
            and not pushing
            and self.names[node] not in ("button", "chair", "curtain")
        ):
            return Failure(f"{self._name(node)} cannot be moved", "affordance")
        wrong = self._out_of_reach(state, node) or self._shut(state, node) or self._hands_full(state)
        return wrong or state

    def _push(self, state: State, node: int, _: int) -> State | Failure:
        return self._movable(state, node, pushing=True)

    def _pull(self, state: State, node: int, _: int) -> State | Failure:
        return self._movable(state, node, pushing=False)

    _move = _pull

    def _squeeze(self, state: State, node: int, _: int) -> State | Failure:
        if reason := self._hands_full(state) or self._out_of_reach(state, node):
            return reason
        if not self.properties[node] & P["CLOTHES"] and self.names[node] not in SQUEEZABLE:
            return Failure(f"{self._name(node)} cannot be squeezed", "affordance")
        return state

    def _cut(self, state: State, node: int, _: int) -> State | Failure:
        if reason := (
            self._hands_full(state)
            or self._out_of_reach(state, node)
            or self._lacks(node, P["EATABLE"], "is nothing to eat")
            or self._lacks(node, P["CUTTABLE"], "cannot be cut")
        ):
            return reason
        if not any("knife" in self.names[held] for held in state.holding()):
            return Failure("the character is not holding a knife")
        return state

    def _eat(self, state: State, node: int, _: int) -> State | Failure:
        if reason := self._out_of_reach(state, node):
            return reason
        if self.properties[node] & P["EATABLE"]:
            return state
        if any(self.properties[food] & P["EATABLE"] for food in bits(self._row(state, ON_BY, node))):
            return state
        return Failure(f"neither {self._name(node)} nor anything on it can be eaten", "affordance")

    def _greet(self, state: State, node: int, _: int) -> State | Failure:
        return self._lacks(node, P["PERSON"], "is nobody to greet") or state

"""Which steps are worth trying in a state for a goal, with prior weights: the P of PUCT.

Only things that the goal names, what they are in or on, and what the character holds take part; that keeps branching
near ten where a home has hundreds of nodes. The weights favour a step that makes a missing fact true, then one that
brings it closer; every applicable step keeps some weight, because plans have to undo and detour.
Boundary: proposes; the simulator still decides whether a step can be done.
"""

from __future__ import annotations

from embodied.plan.goal import Fact, Goal
from embodied.world import vocabulary as words
from embodied.world.scene import INSIDE, ON, RIGHT, STATE, bits
from embodied.world.simulator import Simulator, Step
from embodied.world.state import State
from embodied.world.vocabulary import PROPERTY_BIT, Action

P = PROPERTY_BIT
MAKES, HELPS, MAY = 10.0, 4.0, 0.3
CONTAINER_DEPTH = 3

SWITCHES = (
    (P["CAN_OPEN"], words.CLOSED, words.OPEN, Action.OPEN),
    (P["CAN_OPEN"], words.OPEN, words.CLOSED, Action.CLOSE),
    (P["HAS_SWITCH"], words.OFF, words.ON, Action.SWITCHON),
    (P["HAS_SWITCH"], words.ON, words.OFF, Action.SWITCHOFF),
    (P["HAS_PLUG"], words.PLUGGED_OUT, words.PLUGGED_IN, Action.PLUGIN),
    (P["HAS_PLUG"], words.PLUGGED_IN, words.PLUGGED_OUT, Action.PLUGOUT),
)
"""(property needed, state before, state after, action)"""


class Proposer:
    """Proposes steps for one goal in one scene."""

    def __init__(self, simulator: Simulator, goal: Goal, start: State) -> None:
        self.simulator, self.goal = simulator, goal
        self.properties = simulator.scene.properties
        self.me = simulator.me
        self.rooms = simulator.scene.rooms
        relevant: dict[int, None] = {}
        for fact in goal.facts:
            relevant[fact.node] = None
            if fact.kind != STATE:
                relevant[fact.other] = None
        for node in list(relevant) + list(start.holding()):
            relevant[node] = None
            self._add_places(start, node, relevant, CONTAINER_DEPTH)
        relevant.pop(self.me, None)
        if any(fact.node == self.me and fact.kind == STATE for fact in goal.facts):
            self._add_seats(relevant)
        self.relevant = tuple(relevant)

    def _add_places(self, state: State, node: int, into: dict[int, None], depth: int) -> None:
        for place in bits((state.row(INSIDE, node) | state.row(ON, node)) & ~self.rooms):
            if depth and place not in into and place != self.me:
                into[place] = None
                self._add_places(state, place, into, depth - 1)

    def _add_seats(self, into: dict[int, None]) -> None:
        """A seat and a bed, where the goal asks for sitting or lying and names neither."""
        for prop in (P["SITTABLE"], P["LIEABLE"]):
            if not any(self.properties[node] & prop for node in into):
                seats = [i for i, mask in enumerate(self.properties) if mask & prop]
                into.update(dict.fromkeys(seats[:2]))

    def propose(self, state: State, missing: list[Fact]) -> list[tuple[Step, float]]:
        """Steps with weights. `missing` are the goal's facts that do not hold in `state`."""
        simulator, me = self.simulator, self.me
        base, rows, n = simulator.scene.base, state.rows, simulator.n
        wanted_states: dict[int, int] = {}
        to_move: dict[int, Fact] = {}
        destinations: set[int] = set()
        for fact in missing:
            if fact.kind == STATE:
                wanted_states[fact.node] = wanted_states.get(fact.node, 0) | fact.bit
            elif fact.kind == RIGHT:
                to_move[fact.other] = fact
            else:
                if fact.node != me:
                    to_move[fact.node] = fact
                destinations.add(fact.other)
        opens = {box for node in to_move for box in bits(state.row(INSIDE, node) & ~self.rooms)}
        opens |= {fact.other for fact in missing if fact.kind == INSIDE}
        held = set(state.holding())
        found: list[tuple[Step, float]] = []
        posture = state.row(STATE, me) & (words.SITTING | words.LYING)
        if posture:
            found.append((Step(Action.STANDUP), HELPS))
        here = state.room(me)
        close = simulator.close
        for node in self.relevant:
            mask = self.properties[node]
            wants = wanted_states.get(node, 0)
            is_held = node in held
            useful = wants or node in to_move or node in opens
            bound = any(to_move[h].other == node for h in held if h in to_move and to_move[h].kind != RIGHT)
            if not posture and not is_held:
                needed = bound or (useful and not (node in to_move and len(held) == 2))
                goes = Fact(INSIDE, me, 1 << node)
                if self.rooms >> node & 1:
                    if here != node:
                        found.append((Step(Action.WALK, node), MAKES if goes in missing else HELPS if bound else MAY))
                    continue
                if node in destinations and any(f.node == me and f.other == node for f in missing):
                    needed = True
                found.append((Step(Action.WALK, node), HELPS if needed and not close(state, node) else MAY))
            if not is_held and not close(state, node):
                continue
            place = STATE * n + node
            now = rows.get(place)
            if now is None:
                now = base[place]
            for prop, before, after, action in SWITCHES:
                if mask & prop and now & before:
                    weight = MAKES if wants & after else MAY
                    if (action is Action.OPEN and node in opens) or (action is Action.PLUGIN and wants & words.ON):
                        weight = HELPS
                    elif action is Action.CLOSE and node in opens:
                        weight = MAY / 3
                    elif action is Action.SWITCHOFF and wants & words.OPEN:
                        weight = HELPS
                    found.append((Step(action, node), weight))
            if wants & words.CLEAN:
                found.append((Step(Action.WASH, node), MAKES))
            if mask & (P["SITTABLE"] | P["LIEABLE"]):
                self._settle(node, mask, wanted_states.get(me, 0), node in destinations, found)
            if is_held:
                self._place(state, node, to_move.get(node), here, found)
            elif mask & P["GRABBABLE"] or simulator.names[node] in ("water", "child"):
                makes = node in to_move and to_move[node].kind == RIGHT
                found.append((Step(Action.GRAB, node), MAKES if makes else HELPS if node in to_move else MAY))
            elif mask & P["CLOTHES"] and state.row(ON, node) >> me & 1:
                found.append((Step(Action.PUTOFF, node), MAY))
        return found

    def _settle(self, node: int, mask: int, wants: int, seat: bool, found: list[tuple[Step, float]]) -> None:
        for prop, posture, action in (
            (P["SITTABLE"], words.SITTING, Action.SIT),
            (P["LIEABLE"], words.LYING, Action.LIE),
        ):
            if mask & prop:
                found.append((Step(action, node), MAKES if wants & posture or seat else MAY / 3))

    def _place(
        self, state: State, node: int, fact: Fact | None, here: int | None, found: list[tuple[Step, float]]
    ) -> None:
        """Steps that put down, wear or pour a held thing."""
        if fact is None:
            found.append((Step(Action.DROP, node), MAY))
            return
        found.append((Step(Action.DROP, node), MAKES if fact.kind == INSIDE and fact.other == here else MAY / 10))
        target = fact.other
        if fact.kind == RIGHT or self.rooms >> target & 1:
            return
        if target == self.me:
            found.append((Step(Action.PUTON, node), MAKES))
        elif self.simulator.close(state, target):
            found.append((Step(Action.PUTBACK if fact.kind == ON else Action.PUTIN, node, target), MAKES))

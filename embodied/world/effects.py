"""What actions change. Each function takes a state whose preconditions hold and returns a new one.

Boundary: writing rows; `simulator` decides whether an action may happen. `n`, `me` and rows are as in `scene`.
"""

from __future__ import annotations

from embodied.world.scene import CLOSE, FACING, INSIDE, INSIDE_BY, LEFT, ON, ON_BY, RIGHT, STATE, Scene, bits
from embodied.world.state import Origin, State
from embodied.world.vocabulary import PROPERTY_BIT, SITTING

CAN_OPEN = PROPERTY_BIT["CAN_OPEN"]


class Effects:
    """The writers of one scene."""

    def __init__(self, scene: Scene, *, as_upstream: bool) -> None:
        self.scene = scene
        self.as_upstream = as_upstream
        self.n = len(scene.nodes)
        self.me = scene.character

    def _set(self, rows: dict[int, int], place: int, value: int) -> None:
        """Write one row, keeping `rows` free of values equal to the base."""
        if self.scene.base[place] == value:
            rows.pop(place, None)
        else:
            rows[place] = value

    def _get(self, rows: dict[int, int], place: int) -> int:
        value = rows.get(place)
        return self.scene.base[place] if value is None else value

    def _detach(self, rows: dict[int, int], kind: int, node: int) -> None:
        """Delete a thing's relations of one kind, both from it and to it, with their reverse rows."""
        n, me, bit = self.n, self.me, 1 << node
        reverse = kind + 1  # ON_BY, INSIDE_BY, FACING_BY follow their kinds
        outgoing = self._get(rows, kind * n + node)
        if outgoing:
            self._set(rows, kind * n + node, 0)
            if node != me:
                for other in bits(outgoing):
                    place = reverse * n + other
                    self._set(rows, place, self._get(rows, place) & ~bit)
        incoming = self._get(rows, reverse * n + node)
        if incoming:
            self._set(rows, reverse * n + node, 0)
            for other in bits(incoming):
                place = kind * n + other
                self._set(rows, place, self._get(rows, place) & ~bit)
        mine = self._get(rows, kind * n + me)
        if mine & bit:
            self._set(rows, kind * n + me, mine & ~bit)

    def _separate(self, rows: dict[int, int], node: int) -> None:
        """Delete all CLOSE of a thing, both ways."""
        n, me, bit = self.n, self.me, 1 << node
        for other in bits(self._get(rows, CLOSE * n + node) & ~(1 << me)):
            place = CLOSE * n + other
            self._set(rows, place, self._get(rows, place) & ~bit)
        self._set(rows, CLOSE * n + node, 0)
        mine = self._get(rows, CLOSE * n + me)
        if mine & bit:
            self._set(rows, CLOSE * n + me, mine & ~bit)

    def _relate(self, rows: dict[int, int], kind: int, node: int, to: int) -> None:
        """Add one ON, INSIDE or FACING relation."""
        place = kind * self.n + node
        self._set(rows, place, self._get(rows, place) | 1 << to)
        if node != self.me:
            place = (kind + 1) * self.n + to
            self._set(rows, place, self._get(rows, place) | 1 << node)

    def _approach(self, rows: dict[int, int], mask: int) -> None:
        """Make the character close to every thing in `mask`."""
        place = CLOSE * self.n + self.me
        self._set(rows, place, self._get(rows, place) | mask)

    def _let_go(self, rows: dict[int, int], node: int) -> None:
        for kind in (RIGHT, LEFT):
            place = kind * self.n + self.me
            held = self._get(rows, place)
            if held >> node & 1:
                self._set(rows, place, held & ~(1 << node))

    def walk(self, state: State, node: int, room: int, here: int) -> State:
        """Go to `node` in `room`, from room `here`. All of the character's closeness ends, both ways, before the new
        one is derived: the thing, what it is in, what it is on, its contents if it opens, the body, what is held.
        """
        new = state.copy()
        rows, n, me = new.rows, self.n, self.me
        get = self._get
        held = [*bits(get(rows, LEFT * n + me)), *bits(get(rows, RIGHT * n + me))]
        self._detach(rows, INSIDE, me)
        self._detach(rows, FACING, me)
        self._set(rows, INSIDE * n + me, 1 << room)
        near = 0
        if room != node:
            near = get(rows, INSIDE * n + node) & ~self.scene.rooms | self.scene.body | 1 << node
        if held:
            self._set(rows, CLOSE * n + me, 0)
            for thing in held:
                self._detach(rows, INSIDE, thing)
                self._separate(rows, thing)
                self._detach(rows, FACING, thing)
                near &= ~(1 << thing)
            for thing in held:
                near |= 1 << thing
                self._relate(rows, INSIDE, thing, here if self.as_upstream else room)
        if self.scene.properties[node] & CAN_OPEN:
            near |= get(rows, INSIDE_BY * n + node)
            if get(rows, INSIDE * n + me) >> node & 1:
                near |= 1 << me
        near |= get(rows, ON * n + node)
        self._set(rows, CLOSE * n + me, near)
        return new

    def find(self, state: State, node: int) -> State:
        """Notice a thing within reach: face nothing, be close to it."""
        new = state.copy()
        self._set(new.rows, FACING * self.n + self.me, 0)
        self._approach(new.rows, 1 << node)
        return new

    def face(self, state: State, node: int) -> State:
        """Face one thing only."""
        new = state.copy()
        self._set(new.rows, FACING * self.n + self.me, 1 << node)
        return new

    def change(self, state: State, node: int, add: int, remove: int) -> State:
        """Change a node's states; `remove` first, then `add`."""
        place = STATE * self.n + node
        now = self._get(state.rows, place)
        after = now & ~remove | add
        if after == now:
            return state
        new = state.copy()
        self._set(new.rows, place, after)
        return new

    def settle(self, state: State, node: int, add: int, remove: int) -> State:
        """Sit or lie on a thing; sitting faces what the seat faces."""
        new = state.copy()
        rows, n, me = new.rows, self.n, self.me
        self._relate(rows, ON, me, node)
        if add & SITTING:
            place = FACING * n + me
            self._set(rows, place, self._get(rows, place) | self._get(rows, FACING * n + node))
        place = STATE * n + me
        self._set(rows, place, self._get(rows, place) & ~remove | add)
        return new

    def grab(self, state: State, node: int, hand: int, room: int) -> State:
        """Take a thing into a hand; where it was is kept for putting it back."""
        new = state.copy()
        rows, n, me = new.rows, self.n, self.me
        origin = self._origin(state, node)
        self._detach(rows, ON, node)
        self._detach(rows, INSIDE, node)
        self._separate(rows, node)
        self._let_go(rows, node)
        self._set(rows, hand * n + me, self._get(rows, hand * n + me) | 1 << node)
        self._relate(rows, INSIDE, node, room)
        near = 1 << node
        if origin is not None:
            near |= 1 << origin.place
            new.origin[node] = origin
        self._approach(rows, near)
        return new

    def _origin(self, state: State, node: int) -> Origin | None:
        """The first place that is no room, in the order ON, INSIDE, CLOSE and within each by id."""
        for kind in (ON, INSIDE, CLOSE):
            places = state.row(kind, node) & ~self.scene.rooms
            if kind == CLOSE and state.row(CLOSE, self.me) >> node & 1:
                places |= 1 << self.me
            if places:
                return Origin(kind, (places & -places).bit_length() - 1)
        return None

    def put(self, state: State, node: int, place: int, kind: int) -> State:
        """Put a held thing on, in or next to a place; it stays inside its room as well."""
        new = state.copy()
        rows = new.rows
        self._let_go(rows, node)
        self._approach(rows, 1 << place)
        self._near(rows, node, place)
        if kind != CLOSE:
            self._relate(rows, kind, node, place)
        new.origin.pop(node, None)
        return new

    def _near(self, rows: dict[int, int], a: int, b: int) -> None:
        """CLOSE between two things, both ways; the character's is its own row."""
        if self.me in (a, b):
            self._approach(rows, 1 << (b if a == self.me else a))
            return
        for one, other in ((a, b), (b, a)):
            at = CLOSE * self.n + one
            self._set(rows, at, self._get(rows, at) | 1 << other)

    def drop(self, state: State, node: int, room: int) -> State:
        """Let a held thing fall in the room."""
        new = state.copy()
        self._let_go(new.rows, node)
        self._relate(new.rows, INSIDE, node, room)
        new.origin.pop(node, None)
        return new

    def wear(self, state: State, node: int) -> State:
        """Put clothes on."""
        new = state.copy()
        self._relate(new.rows, ON, node, self.me)
        self._let_go(new.rows, node)
        return new

    def unwear(self, state: State, node: int) -> State:
        """Take clothes off."""
        new = state.copy()
        rows, n, me = new.rows, self.n, self.me
        self._set(rows, ON * n + node, self._get(rows, ON * n + node) & ~(1 << me))
        self._set(rows, ON_BY * n + me, self._get(rows, ON_BY * n + me) & ~(1 << node))
        return new

    def pour(self, state: State, node: int, into: int) -> State:
        """Pour a held thing into another; water leaves the hand."""
        new = state.copy()
        self._relate(new.rows, INSIDE, node, into)
        if self.scene.nodes[node].name == "water":
            self._let_go(new.rows, node)
        return new

"""All queries. Everything that belongs to someone is asked for with its owner, so that ids alone open nothing."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Delete,
    Insert,
    Select,
    Table,
    Update,
    delete,
    false,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Row

from serve.api.errors import ApiError, not_found
from serve.api.storage import history, turns
from serve.api.storage import tables as t
from serve.api.storage.database import Clash, Database
from serve.api.storage.migrate import upgrade
from serve.api.storage.records import ApiKey, Charge, Conversation, Exchange, Feedback, NewTurn, StoredTurn

R = TypeVar("R")
T = TypeVar("T")

PAGE = 100
"""Rows read at a time where all are wanted."""


class Store:
    """The database as the API uses it. Every method raises ApiError 503 where the database fails."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @classmethod
    async def open(cls, url: str, *, migrate: bool = True) -> Store:
        """Open the database at `url`, brought up to date first unless `migrate` is False."""
        store = cls(Database(url))
        if migrate:
            await upgrade(store.database)
        return store

    async def aclose(self) -> None:
        await self.database.aclose()

    async def ping(self) -> None:
        """Raise ApiError 503 where the database does not answer."""
        await self.database.read(lambda connection: connection.execute(text("SELECT 1")).scalar())

    # Turns

    async def begin(self, owner: str, keys: Sequence[str] = ()) -> tuple[int, list[StoredTurn]]:
        """What a request is to know when it begins: how often the owner's data was deleted, which `add_turns` compares,
        and the turns that were made under these idempotency keys before."""
        number = select(t.deletions.c.number).where(t.deletions.c.owner == owner)
        made = turns.turns_with_feedback().where(t.turns.c.owner == owner, t.turns.c.idempotency_key.in_(keys))

        def run(connection: Connection) -> tuple[int, list[history.Found]]:
            deletions = connection.execute(number).scalar() or 0
            return deletions, history.find(connection, made) if keys else []

        deletions, found = await self.database.read(run)
        return deletions, await _parsed(turns.stored, found)

    async def add_turns(
        self, new: Sequence[NewTurn], owner: str, *, deletions: int | None = None, charge: Charge | None = None
    ) -> None:
        """Commit turns and what they cost, all or none; when this returns they are there, once.

        `deletions` is what `begin` said. Raises ApiError 409 where the owner's data was deleted since or the
        conversation moved on, 404 where it is gone, Clash where an idempotency key was used.
        """
        rows = [turns.row_of(turn, owner) for turn in new]

        def save(connection: Connection) -> None:
            self._hold_deletions(connection, owner, "pg_advisory_xact_lock_shared")
            number = connection.execute(select(t.deletions.c.number).where(t.deletions.c.owner == owner)).scalar() or 0
            if deletions is not None and number != deletions:
                message = "All that was stored of you was deleted while this ran, so it was not kept. Send it again."
                raise ApiError(409, message, code="data_deleted")
            for turn in new:
                turns.fit_in(connection, turn, owner)
            connection.execute(insert(t.turns), rows)
            if charge is not None:
                connection.execute(self._count(charge.owner, charge.minute, tokens=charge.tokens))

        await self.database.write(save)

    async def turn(self, turn_id: str, owner: str) -> StoredTurn:
        """Raises ApiError 404."""
        found = await self._turns(turns.turns_with_feedback().where(_mine(t.turns, turn_id, owner)))
        if not found:
            raise not_found("turn", turn_id)
        return found[0]

    async def delete_turn(self, turn_id: str, owner: str) -> None:
        """Delete a turn and its feedback, and so what later ones tell of it. Raises ApiError 404."""
        mine = _mine(t.turns, turn_id, owner)
        c = t.turns.c
        after = update(t.turns).where(c.parent_id == turn_id, c.owner == owner)

        def run(connection: Connection) -> bool:
            found = connection.execute(select(c.parent_id).where(mine).with_for_update()).one_or_none()
            if found is None:
                return False
            # The responses after it go on from the one before it.
            connection.execute(after.values(parent_id=found.parent_id))
            connection.execute(delete(t.turns).where(mine))
            return True

        if not await self.database.write(run):
            raise not_found("turn", turn_id)

    async def delete_everything_of(self, owner: str) -> int:
        """Delete all turns, conversations and feedback of an owner; how many turns there were.

        Turns that are being made are not kept either (`add_turns`).
        """
        once_more = self._insert(t.deletions, {"owner": owner, "number": 1}).on_conflict_do_update(
            index_elements=["owner"], set_={"number": t.deletions.c.number + 1}
        )

        def run(connection: Connection) -> int:
            self._hold_deletions(connection, owner, "pg_advisory_xact_lock")
            connection.execute(once_more)
            found = connection.execute(delete(t.turns).where(t.turns.c.owner == owner)).rowcount
            connection.execute(delete(t.conversations).where(t.conversations.c.owner == owner))
            return found

        return await self.database.write(run)

    async def delete_before(self, moment: float) -> int:
        """Delete turns created before `moment`, and conversations that have had none since; how many turns."""
        return await self._change(
            delete(t.turns).where(t.turns.c.created < moment),
            delete(t.conversations).where(t.conversations.c.updated < moment),
            delete(t.usage).where(t.usage.c.minute < int(time.time() // 60) - 60),
        )

    # Conversations

    async def add_conversation(
        self, conversation_id: str, owner: str, *, title: str, role: str, metadata: dict[str, str] | None = None
    ) -> Conversation:
        now = time.time()
        made = Conversation(conversation_id, owner, title, role, created=now, updated=now, metadata=metadata or {})
        row = {**vars(made), "metadata": json.dumps(made.metadata)}
        await self._change(insert(t.conversations).values(row))
        return made

    async def conversation(self, conversation_id: str, owner: str) -> Conversation:
        """Raises ApiError 404."""
        row = await self._one(select(t.conversations).where(_mine(t.conversations, conversation_id, owner)))
        if row is None:
            raise not_found("conversation", conversation_id)
        return _conversation(row)

    async def conversations(self, owner: str, *, limit: int, before: float | None = None) -> list[Conversation]:
        """The newest first; `before` goes on where a page ended."""
        query = select(t.conversations).where(t.conversations.c.owner == owner)
        if before is not None:
            query = query.where(t.conversations.c.updated < before)
        query = query.order_by(t.conversations.c.updated.desc(), t.conversations.c.id).limit(limit)
        return [_conversation(row) for row in await self._all(query)]

    async def turns_of(
        self, conversation_id: str, owner: str, *, limit: int = PAGE, after: int = 0
    ) -> list[StoredTurn]:  # fmt: skip
        """A conversation's turns, oldest first; `after`, a position, goes on where a page ended."""
        query = turns.turns_with_feedback().where(
            t.turns.c.conversation_id == conversation_id, t.turns.c.owner == owner, t.turns.c.position > after
        )
        return await self._turns(query.order_by(t.turns.c.position).limit(limit))

    async def exchanges(self, conversation_id: str, owner: str, *, limit: int) -> list[Exchange]:
        """What was said in a conversation's newest turns, the newest first."""
        query = history.exchanges().where(t.turns.c.conversation_id == conversation_id, t.turns.c.owner == owner)
        rows = await self._all(query.order_by(t.turns.c.position.desc()).limit(limit))
        return await _parsed(history.exchange, rows)

    async def change_conversation(
        self, conversation_id: str, owner: str, *, title: str | None = None, metadata: dict[str, str] | None = None
    ) -> Conversation:
        """Replace what is given. Raises ApiError 404."""
        values = {"title": title, "metadata": None if metadata is None else json.dumps(metadata)}
        values = {name: value for name, value in values.items() if value is not None}
        mine = _mine(t.conversations, conversation_id, owner)
        await self._change(update(t.conversations).where(mine).values(values))
        return await self.conversation(conversation_id, owner)

    async def delete_conversation(self, conversation_id: str, owner: str) -> None:
        """Delete a conversation with its turns and their feedback. Raises ApiError 404."""
        if not await self._change(delete(t.conversations).where(_mine(t.conversations, conversation_id, owner))):
            raise not_found("conversation", conversation_id)

    # Feedback

    async def set_feedback(self, feedback: Feedback, owner: str) -> None:
        """Store what a person thought of a turn, in place of what they said before. Raises ApiError 404."""
        values = {**vars(feedback), "owner": owner}
        mine = select(t.turns.c.id).where(_mine(t.turns, feedback.turn_id, owner))
        save = self._insert(t.feedback, values).on_conflict_do_update(index_elements=["turn_id"], set_=values)

        def run(connection: Connection) -> bool:
            if connection.execute(mine).scalar() is None:
                return False
            connection.execute(save)
            return True

        try:
            found = await self.database.write(run)
        except Clash:  # the turn was deleted meanwhile
            found = False
        if not found:
            raise not_found("turn", feedback.turn_id)

    async def turns_with_feedback(self, owner: str | None) -> AsyncIterator[StoredTurn]:
        """All turns that someone thought something of, oldest first; `owner` None takes everybody's."""
        after: tuple[float, str] = (-1.0, "")
        while True:
            query = turns.turns_with_feedback().where(t.feedback.c.turn_id.is_not(None))
            if owner is not None:
                query = query.where(t.turns.c.owner == owner)
            older = (t.turns.c.created > after[0]) | ((t.turns.c.created == after[0]) & (t.turns.c.id > after[1]))
            query = query.where(older).order_by(t.turns.c.created, t.turns.c.id).limit(PAGE)
            found = await self.database.read(lambda connection, query=query: history.find(connection, query))
            for stored in await _parsed(turns.stored, found):
                yield stored
            if len(found) < PAGE:
                return
            after = (found[-1].row.created, found[-1].row.id)

    # Keys and limits

    async def add_key(self, key: ApiKey, secret_hash: str) -> None:
        await self._change(insert(t.keys).values(**vars(key), secret_hash=secret_hash))

    async def key(self, key_id: str) -> tuple[ApiKey, str] | None:
        """A key and its secret's hash."""
        row = await self._one(select(t.keys).where(t.keys.c.id == key_id))
        return None if row is None else (_key(row), row.secret_hash)

    async def keys(self) -> list[ApiKey]:
        return [_key(row) for row in await self._all(select(t.keys).order_by(t.keys.c.created))]

    async def revoke_key(self, key_id: str) -> bool:
        """Whether there was such a key that was not revoked before."""
        live = (t.keys.c.id == key_id) & t.keys.c.revoked.is_(None)
        return bool(await self._change(update(t.keys).where(live).values(revoked=time.time())))

    async def count(self, owner: str, minute: int, *, requests: int = 0, tokens: int = 0) -> tuple[int, int]:
        """Add to an owner's requests and tokens of a minute; what they are then, over all processes."""
        statement = self._count(owner, minute, requests=requests, tokens=tokens)
        returning = statement.returning(t.usage.c.requests, t.usage.c.tokens)
        found = await self.database.write(lambda connection: connection.execute(returning).one())
        return found.requests, found.tokens

    def _count(
        self, owner: str, minute: int, *, requests: int = 0, tokens: int = 0
    ) -> sqlite.Insert | postgresql.Insert:  # fmt: skip
        row = {"owner": owner, "minute": minute, "requests": requests, "tokens": tokens}
        return self._insert(t.usage, row).on_conflict_do_update(
            index_elements=["owner", "minute"],
            set_={"requests": t.usage.c.requests + requests, "tokens": t.usage.c.tokens + tokens},
        )

    # How they are run

    def _insert(self, table: Table, values: dict[str, Any]) -> sqlite.Insert | postgresql.Insert:
        """An insertion that can say what happens where the row is there already."""
        dialect = sqlite if self.database.is_sqlite else postgresql
        return dialect.insert(table).values(values)

    def _hold_deletions(self, connection: Connection, owner: str, lock: str) -> None:
        """Keep an owner's turns from being committed while all of theirs are deleted. SQLite has one writer anyway."""
        if not self.database.is_sqlite:
            connection.execute(text(f"SELECT {lock}(7141028, hashtext(:owner))"), {"owner": owner})

    async def _one(self, query: Select[Any]) -> Row[Any] | None:
        return await self.database.read(lambda connection: connection.execute(query).one_or_none())

    async def _all(self, query: Select[Any]) -> Sequence[Row[Any]]:
        return await self.database.read(lambda connection: connection.execute(query).all())

    async def _turns(self, query: Any) -> list[StoredTurn]:
        """The turns of a query of `turns.turns_with_feedback`."""
        found = await self.database.read(lambda connection: history.find(connection, query))
        return await _parsed(turns.stored, found)

    async def _change(self, *statements: Delete | Insert | Update) -> int:
        """Run the statements in one transaction; the first one's number of rows."""

        def run(connection: Connection) -> list[int]:
            return [connection.execute(statement).rowcount for statement in statements]

        return (await self.database.write(run))[0]


def _mine(table: Table, row_id: str, owner: str) -> ColumnElement[bool]:
    """The row with this id where it is the owner's. An id that cannot be stored is no row's, and no error."""
    if "\0" in row_id:
        return false()
    return (table.c.id == row_id) & (table.c.owner == owner)


async def _parsed(read: Callable[[R], T], rows: Sequence[R]) -> list[T]:
    """The rows' values. A long trace takes its time to read, so the event loop does not do it."""
    return await asyncio.to_thread(lambda: [read(row) for row in rows]) if rows else []


def _conversation(row: Row[Any]) -> Conversation:
    values = dict(row._mapping)
    return Conversation(**{**values, "metadata": json.loads(values["metadata"] or "{}")})


def _key(row: Row[Any]) -> ApiKey:
    return ApiKey(**{name: value for name, value in row._mapping.items() if name != "secret_hash"})

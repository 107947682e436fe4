"""What a stored turn went on from: read from the rows where it was said, and put before the turn's own messages.

Of what was deleted there is no row, so no later turn tells of it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import case, literal, select
from sqlalchemy.engine import Connection, Row

from dialog.messages import Message, clean_text
from serve.api.storage import tables as t
from serve.api.storage.records import Exchange

LONGEST_CHAIN = 5_000
"""Responses that are gone back by at most; what was said before them is as if it were not there."""


class Found(NamedTuple):
    """A turn's row with the rows that it goes on from."""

    row: Row[Any]
    exchanges: Sequence[Row[Any]] = ()
    """Of its conversation, or of that of the first of `ancestors`."""
    ancestors: Sequence[Row[Any]] = ()
    """The responses that it went on from, the oldest first."""


def exchanges() -> Any:
    """A query of what was said, without the traces; `exchange` reads a row."""
    c = t.turns.c
    # The first release kept it in the document only.
    document = case((c.message.is_(None), c.document), else_=None).label("document")
    return select(c.conversation_id, c.position, c.message, c.reply, document)


def exchange(row: Row[Any]) -> Exchange:
    if row.document is None:
        return Exchange(row.position, row.message, row.reply)
    turn = json.loads(row.document)
    return Exchange(row.position, turn["messages"][-1]["content"], turn["reply"])


def find(connection: Connection, query: Any) -> list[Found]:
    """The rows of a query of whole turns, each with what it goes on from."""
    rows = connection.execute(query).all()
    ancestors = {row.id: _ancestors(connection, row) for row in rows if row.parent_id is not None}
    first = {row.id: ancestors[row.id][0] if ancestors.get(row.id) else row for row in rows}
    said = _said(connection, [row for row in first.values() if row.since is not None])
    return [Found(row, said.get(first[row.id].conversation_id, ()), ancestors.get(row.id, ())) for row in rows]


def _said(connection: Connection, rows: Sequence[Row[Any]]) -> dict[str, Sequence[Row[Any]]]:
    """What was said in each conversation of `rows`, as far as these go back, the oldest first."""
    bounds: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for row in rows:
        bounds[row.conversation_id].append((row.since, row.position))
    c = t.turns.c
    found: dict[str, Sequence[Row[Any]]] = {}
    for name, spans in bounds.items():
        first, end = min(span[0] for span in spans), max(span[1] for span in spans)
        if first < end:
            query = exchanges().where(c.conversation_id == name, c.position >= first, c.position < end)
            found[name] = connection.execute(query.order_by(c.position)).all()
    return found


def _ancestors(connection: Connection, row: Row[Any]) -> Sequence[Row[Any]]:
    c = t.turns.c
    # What has no past of its own, and what the first release kept, is read out of the document.
    whole = (c.own.is_(None) & c.since.is_(None)) | c.message.is_(None)
    columns = [
        c.owner, c.parent_id, c.kept, c.own, c.since, c.conversation_id, c.position, c.asked, c.message, c.reply,
        case((whole, c.document), else_=None).label("document"),
    ]  # fmt: skip
    mine = (c.id == row.parent_id) & (c.owner == row.owner)
    chain = select(*columns, literal(1).label("depth")).where(mine).cte("chain", recursive=True)
    before = select(*columns, chain.c.depth + 1).join(chain, c.id == chain.c.parent_id)
    chain = chain.union_all(before.where(c.owner == chain.c.owner, chain.c.depth < LONGEST_CHAIN))
    return connection.execute(select(chain).order_by(chain.c.depth.desc())).all()


def messages(found: Found, own: Sequence[Message]) -> list[Message]:
    """A turn's messages, of which `own` are its own, with those that it went on from."""
    row = found.row
    if row.since is not None:
        return _in_conversation(found.exchanges, row, own)
    if row.own is None:
        return list(own)
    before: list[Message] = []
    for ancestor in found.ancestors:
        before = _told(ancestor, before, found.exchanges)
    return _gone_on(before, own, row)


def _told(row: Row[Any], before: list[Message], said: Sequence[Row[Any]]) -> list[Message]:
    """What a response that goes on from this one is given: all but the instructions, which hold for one only."""
    turn = None if row.document is None else json.loads(row.document)
    if row.since is not None:
        message = row.message if turn is None else turn["messages"][-1]["content"]
        told = _in_conversation(said, row, [Message(role="user", content=clean_text(message))])
    elif row.own is not None:
        told = _gone_on(before, [Message(**message) for message in json.loads(row.own)], row)[_instructed(row) :]
    else:
        assert turn is not None
        told = [Message(**message) for message in turn["messages"]][_instructed(row) :]
    return [*told, Message(role="assistant", content=clean_text(row.reply if turn is None else turn["reply"]))]


def _in_conversation(said: Sequence[Row[Any]], row: Row[Any], own: Sequence[Message]) -> list[Message]:
    lead = [message for message in own if message.role == "system"]
    given = [exchange(each) for each in said if row.since <= each.position < row.position]
    return [*lead, *(message for each in given for message in spoken(each)), *own[len(lead) :]]


def _gone_on(before: list[Message], own: Sequence[Message], row: Row[Any]) -> list[Message]:
    instructed = _instructed(row)
    lead, before, own = led(own[0].content if instructed else None, before, own[instructed:])
    return [*lead, *before[len(before) - min(row.kept, len(before)) :], *own]


def _instructed(row: Row[Any]) -> bool:
    return bool(row.asked and json.loads(row.asked).get("instructions"))


def spoken(exchange: Exchange) -> tuple[Message, Message]:
    """An exchange as messages, written as a turn has them."""
    return (
        Message(role="user", content=clean_text(exchange.message)),
        Message(role="assistant", content=clean_text(exchange.reply)),
    )


def led(
    instructions: str | None, before: Sequence[Message], given: Sequence[Message]
) -> tuple[list[Message], list[Message], list[Message]]:
    """What leads the conversation, each once: the instructions, and what developers said in it, then and now. And
    what users and the agent said, before and now."""
    lead = [Message(role="system", content=instructions)] if instructions else []
    for message in [*before, *given]:
        if message.role == "system" and message not in lead:
            lead.append(message)
    return lead, [m for m in before if m.role != "system"], [m for m in given if m.role != "system"]

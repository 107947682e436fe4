"""Turns as rows: how one is written, read back, and fitted into its conversation."""

from __future__ import annotations

import json
import time
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.engine import Connection

from dialog.messages import clean_text
from dialog.turn import Turn
from serve.api.errors import ApiError, not_found
from serve.api.storage import history
from serve.api.storage import tables as t
from serve.api.storage.records import Feedback, NewTurn, StoredTurn


def row_of(new: NewTurn, owner: str) -> dict[str, Any]:
    """A new turn's row."""
    turn, past = new.turn, new.past
    own = turn.messages if past is None else [m.model_copy(update={"content": clean_text(m.content)}) for m in past.own]
    return {
        "id": turn.id,
        "owner": owner,
        "conversation_id": new.conversation,
        "position": new.position,
        "idempotency_key": new.idempotency_key,
        "finish_reason": turn.finish_reason,
        "created": turn.created.timestamp(),
        "document": turn.model_copy(update={"messages": own}).model_dump_json(),
        "request_hash": new.request_hash,
        "asked": None if new.asked is None else json.dumps(new.asked),
        "message": _plain(turn.messages[-1].content),
        "reply": _plain(turn.reply),
        "since": past and past.since,
        "parent_id": past and past.parent,
        "kept": past and past.kept,
        "own": json.dumps([m.model_dump() for m in own]) if past is not None and past.parent is not None else None,
    }


def _plain(text: str) -> str:
    # JSON can say a NUL, which a model may write; a column of text cannot hold one everywhere.
    return text.replace("\0", "")


def turns_with_feedback() -> Any:
    """A query of all turns, each with the feedback on it; `stored` reads what `history.find` finds by it."""
    feedback = [column.label(f"feedback_{column.name}") for column in t.feedback.c if column.name != "owner"]
    return select(t.turns, *feedback).join_from(t.turns, t.feedback, isouter=True)


def stored(found: history.Found) -> StoredTurn:
    row = found.row._mapping
    names = ("turn_id", "thumb", "reason", "comment", "better", "created")
    feedback = Feedback(**{name: row[f"feedback_{name}"] for name in names}) if row["feedback_turn_id"] else None
    turn = Turn.model_validate_json(row["document"])
    turn.messages = history.messages(found, turn.messages)
    return StoredTurn(
        turn=turn,
        owner=row["owner"],
        conversation=row["conversation_id"],
        position=row["position"],
        feedback=feedback,
        idempotency_key=row["idempotency_key"],
        request_hash=row["request_hash"],
        asked=json.loads(row["asked"]) if row["asked"] else None,
    )


def fit_in(connection: Connection, new: NewTurn, owner: str) -> None:
    """Make room for a turn at the end of its conversation, if it has one. Raises ApiError 404, 409."""
    if new.conversation is None:
        return
    mine = (t.conversations.c.id == new.conversation) & (t.conversations.c.owner == owner)
    # The lock keeps the conversation from being deleted, or gone on with, until this turn is in it.
    title = connection.execute(select(t.conversations.c.title).where(mine).with_for_update()).scalar()
    if title is None:
        raise not_found("conversation", new.conversation)
    taken = select(func.max(t.turns.c.position)).where(t.turns.c.conversation_id == new.conversation)
    if (connection.execute(taken).scalar() or 0) + 1 != new.position:
        message = f"conversation {new.conversation!r} has another turn since this one began. Send it again."
        raise ApiError(409, message, code="conversation_conflict", param="conversation")
    values: dict[str, Any] = {"updated": time.time()}
    if not title:
        values["title"] = _plain(" ".join(new.turn.messages[-1].content.split()))[:80]
    connection.execute(update(t.conversations).where(mine).values(values))

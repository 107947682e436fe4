"""The tables. A change here needs a migration in `migrations/versions/`; a test compares the two.

Times are seconds since the epoch. A turn is one row: the `Turn` as JSON in `document`, what is searched by, and by
themselves the user's message and the reply, which are all that a conversation is gone on with from. Of a turn that goes
on from others the document has only its own messages. The others' are read from their rows: those of its conversation
from position `since` on, or those of `parent_id`, of which it was given the newest `kept`. `own` repeats a response's
own messages, so that the responses after it need not read its trace.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy import Column as C

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

keys = Table(
    "keys",
    metadata,
    C("id", String(32), primary_key=True),
    C("name", String(200), nullable=False),
    C("secret_hash", String(64), nullable=False),
    C("admin", Boolean, nullable=False),
    C("requests_per_minute", Integer),
    C("tokens_per_minute", Integer),
    C("created", Double, nullable=False),
    C("revoked", Double),
)

usage = Table(
    "usage",
    metadata,
    C("owner", String(64), primary_key=True),
    C("minute", Integer, primary_key=True),
    C("requests", Integer, nullable=False),
    C("tokens", Integer, nullable=False),
)

conversations = Table(
    "conversations",
    metadata,
    C("id", String(64), primary_key=True),
    C("owner", String(64), nullable=False),
    C("title", String(200), nullable=False),
    C("role", String(60), nullable=False),
    C("created", Double, nullable=False),
    C("updated", Double, nullable=False),
    C("metadata", Text),
    Index(None, "owner", "updated"),
)

turns = Table(
    "turns",
    metadata,
    C("id", String(64), primary_key=True),
    C("owner", String(64), nullable=False),
    C("conversation_id", String(64), ForeignKey("conversations.id", ondelete="CASCADE")),
    C("position", Integer),
    C("idempotency_key", String(255)),
    C("finish_reason", String(20), nullable=False),
    C("created", Double, nullable=False),
    C("document", Text, nullable=False),
    C("request_hash", String(64)),
    C("asked", Text),
    C("message", Text),
    C("reply", Text),
    C("since", Integer),
    C("parent_id", String(64)),
    C("kept", Integer),
    C("own", Text),
    UniqueConstraint("conversation_id", "position"),
    UniqueConstraint("owner", "idempotency_key"),
    Index(None, "created"),
    Index(None, "parent_id"),
)

deletions = Table(
    "deletions",
    metadata,
    C("owner", String(64), primary_key=True),
    C("number", Integer, nullable=False),
)

feedback = Table(
    "feedback",
    metadata,
    C("turn_id", String(64), ForeignKey("turns.id", ondelete="CASCADE"), primary_key=True),
    C("owner", String(64), nullable=False),
    C("thumb", String(4), nullable=False),
    C("reason", String(20)),
    C("comment", Text),
    C("better", Text),
    C("created", Double, nullable=False),
    CheckConstraint("thumb IN ('up', 'down')", name="thumb"),
    Index(None, "owner", "created"),
)

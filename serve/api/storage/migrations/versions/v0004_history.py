"""Turns keep their own messages only, and say where the ones before are: what is deleted there is gone everywhere.

Turns of conversations that are there already are rewritten, which takes a while on a large database. Responses that
went on from others stay as they are: which of their messages were their own cannot be told any more.
"""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

PAGE = 100
"""Rows that are rewritten at a time."""


def upgrade() -> None:
    op.add_column("turns", sa.Column("since", sa.Integer))
    op.add_column("turns", sa.Column("parent_id", sa.String(64)))
    op.add_column("turns", sa.Column("kept", sa.Integer))
    op.add_column("turns", sa.Column("own", sa.Text))
    op.create_index("ix_turns_parent_id", "turns", ["parent_id"])
    _rewrite(op.get_bind())


def _rewrite(connection: sa.Connection) -> None:
    turns = sa.table("turns", *(sa.column(name) for name in ("id", "conversation_id", "position", "document", "since")))
    c = turns.c
    change = turns.update().where(c.id == sa.bindparam("of"))
    change = change.values(document=sa.bindparam("new"), since=sa.bindparam("first"))
    name, positions = "", [0]
    while True:
        later = (c.conversation_id > name) | ((c.conversation_id == name) & (c.position > positions[-1]))
        query = sa.select(c.id, c.conversation_id, c.position, c.document).where(later)
        rows = connection.execute(query.order_by(c.conversation_id, c.position).limit(PAGE)).all()
        if not rows:
            return
        changes = []
        for row in rows:
            if row.conversation_id != name:
                name, positions = row.conversation_id, [0]
            document, exchanges = _stripped(row.document)
            positions.append(row.position)
            first = positions[max(1, len(positions) - 1 - exchanges)]
            changes.append({"of": row.id, "new": document, "first": first})
        connection.execute(change, changes)


def _stripped(document: str) -> tuple[str, int]:
    """A document without what was said before its turn, and how many exchanges that were."""
    turn: dict[str, Any] = json.loads(document)
    messages = turn["messages"]
    own = [message for message in messages[:-1] if message["role"] == "system"] + messages[-1:]
    turn["messages"] = own
    return json.dumps(turn, ensure_ascii=False, separators=(",", ":")), (len(messages) - len(own)) // 2


def downgrade() -> None:
    op.drop_index("ix_turns_parent_id", "turns")
    for column in ("own", "kept", "parent_id", "since"):
        op.drop_column("turns", column)

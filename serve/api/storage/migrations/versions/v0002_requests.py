"""What a turn's request was, its two newest messages by themselves, and how often an owner's data was deleted.

Turns that are there already have none of it: no hash is equal to any, and their messages are read out of the document.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("turns", sa.Column("request_hash", sa.String(64)))
    op.add_column("turns", sa.Column("asked", sa.Text))
    op.add_column("turns", sa.Column("message", sa.Text))
    op.add_column("turns", sa.Column("reply", sa.Text))
    op.create_table(
        "deletions",
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("owner", name="pk_deletions"),
    )


def downgrade() -> None:
    op.drop_table("deletions")
    for column in ("reply", "message", "asked", "request_hash"):
        op.drop_column("turns", column)

"""What a caller attached to a conversation. Conversations that are there already have nothing attached."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("conversations", sa.Column("metadata", sa.Text))


def downgrade() -> None:
    op.drop_column("conversations", "metadata")

"""Bringing the tables up to date at the start. The steps are in `migrations/versions/`."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy.engine import Connection

from serve.api.storage.database import Database
from serve.errors import SettingsError


async def upgrade(database: Database) -> None:
    """Bring the tables up to date; safe to run from several processes at once.

    Raises ApiError 503, and SettingsError for a database of a newer release.
    """

    def run(connection: Connection) -> None:
        if not database.is_sqlite:  # SQLite's write lock is held already
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7141027)")
        try:
            command.upgrade(config(connection), "head")
        except CommandError as error:
            raise SettingsError(
                f"the database's tables are not of this release: {error}. Use the release that made them, or another "
                "database."
            ) from error

    await database.write(run)


def config(connection: Connection) -> Config:
    """Alembic's configuration for our steps on this connection."""
    found = Config()
    found.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    found.attributes["connection"] = connection
    return found

"""The connection to SQLite or PostgreSQL: pools, transactions, and database failures as one error.

SQLite runs in WAL mode with `synchronous=FULL`, so that what is committed outlives a power cut, and takes the write
lock when a writing transaction begins, so that several processes wait for each other instead of failing half-way.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from serve.api.errors import ApiError, unavailable

logger = logging.getLogger(__name__)

BUSY_SECONDS = 15.0
"""How long a writer waits for another before it gives up."""


def driver_url(url: str) -> URL:
    """The URL with the async driver that serves it."""
    parsed = make_url(url)
    driver = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}[parsed.get_backend_name()]
    return parsed.set(drivername=driver)


class Database:
    """An engine with reading and writing transactions."""

    def __init__(self, url: str, *, pool: int = 8) -> None:
        self.url = driver_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            Path(str(self.url.database)).parent.mkdir(parents=True, exist_ok=True)
        options: dict[str, Any] = {"pool_pre_ping": not self.is_sqlite, "pool_timeout": 10.0}
        if self.is_sqlite:
            options |= {"connect_args": {"timeout": BUSY_SECONDS}, "pool_size": pool, "max_overflow": 0}
        else:
            options |= {"connect_args": {"timeout": 5, "command_timeout": 15}, "pool_size": pool, "max_overflow": pool}
        self.engine: AsyncEngine = create_async_engine(self.url, **options)
        if self.is_sqlite:
            event.listen(self.engine.sync_engine, "connect", _prepare_sqlite)
            event.listen(self.engine.sync_engine, "begin", _begin_sqlite)
        self._writing = self.engine.execution_options(groundling_write=True)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that only reads. Raises ApiError 503 where the database fails."""
        with_errors = self.engine
        try:
            async with with_errors.connect() as connection:
                yield connection
        except _FAILURES as error:
            raise failure(error) from error

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that is committed at the end. Raises IntegrityError, and ApiError 503 where it fails."""
        try:
            async with self._writing.begin() as connection:
                yield connection
        except IntegrityError:
            raise
        except _FAILURES as error:
            raise failure(error) from error

    async def aclose(self) -> None:
        await self.engine.dispose()


_FAILURES = (DBAPIError, PoolTimeout, OSError)


def failure(error: BaseException) -> ApiError:
    """A database failure for the client; the log names it."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    logger.error("database failure: %s: %s", type(cause).__name__, str(cause).splitlines()[0] if str(cause) else "")
    return unavailable("The database cannot be used now. Nothing was stored; try again.", "database_unavailable")


def _prepare_sqlite(connection: Any, record: Any) -> None:
    # The driver's own transactions begin too late (at the first write), so they are switched off.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Any) -> None:
    writing = connection.get_execution_options().get("groundling_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

"""The connection to SQLite or PostgreSQL: transactions as functions, and database failures as one error.

A transaction is a function of a SQLAlchemy connection. On PostgreSQL it runs through the async driver. On SQLite,
whose library is synchronous, it runs whole in a thread: a driver that hands over each statement by itself crosses
between threads eight times a transaction, which costs more than the queries do. One thread writes, so that writers of
one process never poll for the lock against each other; the others read, on connections that cannot write.

SQLite runs in WAL mode with `synchronous=FULL`, so that what is committed outlives a power cut, and takes the write
lock when a writing transaction begins, so that several processes wait for each other instead of failing half-way.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sqlalchemy import create_engine, event
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import create_async_engine

from serve.api.errors import ApiError, unavailable
from serve.api.storage.address import driver_arguments

logger = logging.getLogger(__name__)

T = TypeVar("T")

BUSY_SECONDS = 15.0
"""How long a writer waits for another process before it gives up."""
SQLITE_READERS = 4
POSTGRESQL_POOL = 8


class Clash(Exception):
    """A row that the database refuses: it is there already, or what it belongs to is not."""


class Backend(Protocol):
    """Runs transactions on one kind of database."""

    async def read(self, work: Callable[[Connection], T]) -> T: ...

    async def write(self, work: Callable[[Connection], T]) -> T: ...

    async def aclose(self) -> None: ...


class Database:
    """Reading and writing transactions. Nothing is opened before the first."""

    def __init__(self, url: str) -> None:
        """Raises SettingsError where the address has a parameter that cannot be kept."""
        parsed = make_url(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        self._backend: Backend = Sqlite(parsed) if self.is_sqlite else Postgresql(parsed)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """`work`'s result in a transaction that only reads. Raises ApiError 503 where the database fails."""
        try:
            return await self._backend.read(work)
        except _FAILURES as error:
            raise failure(error) from None

    async def write(self, work: Callable[[Connection], T]) -> T:
        """`work`'s result in a transaction that is committed when this returns, and undone where `work` raises.

        Once begun it ends, one way or the other, even where the caller is cancelled.
        Raises Clash, what `work` raises, and ApiError 503 where the database fails.
        """
        try:
            return await asyncio.shield(asyncio.ensure_future(self._backend.write(work)))
        except IntegrityError as error:
            # The driver's words hold the row's, which are somebody's own: nothing of them goes on.
            raise Clash(type(error.orig).__name__) from None
        except _FAILURES as error:
            raise failure(error) from None

    async def aclose(self) -> None:
        await self._backend.aclose()


class Sqlite:
    """A file, one thread that writes and some that read."""

    def __init__(self, url: URL) -> None:
        Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
        options: dict[str, Any] = {
            "connect_args": {"timeout": BUSY_SECONDS, "check_same_thread": False}, "max_overflow": 0,
            "hide_parameters": True,
        }  # fmt: skip
        self._reading = create_engine(url.set(drivername="sqlite+pysqlite"), pool_size=SQLITE_READERS, **options)
        self._writing = create_engine(url.set(drivername="sqlite+pysqlite"), pool_size=1, **options)
        for engine, begin in ((self._reading, "BEGIN"), (self._writing, "BEGIN IMMEDIATE")):
            event.listen(engine, "do_connect", lambda *given: _create(str(url.database)))
            event.listen(engine, "connect", _prepare)
            event.listen(engine, "begin", lambda connection, begin=begin: connection.exec_driver_sql(begin))
        event.listen(self._reading, "connect", lambda connection, record: connection.execute("PRAGMA query_only=ON"))
        self._readers = ThreadPoolExecutor(SQLITE_READERS, thread_name_prefix="sqlite-read")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="sqlite-write")

    async def read(self, work: Callable[[Connection], T]) -> T:
        def run() -> T:
            with self._reading.connect() as connection:
                return work(connection)

        return await asyncio.get_running_loop().run_in_executor(self._readers, run)

    async def write(self, work: Callable[[Connection], T]) -> T:
        def run() -> T:
            with self._writing.begin() as connection:
                return work(connection)

        return await asyncio.get_running_loop().run_in_executor(self._writer, run)

    async def aclose(self) -> None:
        """Ends what has begun, then closes the file."""
        await asyncio.to_thread(self._writer.shutdown)
        await asyncio.to_thread(self._readers.shutdown)
        self._reading.dispose()
        self._writing.dispose()


class Postgresql:
    """A server, through the async driver."""

    def __init__(self, url: URL) -> None:
        address, arguments = driver_arguments(url)
        self._engine = create_async_engine(
            address,
            connect_args=arguments,
            hide_parameters=True, pool_pre_ping=True, pool_timeout=10.0,
            pool_size=POSTGRESQL_POOL, max_overflow=POSTGRESQL_POOL,
        )  # fmt: skip

    async def read(self, work: Callable[[Connection], T]) -> T:
        async with self._engine.connect() as connection:
            return await connection.run_sync(work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        async with self._engine.begin() as connection:
            return await connection.run_sync(work)

    async def aclose(self) -> None:
        await self._engine.dispose()


_FAILURES = (DBAPIError, PoolTimeout, OSError, UnicodeError, OverflowError)


def failure(error: BaseException) -> ApiError:
    """What the client is told of a failure; the log names it, without the values that were sent."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if _is_about_a_value(error):
        logger.error("a value cannot be stored: %s", type(cause).__name__)
        return ApiError(400, "A value of the request cannot be stored. Send text and numbers.", code="invalid_value")
    logger.error("database failure: %s: %s", type(cause).__name__, str(cause).splitlines()[0] if str(cause) else "")
    return unavailable("The database cannot be used now. Nothing was stored; try again.", "database_unavailable")


def _is_about_a_value(error: BaseException) -> bool:
    """Whether the database works, and only a value is not one that it can hold."""
    if isinstance(error, DataError | UnicodeError | OverflowError):
        return True
    cause = error.orig if isinstance(error, DBAPIError) else None
    state = getattr(cause, "sqlstate", None) or ""  # PostgreSQL's class 22 is "data exception"
    refused = cause is not None and isinstance(cause.__cause__, ValueError)  # by asyncpg, before it is sent
    return state.startswith("22") or refused


def _create(path: str) -> None:
    """Make the file where there is none, for its owner alone: it holds what people wrote. SQLite's own would be for
    everybody on many machines. One that is there is not opened, since closing it would drop this process's locks."""
    with suppress(OSError):  # SQLite says what is wrong
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _use_wal(connection: Any) -> None:
    """Switch to the write-ahead log. SQLite waits for others everywhere but here, where several open a new file."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.02)


def _prepare(connection: Any, record: Any) -> None:
    # The driver's own transactions begin too late (at the first write), so they are switched off.
    connection.isolation_level = None
    _use_wal(connection)
    for pragma in ("synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}")

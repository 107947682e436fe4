"""A PostgreSQL server's address: what its parameters, which people know from libpq, are for the driver.

postgresql://me:secret@db/groundling?sslmode=require&connect_timeout=5
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from sqlalchemy.engine import URL

from serve.errors import SettingsError

CONNECT_SECONDS = 5.0
COMMAND_SECONDS = 15.0

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")

PLAIN = ("host", "port", "user", "password", "database", "passfile", "krbsrvname", "gsslib", "target_session_attrs")
"""Parameters that the driver takes as they are."""

NUMBERS = {
    "timeout": float, "command_timeout": float, "statement_cache_size": int, "max_cached_statement_lifetime": int,
    "max_cacheable_statement_size": int, "prepared_statement_cache_size": int,
}  # fmt: skip
"""Parameters that it takes as numbers; times are seconds."""

OF_LIBPQ = (
    "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslpassword", "sslnegotiation", "ssl_min_protocol_version",
    "ssl_max_protocol_version", "application_name",
)  # fmt: skip
"""Parameters that it takes within an address only."""

RENAMED = {"sslmode": "ssl", "connect_timeout": "timeout", "dbname": "database"}


def driver_arguments(url: URL) -> tuple[URL, dict[str, Any]]:
    """The address for SQLAlchemy, and what else the driver's `connect` is given.

    Raises SettingsError, which names a parameter that the driver does not take.
    """
    query: dict[str, Any] = {}
    given: dict[str, Any] = {"timeout": CONNECT_SECONDS, "command_timeout": COMMAND_SECONDS}
    libpq: dict[str, str] = {}
    for name, value in url.query.items():
        last = value if isinstance(value, str) else value[-1]
        meant = RENAMED.get(name, name)
        if meant == "ssl":
            if last not in SSL_MODES:
                raise _refused(name, f"is {last[:40]!r}. Use one of {', '.join(SSL_MODES)}.")
            given["ssl"] = last
        elif meant in NUMBERS:
            given[meant] = _number(name, last)
        elif meant in PLAIN:
            query[meant] = value
        elif meant in OF_LIBPQ:
            libpq[meant] = last
        elif name != "channel_binding":
            raise _refused(name, "is not one that the driver takes. Leave it out.")
        elif last == "require":
            raise _refused(
                name, "is 'require', which the driver cannot do. Leave it out; sslmode=verify-full is safe too."
            )
    if libpq:
        given["dsn"] = f"postgresql://?{urlencode(libpq)}"
    return url.set(drivername="postgresql+asyncpg", query=query), given


def _number(name: str, text: str) -> float:
    try:
        number = NUMBERS[RENAMED.get(name, name)](text)
    except ValueError:
        number = -1
    if number < 0:
        raise _refused(name, f"is {text[:40]!r}. Give a number that is not negative.")
    if number == 0 and name == "connect_timeout":  # libpq's word for no limit
        return CONNECT_SECONDS
    return number


def _refused(name: str, problem: str) -> SettingsError:
    return SettingsError(f"setting database: the parameter {name[:40]!r} of its address {problem}")

"""The database's address: what is meant by its parameters, and what is not taken; and who may read SQLite's file."""

from __future__ import annotations

import asyncio
import os
import ssl
import stat
from pathlib import Path
from typing import Any

import pytest
from asyncpg import connect_utils
from click.testing import CliRunner
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.engine import make_url

from serve.api.storage import Store
from serve.api.storage.address import driver_arguments
from serve.api.storage.database import Database
from serve.cli.main import main
from serve.cli.serve import _first_key
from serve.errors import SettingsError
from serve.settings import load_settings

from .postgres import Postgres


def understood(address: str) -> Any:
    """What the driver makes of an address: its own parser's parameters of a connection."""
    url, arguments = driver_arguments(make_url(address))
    given = {**dialect().create_connect_args(url)[1], **arguments}
    names = ("dsn", "host", "port", "user", "password", "passfile", "database", "ssl", "direct_tls", "server_settings",
             "target_session_attrs", "krbsrvname", "gsslib", "service", "servicefile")  # fmt: skip
    return connect_utils._parse_connect_dsn_and_args(**{name: given.get(name) for name in names})


def test_what_libpq_calls_sslmode_and_connect_timeout_is_kept():
    address = (
        "postgresql://me:pw@db:5433/g?sslmode=require&connect_timeout=7&application_name=shop&channel_binding=prefer"
    )
    _, arguments = driver_arguments(make_url(address))
    places, parameters = understood(address)[:2]
    assert places == [("db", 5433)]
    assert (parameters.user, parameters.password, parameters.database) == ("me", "pw", "g")
    assert isinstance(parameters.ssl, ssl.SSLContext)
    assert parameters.sslmode.name == "require"
    assert parameters.server_settings == {"application_name": "shop"}
    assert (arguments["timeout"], arguments["command_timeout"]) == (7.0, 15.0)


def test_several_hosts_and_the_drivers_own_parameters_are_kept():
    address = "postgresql://me@/g?host=a:1&host=b:2&ssl=disable&statement_cache_size=0&prepared_statement_cache_size=0"
    _, arguments = driver_arguments(make_url(address))
    places, parameters = understood(address)[:2]
    assert places == [("a", 1), ("b", 2)]
    assert parameters.ssl is None or parameters.ssl is False
    assert arguments["statement_cache_size"] == arguments["prepared_statement_cache_size"] == 0


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("channel_binding=require", "'channel_binding' of its address is 'require', which the driver cannot do. Leave"),
        ("sslmode=on", "'sslmode' of its address is 'on'. Use one of disable, allow, prefer, require, verify-ca"),
        ("connect_timeout=soon", "'connect_timeout' of its address is 'soon'. Give a number"),
        ("options=-c%20work_mem=1", "'options' of its address is not one that the driver takes. Leave it out."),
    ],
)
def test_a_parameter_that_cannot_be_kept_ends_serve_and_keys_with_its_name(query: str, says: str):
    url = f"postgresql://me:hunter2@127.0.0.1:1/g?{query}"
    for command in (["serve", "--port", "0", "--database", url], ["keys", "--database", url, "list"]):
        shown = CliRunner().invoke(main, command)
        assert shown.exit_code == 1
        assert says in shown.stderr.splitlines()[-1]
        assert "hunter2" not in shown.output
    with pytest.raises(SettingsError):
        Database(url)


async def test_a_store_is_opened_with_libpqs_parameters(postgres: Postgres):
    postgres.wipe()
    store = await Store.open(f"{postgres.url}?sslmode=prefer&connect_timeout=3&application_name=shop")
    name = await store.database.read(lambda connection: connection.exec_driver_sql("SHOW application_name").scalar())
    await store.aclose()
    assert name == "shop"


async def test_a_new_sqlite_file_is_its_owners_alone_and_one_that_is_there_stays_as_it_is(tmp_path: Path):
    def mode(path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    before = os.umask(0)
    try:
        new, old = tmp_path / "new.db", tmp_path / "old.db"
        old.touch(0o640)
        for path in (new, old):
            store = await Store.open(f"sqlite:///{path}")
            files = [Path(f"{path}{ending}") for ending in ("", "-wal", "-shm")]
            assert {mode(file) for file in files} == {0o600 if path == new else 0o640}
            await store.aclose()
    finally:
        os.umask(before)


def test_a_first_start_without_its_database_says_that_there_may_be_no_key_and_how_to_make_one(
    capsys: pytest.CaptureFixture[str],
):
    settings = load_settings(database="postgresql://me:hunter2@127.0.0.1:1/g")
    assert asyncio.run(_first_key(settings)) is None
    said = capsys.readouterr().err
    assert "`groundling keys create --name first --admin`" in said
    assert "hunter2" not in said

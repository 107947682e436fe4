"""The service for tests: in this process over a loopback socket, or as the real command in another."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from openai import AsyncOpenAI

from dialog.agent import Agent
from serve.api.app import create_app
from serve.api.keys import create_key
from serve.api.protocol import protocol
from serve.api.storage import Store
from serve.settings import Settings, load_settings

from .postgres import Postgres, cluster
from .soak import workers_of

REPOSITORY = Path(__file__).resolve().parents[3]
SCRIPTED = "tests.serve.api.scripted:agent"


async def eventually(condition: Callable[[], Any], seconds: float = 10) -> None:
    """Wait until `condition()`, which may be async, is true."""
    for _ in range(int(seconds / 0.02)):
        found = condition()
        if await found if inspect.isawaitable(found) else found:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"not true within {seconds} s")


async def ready(client: httpx.AsyncClient) -> bool:
    return (await client.get("/readyz")).status_code == 200


@dataclass
class Running:
    """A service that listens."""

    url: str
    app: FastAPI
    key: str
    key_id: str
    server: uvicorn.Server

    @property
    def service(self) -> Any:
        return self.app.state.service

    @property
    def agent(self) -> Agent:
        return self.service.slot.agent()

    def client(self, key: str | None = None) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {self.key if key is None else key}"} if key != "" else {}
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=30)

    def openai(self, **options: Any) -> AsyncOpenAI:
        return AsyncOpenAI(base_url=f"{self.url}/v1", api_key=self.key, max_retries=0, **options)

    def drop_connections(self) -> None:
        """Break every open connection, as a network does."""
        for connection in list(self.server.server_state.connections):
            connection.transport.abort()  # type: ignore[union-attr]

    async def another_key(self, **options: Any) -> str:
        return (await create_key(self.service.store, "another", **options))[1]


@asynccontextmanager
async def running(settings: Settings, **options: Any) -> AsyncIterator[Running]:
    """Serve on a free port with uvicorn, as `groundling serve` does, in this process."""
    app = create_app(settings, **options)
    config = uvicorn.Config(
        app, port=0, http=protocol(settings.header_seconds, settings.max_connections), ws="none", log_config=None,
        server_header=False, proxy_headers=False, timeout_graceful_shutdown=5,
    )  # fmt: skip
    server = uvicorn.Server(config)
    server.capture_signals = suppress  # type: ignore[method-assign]  # signals stay pytest's
    task = asyncio.create_task(server.serve())
    try:
        while not server.started:
            assert not task.done(), task.exception()
            await asyncio.sleep(0.01)
        url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        async with httpx.AsyncClient(base_url=url) as client:
            await eventually(lambda: ready(client), 120)
        key, text = await create_key(app.state.service.store, "test", admin=True)
        yield Running(url, app, text, key.id, server)
    finally:
        server.should_exit = True
        await task


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with its tables, to be copied: making them takes longer than most tests."""
    path = tmp_path_factory.mktemp("database") / "empty.db"

    async def make() -> None:
        await (await Store.open(f"sqlite:///{path}")).aclose()

    asyncio.run(make())
    return path


@pytest.fixture
def settings_for(tmp_path: Path, empty_database: Path) -> Callable[..., Settings]:
    """Settings of a service with a database of its own and the scripted decoder."""
    shutil.copy(empty_database, tmp_path / "serve.db")

    def make(**changes: Any) -> Settings:
        return load_settings(**{"agent": SCRIPTED, "database": f"sqlite:///{tmp_path / 'serve.db'}", **changes})

    return make


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One PostgreSQL for the session; not in pytest's own folder, which its user may not enter."""
    with tempfile.TemporaryDirectory(prefix="groundling-pg-") as folder, cluster(Path(folder)) as found:
        yield found


@pytest.fixture(params=["sqlite", "postgresql"])
async def stored(
    request: pytest.FixtureRequest, settings_for: Callable[..., Settings]
) -> AsyncIterator[Running]:  # fmt: skip
    """A running service on each kind of database."""
    changes = {}
    if request.param == "postgresql":
        postgres = request.getfixturevalue("postgres")
        postgres.wipe()
        changes["database"] = postgres.url
    async with running(settings_for(**changes)) as found:
        yield found


@pytest.fixture
async def service(settings_for: Callable[..., Settings]) -> AsyncIterator[Running]:
    """A running service over the scripted decoder."""
    async with running(settings_for()) as found:
        yield found


@dataclass
class Command:
    """`groundling serve` in another process."""

    process: subprocess.Popen[str]
    url: str
    key: str
    log: Path

    def stop(self, how: int = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(30)

    def workers(self) -> list[int]:
        return workers_of(self.process.pid)


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Callable[..., Command]]:
    """Starts the real command with a database in `tmp_path`; everything is ended afterwards."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, **environment: str) -> Command:
        log = tmp_path / f"serve{len(started)}.log"
        with log.open("w") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "serve.cli.main", "serve", "--port", "0", "--json", *arguments],
                cwd=REPOSITORY,
                env={
                    **os.environ,
                    "GROUNDLING_DATABASE": f"sqlite:///{tmp_path / 'command.db'}",
                    "GROUNDLING_AGENT": SCRIPTED,
                    "PYTHONPATH": str(REPOSITORY),
                    **environment,
                },
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        started.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, log.read_text()
        shown = json.loads(line)
        found = Command(process, shown["url"], shown["key"], log)
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline:
            with suppress(httpx.TransportError):
                if httpx.get(f"{found.url}/readyz", timeout=5).status_code == 200:
                    return found
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        raise AssertionError(log.read_text())

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()

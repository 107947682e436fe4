"""Runs the application under uvicorn: one process, or several that are started again when they die."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from prometheus_client.multiprocess import mark_process_dead
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from serve.api.app import SETTINGS_VARIABLE, create_app
from serve.api.drain import margin, on_signals
from serve.api.logs import set_up_logs
from serve.api.protocol import protocol
from serve.api.service import known_roles
from serve.api.storage.database import Database
from serve.api.telemetry import Tracer
from serve.errors import ServeError, SettingsError
from serve.settings import Settings

logger = logging.getLogger(__name__)


def listen(settings: Settings) -> socket.socket:
    """The listening socket. Raises SettingsError where the address cannot be had."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror}. Choose another with --port."
        ) from error
    listener.listen(2048)
    listener.set_inheritable(True)
    return listener


def check(settings: Settings) -> None:
    """Raise what would end every process at its start, before there is one: RoleError, SettingsError."""
    known_roles(settings.role)
    Database(settings.database)  # it looks at the address, and connects to nothing yet
    Tracer(settings).close()


def serve(settings: Settings, listener: socket.socket, on_listening: Callable[[], None] = lambda: None) -> None:
    """Serve until a signal ends it. Raises the ServeError because of which the agent cannot be loaded.

    With several workers the reason is in the log, and the error says so.
    """
    options = {
        "host": settings.host,
        "port": settings.port,
        "http": protocol(settings.header_seconds, settings.max_connections),
        "ws": "none",
        "access_log": False,
        "log_config": None,
        "server_header": False,
        "proxy_headers": False,
        "timeout_graceful_shutdown": settings.drain_seconds - margin(settings.drain_seconds),
        "timeout_keep_alive": 75,
    }
    if settings.workers > 1:
        _serve_many(settings, listener, options, on_listening)
        return
    set_up_logs(settings)
    server: uvicorn.Server | None = None

    def stop() -> None:
        if server is not None:
            server.should_exit = True

    app = create_app(settings, on_failure=stop)
    service = app.state.service

    class Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            # uvicorn raises the signal again at the end; a drained service has ended well and exits with 0.
            before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
            try:
                yield
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            on_signals(service.drain, settings.drain_seconds)
            on_listening()

    server = Server(uvicorn.Config(app, **options))  # type: ignore[arg-type]
    server.run(sockets=[listener])
    if service.slot.failure is not None:
        raise service.slot.failure


class Workers(Multiprocess):
    """uvicorn's worker processes. It knows when none can start, and takes those that are gone out of the metrics."""

    failed = False

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket], metrics: str) -> None:
        """`metrics` is the folder that the workers' metrics are in."""
        super().__init__(config, sockets)
        self._metrics = metrics
        self._known: dict[int, Process] = {}

    def handle_usr1(self) -> None:
        """A worker sent `WORKER_FAILED`."""
        self.failed = True
        self.should_exit.set()

    def keep_subprocess_alive(self) -> None:
        before = self._known | self._present()
        super().keep_subprocess_alive()
        present = self._present()
        for pid in before.keys() - present.keys():
            mark_process_dead(pid, self._metrics)  # what it ran and let wait when it died is no more
            logger.warning("a worker is gone", extra={"pid": pid, "exit_status": before[pid].exitcode})
        self._known = present

    def _present(self) -> dict[int, Process]:
        return {process.pid: process for process in self.processes if process.pid is not None}


def _serve_many(
    settings: Settings, listener: socket.socket, options: dict, on_listening: Callable[[], None]
) -> None:  # fmt: skip
    os.environ[SETTINGS_VARIABLE] = settings.model_dump_json()
    folder = tempfile.mkdtemp(prefix="groundling-metrics-")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    # A class made at run time cannot be sent to a worker, so the workers build the protocol from the settings.
    options["http"] = "serve.api.server:WorkerProtocol"
    try:
        set_up_logs(settings)
        for warning in settings.warnings():
            logger.warning("%s", warning)
        config = uvicorn.Config("serve.api.app:worker_app", factory=True, workers=settings.workers, **options)
        workers = Workers(config, [listener], folder)
        on_listening()
        workers.run()
    finally:
        del os.environ["PROMETHEUS_MULTIPROC_DIR"]
        shutil.rmtree(folder, ignore_errors=True)
        listener.close()
    if workers.failed:
        raise ServeError("no worker can start. The log's last error says why; mend that and start again.")


def __getattr__(name: str) -> object:
    if name == "WorkerProtocol":
        settings = Settings.model_validate_json(os.environ[SETTINGS_VARIABLE])
        return protocol(settings.header_seconds, settings.max_connections)
    raise AttributeError(name)

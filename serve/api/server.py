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
from uvicorn.supervisors import Multiprocess

from serve.api.app import SETTINGS_VARIABLE, create_app
from serve.api.logs import set_up_logs
from serve.api.protocol import protocol
from serve.errors import SettingsError
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


def serve(settings: Settings, listener: socket.socket, on_listening: Callable[[], None] = lambda: None) -> None:
    """Serve until a signal ends it. Raises the ServeError because of which the agent cannot be loaded."""
    options = {
        "host": settings.host,
        "port": settings.port,
        "http": protocol(settings.header_seconds, settings.max_connections),
        "ws": "none",
        "access_log": False,
        "log_config": None,
        "server_header": False,
        "proxy_headers": False,
        "timeout_graceful_shutdown": settings.drain_seconds,
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
            on_listening()

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            service.draining = True
            await super().shutdown(sockets)

    server = Server(uvicorn.Config(app, **options))  # type: ignore[arg-type]
    server.run(sockets=[listener])
    if service.slot.failure is not None:
        raise service.slot.failure


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
        on_listening()
        Multiprocess(config, sockets=[listener]).run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        listener.close()


def __getattr__(name: str) -> object:
    if name == "WorkerProtocol":
        settings = Settings.model_validate_json(os.environ[SETTINGS_VARIABLE])
        return protocol(settings.header_seconds, settings.max_connections)
    raise AttributeError(name)

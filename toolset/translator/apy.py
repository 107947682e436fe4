"""A long-lived `apertium-apy` of our own: a warm pipeline for each pair, some ten times faster than a process a text.

It is started on the first translation, listens on the loopback interface at a port the system chooses, serves this
process alone (see `apy_launcher`) and is stopped by `close`, or by itself when this process ends. Text goes in the
body of a POST. Where it is not installed, does not start or fails, one process a text does the work.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import select
import shutil
import signal
import subprocess
import threading
import time
import weakref
from pathlib import Path

import httpx

from toolset.translator.apertium import TIMEOUT, run_subprocess
from toolset.translator.backend import BackendError

logger = logging.getLogger(__name__)
START_SECONDS = 5.0
"""How long the server may take to name its port."""
REST_SECONDS = 60.0
"""After a failure, how long to do without the server."""


def _interpreter(command: str) -> str | None:
    """The Python that `command` is a script of: apertium-apy's libraries are the system's, not ours."""
    with contextlib.suppress(OSError, UnicodeDecodeError), open(command, encoding="utf-8") as script:
        first = script.readline(256).strip()
        words = first[2:].split() if first.startswith("#!") else []
        if words and Path(words[0]).name == "env":
            words = words[1:]
        if words and "python" in Path(words[0]).name:
            return shutil.which(words[0])
    return None


def _end_process(process: subprocess.Popen[bytes]) -> None:
    """End the server with the programs of its pipelines: they are one process group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe:
            pipe.close()


class ApyServer:
    """Runs an Apertium mode through the server, or through one process where there is no server. Thread-safe."""

    def __init__(self, *, modes: Path | None = None, timeout: float = TIMEOUT) -> None:
        self.modes = modes or Path(os.environ.get("APERTIUM_DATADIR") or "/usr/share/apertium") / "modes"
        self.timeout = timeout
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._client: httpx.Client | None = None
        self._shut_down: weakref.finalize | None = None
        self._rest_until = 0.0
        self._closed = False

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def __call__(self, mode: str, text: str) -> str:
        """Run `mode` over one line of text. Raises BackendError when neither server nor process can."""
        client = self._ready()
        if client is not None:
            try:
                return self._ask(client, mode, text)
            except httpx.HTTPStatusError as error:  # this text or this pair; the server itself is well
                logger.info("apertium-apy refused %s (%s); using one process.", mode, error.response.status_code)
            except (httpx.HTTPError, RuntimeError) as error:  # RuntimeError: another thread has just closed the client
                logger.warning("apertium-apy failed (%s); using one process a text for %g s.", error, REST_SECONDS)
                self._stop(rest=True)
        return run_subprocess(mode, text, timeout=self.timeout)

    def _ask(self, client: httpx.Client, mode: str, text: str) -> str:
        pair = mode.replace("-", "|")
        body = {"q": text, "langpair": pair, "markUnknown": "yes", "format": "txt"}
        response = client.post("/translate", data=body)
        response.raise_for_status()
        try:
            answer = response.json()["responseData"]["translatedText"]
        except (ValueError, KeyError, TypeError) as error:
            raise BackendError(f"apertium-apy answered {response.text[:80]!r} for {mode}.") from error
        return str(answer).strip()

    def _ready(self) -> httpx.Client | None:
        with self._lock:
            if self.running:
                return self._client
            if self._closed or time.monotonic() < self._rest_until:
                return None
            try:
                self._start()
            except (OSError, ValueError) as error:
                logger.warning("apertium-apy did not start (%s); using one process a text.", error)
                self._end(rest=True)
            return self._client

    def _start(self) -> None:
        self._end(rest=False)
        command = shutil.which("apertium-apy")
        interpreter = _interpreter(command) if command else None
        if not command or not interpreter:
            self._rest_until = float("inf")
            logger.info("apertium-apy is not installed; using one process a text.")
            return
        launcher = Path(__file__).with_name("apy_launcher.py")
        process = subprocess.Popen(
            [interpreter, "-I", str(launcher), command, str(self.modes), str(math.ceil(self.timeout))],
            stdin=subprocess.PIPE,  # never written: the server ends when this closes
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
            start_new_session=True,
        )
        held = contextlib.ExitStack()
        held.callback(_end_process, process)
        # also when this object is dropped without `close`, and when the interpreter ends
        self._shut_down = weakref.finalize(self, held.close)
        assert process.stdout is not None
        readable, _, _ = select.select([process.stdout], [], [], START_SECONDS)
        line = process.stdout.readline(64) if readable else b""
        if not line.strip().isdigit():
            raise ValueError(f"it named no port within {START_SECONDS:g} s")
        # trust_env: a proxy from the environment must not see what is translated
        client = httpx.Client(base_url=f"http://127.0.0.1:{int(line)}", timeout=self.timeout + 1, trust_env=False)
        self._client = held.enter_context(client)
        self._process = process

    def _stop(self, *, rest: bool) -> None:
        with self._lock:
            self._end(rest=rest)

    def _end(self, *, rest: bool) -> None:
        if rest:
            self._rest_until = time.monotonic() + REST_SECONDS
        self._process = self._client = None
        if self._shut_down:
            self._shut_down()
            self._shut_down = None

    def close(self) -> None:
        """Stop the server; later translations use one process a text."""
        self._closed = True
        self._stop(rest=False)

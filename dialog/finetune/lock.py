"""One run at a time in a folder: two would write over each other's checkpoints, and install an adapter each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from dialog.errors import FinetuneError
from dialog.finetune.saving import explained

LOCK = "run.lock"


@contextmanager
def only_run(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which ends with the process. Raises FinetuneError where another process holds it."""
    lock, made = FileLock(folder / LOCK), not folder.exists()
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise FinetuneError(f"another process trains in {folder}. Wait for it, or use another --out.") from None
    try:
        yield
    finally:
        with suppress(OSError):  # Windows keeps open files
            (folder / LOCK).unlink()  # while it is held: who locks it later finds it gone, and retries
        lock.release()
        if made:
            with suppress(OSError):
                folder.rmdir()  # of a run that was refused at once; one with anything in it stays

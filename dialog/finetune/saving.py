"""Files and folders that are either whole or not there, also when the disk fills up or the process is killed."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dialog.errors import FinetuneError


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a file through a neighbour that is renamed into place. Raises FinetuneError where the disk refuses."""
    data = content.encode() if isinstance(content, str) else content
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def whole_folder(final: Path) -> Iterator[Path]:
    """A new folder to fill, renamed to `final` at the end; removed where anything fails. `final` must not exist."""
    part = final.with_name(f".{final.name}.{os.getpid()}.part")
    with explained(final):
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        try:
            yield part
            for file in part.rglob("*"):
                if file.is_file():
                    descriptor = os.open(file, os.O_RDONLY)
                    os.fsync(descriptor)
                    os.close(descriptor)
            part.rename(final)
        finally:
            shutil.rmtree(part, ignore_errors=True)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an operating system's refusal into one line that says what was kept and what to do."""
    try:
        yield
    except Exception as error:
        if disk_is_full(error):
            message = "the disk is full. Nothing there before was touched: free some space and run the same command."
        elif isinstance(error, OSError):
            message = f"{error.strerror or error}. Nothing there before was touched: name a folder that can be written."
        else:
            raise
        raise FinetuneError(f"cannot save {path}: {message}") from error


def disk_is_full(error: Exception) -> bool:
    """Whether the operating system said so; safetensors wraps what it said in an error of its own."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return "No space left" in str(error) or "os error 28" in str(error)

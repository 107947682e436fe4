"""What running out of memory looks like, and the line that says which setting to lower."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from dialog.errors import FinetuneError

SIGNS = ("out of memory", "can't allocate memory", "not enough memory")


@contextmanager
def out_of_memory(doing: str, remedy: str) -> Iterator[None]:
    """Turn an allocator's refusal into a FinetuneError: what was being done, and what to do about it."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        plain = isinstance(error, RuntimeError) and not isinstance(error, torch.OutOfMemoryError)
        if plain and not any(sign in str(error) for sign in SIGNS):
            raise
        raise FinetuneError(f"out of memory while {doing}. {remedy}") from error

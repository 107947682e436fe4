"""Splits by context: all rows that share a context (or an article) fall on the same side.

Rows of one context tell each other's label, so a split by row would measure memory. The side depends on the
key's hash alone: adding rows never moves others across.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


def plain(key: str) -> str:
    """A key without what does not tell contexts apart: case and spaces."""
    return " ".join(key.lower().split())


def fraction_of(key: str, salt: str = "") -> float:
    """A number in [0, 1) that depends on `key` and `salt` only."""
    digest = hashlib.blake2b(f"{salt}\0{plain(key)}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def split_by(
    rows: Iterable[T], key: Callable[[T], str | tuple[str, ...]], held_out: float, salt: str = ""
) -> tuple[list[T], list[T]]:
    """(training rows, held-out rows), about `held_out` of the keys on the right side.

    A row with several keys is held out where any of them is.
    """
    train: list[T] = []
    test: list[T] = []
    for row in rows:
        keys = key(row)
        keys = (keys,) if isinstance(keys, str) else keys
        (test if any(fraction_of(one, salt) < held_out for one in keys) else train).append(row)
    return train, test

"""A request that is sent again under its idempotency key, and what is known when a request begins."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import Request

from serve.api.errors import ApiError
from serve.api.keys import Caller
from serve.api.storage import Store, StoredTurn

HOW = ("stream", "stream_options")
"""Fields that say how the reply is sent, not what is asked."""


@dataclass(frozen=True)
class Begun:
    """What was known when a request began, for each turn that it makes."""

    keys: tuple[str | None, ...]
    request_hash: str | None
    before: tuple[StoredTurn | None, ...]
    """The turns of the first time, where the request was sent before."""
    deletions: int | None
    """How often the caller's data had been deleted."""

    def name(self, caller: Caller) -> str | None:
        """What the one turn is called whose id has to be known before it is there: the same each time it is asked for,
        so that two requests at once tell of one turn."""
        [key] = self.keys
        said = f"{caller.owner} {key} {self.request_hash}"
        return None if key is None else hashlib.sha256(said.encode()).hexdigest()[:32]


async def begin(
    request: Request, caller: Caller, store: Store, keys: Sequence[str | None], *, kept: bool = True
) -> Begun:
    """Look up what a request's turns are to know; `keys` are their idempotency keys.

    Nothing that is not `kept` can be found again. Raises ApiError 422 where a key came with another request before.
    """
    if not kept:
        return Begun((None,) * len(keys), None, (None,) * len(keys), None)
    given = [key for key in keys if key is not None]
    request_hash = await _hash(request) if given else None
    deletions, found = await store.begin(caller.owner, given)
    return Begun(tuple(keys), request_hash, in_order(keys, found, request_hash), deletions)


def in_order(
    keys: Sequence[str | None], found: Sequence[StoredTurn], request_hash: str | None
) -> tuple[StoredTurn | None, ...]:
    """The turn under each key. Raises ApiError 422 where one of them answers another request."""
    for stored in found:
        # A turn of the first release has no hash; it is taken for the answer, as it was then.
        if stored.request_hash not in (None, request_hash):
            raise ApiError(
                422,
                "This Idempotency-Key came with another request before. Use a new key for a new request.",
                param="Idempotency-Key",
                code="idempotency_key_reused",
            )
    by_key = {stored.idempotency_key: stored for stored in found}
    return tuple(None if key is None else by_key.get(key) for key in keys)


async def _hash(request: Request) -> str:
    """SHA-256 of what is asked; the order of its fields makes no difference."""
    asked = {name: value for name, value in (await request.json()).items() if name not in HOW}
    try:
        text = json.dumps(asked, sort_keys=True).encode()
    except RecursionError:  # nested as deeply as can just be read
        text = await request.body()
    return hashlib.sha256(text).hexdigest()

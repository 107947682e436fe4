"""Per-key limits on requests and tokens a minute, counted in the database so that all processes share them."""

from __future__ import annotations

import time
from collections.abc import Callable

from serve.api.errors import ApiError
from serve.api.keys import Caller
from serve.api.storage import Store
from serve.settings import Settings


class Limits:
    """Fixed windows of one minute. Tokens are counted after a turn, so the turn that reaches the limit still ends."""

    def __init__(self, store: Store, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self.store, self.settings, self.clock = store, settings, clock

    def _of(self, caller: Caller) -> tuple[int | None, int | None]:
        key = caller.key
        return (
            (key and key.requests_per_minute) or self.settings.requests_per_minute,
            (key and key.tokens_per_minute) or self.settings.tokens_per_minute,
        )

    async def take(self, caller: Caller) -> dict[str, str]:
        """Count a request; the headers that tell what is left. Raises ApiError 429 with them and Retry-After."""
        most_requests, most_tokens = self._of(caller)
        if most_requests is None and most_tokens is None:
            return {}
        now = self.clock()
        requests, tokens = await self.store.count(caller.owner, int(now // 60), requests=1)
        wait = max(1, 60 - int(now % 60))
        headers: dict[str, str] = {}
        over: str | None = None
        for what, used, most in (("requests", requests, most_requests), ("tokens", tokens, most_tokens)):
            if most is None:
                continue
            if used > most or (what == "tokens" and used >= most):
                over = over or f"{most} {what}"
            headers |= {
                f"x-ratelimit-limit-{what}": str(most),
                f"x-ratelimit-remaining-{what}": str(max(0, most - used)),
                f"x-ratelimit-reset-{what}": f"{wait}s",
            }
        if over is not None:
            raise ApiError(
                429,
                f"This key may use {over} a minute. Try again in {wait} s.",
                type="rate_limit_error",
                code="rate_limit_exceeded",
                retry_after=wait,
                headers=headers,
            )
        return headers

    async def spend(self, caller: Caller, tokens: int) -> None:
        """Count a turn's tokens."""
        if self._of(caller)[1] is not None:
            await self.store.count(caller.owner, int(self.clock() // 60), tokens=tokens)

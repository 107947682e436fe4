"""Per-key limits on requests and tokens a minute, counted in the database so that all processes share them; and on
calls of any kind, which each process counts by itself."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dialog.decoder import Decoder, DecoderInfo, Sample, Sampling, Tokenizer
from serve.api.errors import ApiError
from serve.api.keys import Caller
from serve.api.storage import Charge, Store
from serve.settings import Settings

logger = logging.getLogger(__name__)

CALLS_PER_TURN = 10
LEAST_CALLS = 600
"""A key with a limit of requests may make this many times as many calls of any kind a minute, and at least so many:
reading and listing cost little, but not nothing."""


class Limits:
    """Fixed windows of one minute.

    A prompt's tokens are counted before it is read and a reply's when it is kept, so the turn that reaches the limit
    still ends.
    """

    def __init__(self, store: Store, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self.store, self.settings, self.clock = store, settings, clock
        self._calls: Counter[str] = Counter()
        self._minute = 0

    def _of(self, caller: Caller) -> tuple[int | None, int | None]:
        key = caller.key
        return (
            (key and key.requests_per_minute) or self.settings.requests_per_minute,
            (key and key.tokens_per_minute) or self.settings.tokens_per_minute,
        )

    def call(self, caller: Caller) -> None:
        """Count a call of any kind, in this process alone: a commit for each would cost more than most calls do.

        Raises ApiError 429.
        """
        requests = self._of(caller)[0]
        if requests is None:
            return
        now = self.clock()
        if self._minute != int(now // 60):
            self._calls.clear()
            self._minute = int(now // 60)
        self._calls[caller.owner] += 1
        most = max(LEAST_CALLS, CALLS_PER_TURN * requests)
        if self._calls[caller.owner] > most:
            raise _over(f"make {most} calls", max(1, 60 - int(now % 60)))

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
                over = over or f"use {most} {what}"
            headers |= {
                f"x-ratelimit-limit-{what}": str(most),
                f"x-ratelimit-remaining-{what}": str(max(0, most - used)),
                f"x-ratelimit-reset-{what}": f"{wait}s",
            }
        if over is not None:
            raise _over(over, wait, headers)
        return headers

    def charge(self, caller: Caller, tokens: int) -> Charge | None:
        """The tokens as they are counted in this minute; None where the caller has no limit of them."""
        if self._of(caller)[1] is None:
            return None
        return Charge(caller.owner, int(self.clock() // 60), tokens)

    async def spend(self, caller: Caller, tokens: int) -> None:
        """Count tokens before they are worked on. Raises ApiError 503."""
        charge = self.charge(caller, tokens)
        if charge is not None:
            await self.store.count(charge.owner, charge.minute, tokens=tokens)

    async def settle(self, caller: Caller, tokens: int) -> None:
        """Count tokens of work that is done. Where that fails it is logged, since the work cannot be taken back."""
        try:
            if tokens:
                await self.spend(caller, tokens)
        except ApiError:
            logger.error("tokens were not counted", extra={"owner": caller.owner, "tokens": tokens})

    def meter(self, decoder: Decoder, caller: Caller) -> Meter | None:
        """A meter of one turn; None where the caller has no limit of tokens."""
        if self._of(caller)[1] is None:
            return None
        return Meter(decoder, lambda tokens: self.spend(caller, tokens))


def _over(what: str, wait: int, headers: Mapping[str, str] | None = None) -> ApiError:
    return ApiError(
        429,
        f"This key may {what} a minute. Try again in {wait} s.",
        type="rate_limit_error",
        code="rate_limit_exceeded",
        retry_after=wait,
        headers=headers,
    )


class Meter:
    """A decoder whose first prompt, a turn's own, is charged before it is read; notes how much was sampled.

    So a turn that fails, or whose client leaves, is paid for as far as it came.
    """

    def __init__(self, decoder: Decoder, charge: Callable[[int], Awaitable[None]]) -> None:
        self._decoder, self._charge = decoder, charge
        self._charged = False
        self.sampled = 0
        """The longest sample's tokens: what the reply would at most have cost."""

    @property
    def info(self) -> DecoderInfo:
        return self._decoder.info

    @property
    def tokenizer(self) -> Tokenizer:
        return self._decoder.tokenizer

    async def generate(self, prompt_ids: Sequence[int], sampling: Sampling) -> list[Sample]:
        if not self._charged:
            self._charged = True
            await self._charge(len(prompt_ids))
        samples = await self._decoder.generate(prompt_ids, sampling)
        self.sampled = max([self.sampled, *(len(sample.token_ids) for sample in samples)])
        return samples

    async def score(self, prompts_ids: Sequence[Sequence[int]], label_ids: Sequence[int]) -> NDArray[np.float32]:
        return await self._decoder.score(prompts_ids, label_ids)

    async def aclose(self) -> None:
        """Nothing: the decoder is the agent's."""

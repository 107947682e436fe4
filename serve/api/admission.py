"""Admission: how many turns run and wait. Past the bound a request is refused at once instead of collapsing all."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from serve.api.errors import ApiError


class Admission:
    """At most `max_running` turns at once and `max_queue` waiting, first come, first served.

    `on_change` is told how many run and wait, each time that changes.
    """

    def __init__(
        self, max_running: int, max_queue: int, on_change: Callable[[int, int], None] = lambda running, waiting: None
    ) -> None:
        self.max_running, self.max_queue, self.on_change = max_running, max_queue, on_change
        self.running = 0
        self.waiting = 0
        self._slots = asyncio.Semaphore(max_running)
        self._seconds = 1.0  # moving average of a turn's time, for Retry-After

    @property
    def retry_after(self) -> int:
        """Seconds after which a slot is likely free."""
        return max(1, min(60, math.ceil(self._seconds * (self.waiting + 1) / self.max_running)))

    def check(self, turns: int = 1) -> None:
        """Raise ApiError 429 where `turns` more do not fit the queue now, and 400 where they never would."""
        if turns > self.max_running + self.max_queue:
            raise ApiError(
                400,
                f"{turns} turns at once are asked for, at most {self.max_running + self.max_queue} are taken. Ask for "
                "fewer.",
                param="n",
                code="invalid_value",
            )
        if self.running + self.waiting + turns > self.max_running + self.max_queue:
            raise ApiError(
                429,
                f"{self.waiting} turns are waiting already. Try again in {self.retry_after} s.",
                type="server_error",
                code="queue_full",
                retry_after=self.retry_after,
            )

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold one slot, which may have to be waited for. Raises ApiError as `check`."""
        self.check()
        self._change(waiting=1)
        try:
            await self._slots.acquire()
        finally:
            self._change(waiting=-1)
        loop = asyncio.get_running_loop()
        started = loop.time()
        self._change(running=1)
        try:
            yield
        finally:
            self._change(running=-1)
            self._slots.release()
            self._seconds += 0.2 * (loop.time() - started - self._seconds)

    def _change(self, running: int = 0, waiting: int = 0) -> None:
        self.running += running
        self.waiting += waiting
        self.on_change(self.running, self.waiting)

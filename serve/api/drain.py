"""The end of a service: it says at once that it is not ready, goes on for a moment, and ends what runs in time to tell.

signal ─► /readyz says 503 ─► the listener closes ─► turns that still run end with an error ─► the process ends
  0 s                          after `margin`         `margin` before `drain_seconds`           by `drain_seconds`
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from serve.api.errors import ApiError, unavailable

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def margin(drain_seconds: float) -> float:
    """Seconds in which a balancer learns that no more is to be sent here, and at the end in which errors are sent."""
    return min(1.0, drain_seconds / 4)


def shutting_down() -> ApiError:
    return unavailable("The service is shutting down before this was done. Send it again in a moment.", "shutting_down")


class Drain:
    """Whether the service is coming to its end, and when work must be done then."""

    def __init__(self) -> None:
        self.begun = False
        self._until: float | None = None
        self._bounds: set[asyncio.Timeout] = set()

    def begin(self, seconds: float) -> None:
        """From now on the service is not ready, and work ends within `seconds`."""
        self.begun = True
        self._until = asyncio.get_running_loop().time() + seconds
        for bound in self._bounds:
            bound.reschedule(self._until)

    @asynccontextmanager
    async def bound(self) -> AsyncIterator[None]:
        """Work that is cancelled when the time is up, with ApiError 503 in place of the cancellation."""
        bound = asyncio.timeout_at(self._until)
        try:
            async with bound:
                self._bounds.add(bound)
                try:
                    yield
                finally:
                    self._bounds.discard(bound)
        except TimeoutError:
            if bound.expired():
                raise shutting_down() from None
            raise


def on_signals(drain: Drain, drain_seconds: float) -> None:
    """Drain when a signal comes, before the handlers that are in place for it close the listener.

    A second SIGINT is handed on at once. Call it in the main thread's event loop.
    """
    loop = asyncio.get_running_loop()
    closing: list[asyncio.TimerHandle] = []

    def handle(number: signal.Signals, close: Callable[[int, None], object]) -> None:
        if not closing:
            drain.begin(drain_seconds - margin(drain_seconds))
            closing.append(loop.call_later(margin(drain_seconds), close, number, None))
        elif number == signal.SIGINT:
            closing[0].cancel()
            close(number, None)

    for number in SIGNALS:
        close = signal.getsignal(number)
        assert callable(close)  # uvicorn's
        loop.add_signal_handler(number, handle, number, close)

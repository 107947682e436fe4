"""Work that belongs to a connection: it reports progress while it runs and is cancelled when the client goes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Generic, TypeVar

from fastapi import Request
from fastapi.responses import StreamingResponse

from dialog.agent import Event

T = TypeVar("T")

GRACE_SECONDS = 0.2
"""A stream begins after this; what fails before it fails with a status instead of an error event."""

KEEPALIVE_SECONDS = 10.0
"""Without progress for this long a comment is sent, so that proxies keep the connection."""


LINE_BREAKS = {ord(character): f"\\u{ord(character):04x}" for character in "\x85\u2028\u2029"}
"""Line breaks that JSON leaves as they are, and how it can say them."""


class ClientGone(Exception):
    """The client went away; nobody is left to answer."""


class Live(Generic[T]):
    """A running piece of work. Always `cancel` it at the end; that does nothing where it is done."""

    def __init__(self, work: Callable[[Callable[[Event], None]], Awaitable[T]]) -> None:
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def on_event(event: Event) -> None:
            loop.call_soon_threadsafe(self._events.put_nowait, event)

        self.task: asyncio.Task[T] = asyncio.ensure_future(work(on_event))  # type: ignore[assignment]

    async def settle(self) -> None:
        """Wait a moment for early failures, and raise them."""
        await asyncio.wait({self.task}, timeout=GRACE_SECONDS)
        if self.task.done():
            self.task.result()

    async def events(self) -> AsyncIterator[Event | None]:
        """Progress until the work is done; None means that nothing was heard for a while."""
        while not self.task.done() or not self._events.empty():
            if not self._events.empty():
                yield self._events.get_nowait()
                continue
            getter = asyncio.ensure_future(self._events.get())
            try:
                done, _ = await asyncio.wait(
                    {self.task, getter}, timeout=KEEPALIVE_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
            finally:  # also where the client goes away while nothing happens
                if not getter.done():
                    getter.cancel()
            if getter in done:
                yield getter.result()
            elif not done:
                yield None

    async def cancel(self) -> None:
        """Cancel what is left of the work and wait until it has let go."""
        if not self.task.done():
            self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def while_connected(request: Request, work: Awaitable[T]) -> T:
    """The work's result. Cancels it and raises ClientGone where the client goes first."""
    task: asyncio.Task[T] = asyncio.ensure_future(work)  # type: ignore[assignment]
    watch = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGone
        return task.result()
    finally:
        for left in (task, watch):
            left.cancel()
        await asyncio.gather(task, watch, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class EventStream(StreamingResponse):
    """Server-sent events; intermediaries are told neither to buffer nor to cache."""

    media_type = "text/event-stream"

    def __init__(self, content: AsyncIterator[str], headers: dict[str, str] | None = None) -> None:
        super().__init__(content, headers={**(headers or {}), "Cache-Control": "no-store", "X-Accel-Buffering": "no"})


def data(payload: Any, event: str | None = None) -> str:
    """One server-sent event of JSON, or of what is JSON already. It has no raw line breaks, not even those that only
    some clients take for one, so untrusted text cannot end the event or one of its lines."""
    text = payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    text = text.translate(LINE_BREAKS)
    return f"event: {event}\ndata: {text}\n\n" if event else f"data: {text}\n\n"


def comment(event: Event | None) -> str:
    """Progress as a comment: it keeps the connection, and clients that do not know it skip it."""
    if event is None:
        return ": keepalive\n\n"
    return f": {event.stage} {json.dumps(event.detail)}\n\n" if event.detail else f": {event.stage}\n\n"

"""From an accepted request to its answer, whole or as a stream: what all endpoints that make turns do alike."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from fastapi import Request, Response

from dialog.agent import Event
from dialog.turn import Turn
from serve.api.idempotency import Begun
from serve.api.keys import Caller
from serve.api.live import EventStream, Live, while_connected
from serve.api.runner import Ask, Keep, check_messages
from serve.api.service import Service

Turns = Live[list[Turn]]
"""Turns that are being made."""


async def answer(
    request: Request,
    response: Response,
    service: Service,
    caller: Caller,
    asks: Sequence[Ask],
    keep: Keep,
    begun: Begun,
    *,
    whole: Callable[[list[Turn]], Any],
    stream: Callable[[Turns], AsyncIterator[str]] | None,
) -> Any:
    """The turns as `whole` shows them, or as the server-sent events of `stream` where that is given.

    A stream begins when it is likely to come to something: what fails before is a status. Cancels the turns where the
    client goes. Turns that were made before take no place and count for nothing. Raises MessageError, ApiError 429 and
    503 where no turn can be made now, and what `Runner.run` raises.
    """
    missing = [ask for ask, stored in zip(asks, begun.before, strict=True) if stored is None]
    for ask in missing[:1]:  # they are asked for the same messages
        check_messages(ask.messages, service.settings.max_messages)
    headers = await admit(service, caller, len(missing)) if missing else {}
    response.headers.update(headers)

    async def work(on_event: Callable[[Event], None]) -> list[Turn]:
        return await service.runner.run(asks, caller, keep, begun, on_event)

    if stream is None:
        made = whole(await while_connected(request, work(lambda event: None)))
        if isinstance(made, Response):  # it has headers of its own
            made.headers.update(headers)
        return made
    live = Live(work)
    try:
        await live.settle()
    except BaseException:
        await live.cancel()
        raise
    return EventStream(stream(live), headers=headers)


async def admit(service: Service, caller: Caller, turns: int = 1) -> dict[str, str]:
    """Count a request; the headers that tell what its key may still do. Raises ApiError 400, 429 and 503."""
    service.slot.agent()
    service.admission.check(turns)
    return await service.limits.take(caller)

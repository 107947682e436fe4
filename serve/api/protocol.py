"""The HTTP connection: uvicorn's, with a time limit on a request's head, a bound on how many there are, and errors in
the API's shape.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

CROWDED = "crowded"
"""Key of a request's ASGI `state` where its connection is one too many; `Envelope` refuses it."""


def protocol(header_seconds: float, max_connections: int) -> type[H11Protocol]:
    """A protocol class that closes connections whose request's head takes longer than `header_seconds`.

    A connection past `max_connections` is marked as such; those that were there before go on being served.
    """

    class GuardedProtocol(H11Protocol):
        _head_timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if len(self.connections) > max_connections:
                self.app_state = {**self.app_state, CROWDED: True}
            self._arm()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            # A body that goes on after its request was answered is time-limited as a head is.
            answered = self.conn.our_state is h11.DONE and self.conn.their_state is h11.SEND_BODY
            if (self.conn.their_state is h11.IDLE or answered) and not self.transport.is_closing():
                self._arm()
            else:
                self._disarm()

        def connection_lost(self, exc: Exception | None) -> None:
            self._disarm()
            super().connection_lost(exc)

        def send_400_response(self, msg: str) -> None:
            error = {"message": msg, "type": "invalid_request_error", "param": None, "code": "invalid_http"}
            body = json.dumps({"error": error}).encode()
            headers = [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
                (b"connection", b"close"),
            ]
            events = (
                h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
                h11.Data(data=body),
                h11.EndOfMessage(),
            )
            for event in events:
                self.transport.write(self.conn.send(event) or b"")
            self.transport.close()

        def _arm(self) -> None:
            if self._head_timer is None:
                self._head_timer = self.loop.call_later(header_seconds, self._give_up)

        def _disarm(self) -> None:
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer = None

        def _give_up(self) -> None:
            self._head_timer = None
            self.transport.close()

    return GuardedProtocol

"""Around every request: an id, a log line, metrics, security headers, a key, a bounded body, and no unshaped error.

Plain ASGI, so that a client's leaving reaches the endpoint and streams are not buffered.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.api.drain import shutting_down
from serve.api.errors import ApiError, as_api_error
from serve.api.keys import CALLER, caller_of
from serve.api.limits import Limits
from serve.api.live import ClientGone
from serve.api.metrics import Metrics
from serve.api.protocol import CROWDED
from serve.api.storage import Store
from serve.settings import Settings, is_loopback

CROWDED_SECONDS = 1

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Methods that the metrics tell apart."""

logger = logging.getLogger("serve.api.access")

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
API_POLICY = "default-src 'none'; frame-ancestors 'none'"
"""Content-Security-Policy of what is not a page."""


class Envelope:
    """The outermost layer but for `Cors`, which also lets the errors that are shaped here be read."""

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics) -> None:
        self.app, self.settings, self.metrics = app, settings, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = f"req_{uuid4().hex}"
        started = time.perf_counter()
        status = 0
        # HEAD is GET without its body, which the connection leaves out.
        inner = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope

        async def send_wrapped(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = request_id
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Content-Security-Policy", API_POLICY)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            self._check_crowd(scope)
            self._check_host(scope)
            await self.app(inner, receive, send_wrapped)
        except ClientGone:
            status = status or 499
        except Exception as error:
            problem = as_api_error(error)
            if status:  # the answer has begun; closing the connection is all that is left
                raise
            await problem.response()(scope, receive, send_wrapped)
        except asyncio.CancelledError:
            if not status:  # the server ends, and this outlasted it
                await shutting_down().response()(scope, receive, send_wrapped)
            raise
        finally:
            route = getattr(inner.get("route"), "path", "unmatched")
            seconds = time.perf_counter() - started
            method = scope["method"] if scope["method"] in METHODS else "other"  # a label for each invention would stay
            self.metrics.requests.labels(route, method, str(status)).inc()
            self.metrics.request_seconds.labels(route).observe(seconds)
            fields = {
                "request_id": request_id,
                "method": scope["method"],
                "route": route,
                "status": status,
                "ms": round(seconds * 1000, 1),
                "owner": inner[CALLER].owner if CALLER in inner else None,
            }
            quiet = route in ("/healthz", "/readyz", "/metrics")
            logger.log(logging.DEBUG if quiet else logging.INFO, "request", extra=fields)

    def _check_crowd(self, scope: Scope) -> None:
        """Refuse what came over a connection too many; not the probes, or a crowd would get us killed."""
        if scope.get("state", {}).get(CROWDED) and scope["path"] not in ("/healthz", "/readyz"):
            raise ApiError(
                503,
                f"{self.settings.max_connections:,} connections are open already. Try again in {CROWDED_SECONDS} s.",
                type="server_error",
                code="too_many_connections",
                retry_after=CROWDED_SECONDS,
                headers={"Connection": "close"},
            )

    def _check_host(self, scope: Scope) -> None:
        """Without keys, only pages of this machine may talk to us, whatever a name server says."""
        if self.settings.auth:
            return
        host = Headers(scope=scope).get("host", "localhost")
        name = host.rsplit(":", 1)[0].strip("[]") if not host.endswith("]") else host.strip("[]")
        if not is_loopback(name):
            raise ApiError(421, f"host {name[:100]!r} is not served here.", code="unknown_host")


class KeyGuard:
    """Asks who calls, and whether they may still call, before anything reads what they send."""

    def __init__(self, app: ASGIApp, settings: Settings, store: Store, limits: Limits) -> None:
        self.app, self.settings, self.store, self.limits = app, settings, store, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        counted = scope["type"] == "http" and scope["path"].startswith("/v1/")
        if counted or (scope["type"] == "http" and scope["path"] == "/metrics"):
            scope[CALLER] = await caller_of(self.settings, self.store, Headers(scope=scope).get("authorization"))
        if counted:
            self.limits.call(scope[CALLER])
        await self.app(scope, receive, send)


class BodyGuard:
    """Reads a request's whole body within a size and a time before anything looks at it."""

    def __init__(self, app: ASGIApp, max_bytes: int, seconds: float) -> None:
        self.app, self.max_bytes, self.seconds = app, max_bytes, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        declared = headers.get("content-length", "")
        if declared.isdigit() and int(declared) > self.max_bytes:
            raise self._too_large()
        try:
            async with asyncio.timeout(self.seconds):
                body = await self._read(receive)
        except TimeoutError:
            raise ApiError(408, f"The body did not arrive within {self.seconds:g} s.", code="request_timeout") from None
        if body:
            kind = headers.get("content-type", "").split(";")[0].strip().lower()
            if kind != "application/json":
                raise ApiError(415, "Send the body as application/json.", code="unsupported_media_type")
            try:
                body.decode()
            except UnicodeDecodeError as error:
                raise ApiError(
                    400, f"The body is not UTF-8: byte {error.start} cannot be read.", code="invalid_utf8"
                ) from None
        replayed = False

        async def replay() -> dict[str, Any] | Message:
            nonlocal replayed
            if replayed:
                return await receive()
            replayed = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, replay, send)

    async def _read(self, receive: Receive) -> bytes:
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            part = message.get("body", b"")
            size += len(part)
            if size > self.max_bytes:
                raise self._too_large()
            parts.append(part)
            if not message.get("more_body", False):
                return b"".join(parts)

    def _too_large(self) -> ApiError:
        return ApiError(413, f"The body is larger than {self.max_bytes:,} bytes.", code="request_too_large")

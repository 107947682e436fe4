"""Cross-origin calls: which pages of other origins may call the API, and which of its headers they may read."""

from __future__ import annotations

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from serve.api.errors import ApiError

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
READABLE = (
    "x-request-id",
    "Retry-After",
    *(f"x-ratelimit-{part}-{what}" for what in ("requests", "tokens") for part in ("limit", "remaining", "reset")),
)
"""Headers of an answer that a page of another origin may read."""


class Cors(CORSMiddleware):
    """Starlette's layer, which refuses in the API's shape. The outermost one, so that errors are readable too.

    Any request header is taken from a named origin: clients add their own (`x-stainless-*` of OpenAI's).
    """

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        super().__init__(
            app, allow_origins=origins, allow_methods=METHODS, allow_headers=["*"], expose_headers=READABLE
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        """As Starlette's; a refusal says which origin and method were asked for."""
        answer = super().preflight_response(request_headers)
        if answer.status_code == 200:
            return answer
        origin, method = request_headers["origin"], request_headers["access-control-request-method"]
        refusal = ApiError(
            400,
            f"pages of {origin[:100]!r} may not send {method[:20]!r} here. Name the origin in the setting cors_origins"
            f"; methods are {', '.join(METHODS)}.",
            code="cors_refused",
        ).response()
        refusal.headers["Vary"] = answer.headers["Vary"]
        return refusal

"""The OpenAPI document: what FastAPI reads from the routes, and the errors that each operation can answer.

An endpoint declares what is its own (`responses=`); what follows from its kind, such as 413 from having a body, is
added here, so that it can neither be forgotten nor be declared where it cannot happen.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from serve.api.errors import ErrorResponse

WORK = ("/v1/chat/completions", "/v1/responses", "/v1/moderations", "/v1/turns", "/v1/tools/{name}")
"""Paths whose POST waits for a slot, has a deadline and counts against a key's limits."""

NAMING = ("/v1/chat/completions", "/v1/responses", "/v1/turns")
"""Paths whose POST names something by its id that may not be there: a model, a conversation, a previous response."""

ADMINS = ("/metrics", "/v1/feedback/export")
"""Paths that want an admin's key, or do for some of what they give."""

MEANINGS = {
    400: "The request cannot be used as given.",
    401: "No valid API key.",
    403: "This needs an admin's key.",
    404: "There is no such thing, or it is not yours.",
    405: "There is no such method here. See Allow.",
    408: "The body did not arrive in time.",
    409: "It conflicts with what is there.",
    413: "The body is too large.",
    415: "The body is not application/json.",
    421: "Keys are off, and the request names another host than this machine.",
    422: "The Idempotency-Key came with another request before.",
    429: "Over a limit, or too many turns are waiting. See Retry-After.",
    500: "An error of ours.",
    503: "The engine or the database is not available, the service is shutting down, or too many connections are open. "
    "See Retry-After.",
    504: "The turn took longer than its deadline.",
}
"""What each status of an error says."""

RETRIED = (429, 503)
"""Errors that carry Retry-After."""


def describe(app: FastAPI) -> None:
    """Let `app.openapi()` and /openapi.json give the whole document."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            complete(made())
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def complete(document: dict[str, Any]) -> None:
    """Put the errors into FastAPI's document, in the place of its own."""
    schemas = document["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    shape = ErrorResponse.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= {**shape.pop("$defs"), "ErrorResponse": shape}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            own = {code: answer for code, answer in operation["responses"].items() if code != "422"}
            if _streams(operation, schemas):
                # Readers differ on whether a schema here is of the text or of an event.
                own["200"]["content"]["text/event-stream"] = {"schema": {}}
            errors = {str(code): error(code) for code in codes(path, method, operation)}
            operation["responses"] = dict(sorted({**errors, **own}.items()))


def codes(path: str, method: str, operation: dict[str, Any]) -> set[int]:
    """The errors that an operation of its kind can answer."""
    found = {405, 421, 500}
    parameters = [parameter["name"].lower() for parameter in operation.get("parameters", [])]
    if parameters or "requestBody" in operation:
        found |= {400}
    if "security" in operation:
        found |= {401, 503} if path == "/metrics" else {401, 429, 503}
    if path in ADMINS:
        found |= {403}
    if "requestBody" in operation:
        found |= {408, 413, 415}
    if "{" in path or (method == "post" and path in NAMING):
        found |= {404}
    if method == "post" and path in WORK:
        found |= {504}
    if "idempotency-key" in parameters:
        found |= {409, 422}
    return found


def error(code: int) -> dict[str, Any]:
    """An error of this status as the document says it."""
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorResponse"}}}
    made: dict[str, Any] = {"description": MEANINGS[code], "content": content}
    if code in RETRIED:
        made["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
    return made


def _streams(operation: dict[str, Any], schemas: dict[str, Any]) -> bool:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    return "stream" in schemas.get(body.get("$ref", "").rsplit("/", 1)[-1], {}).get("properties", {})

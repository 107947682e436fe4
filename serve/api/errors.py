"""Errors as clients see them: `{"error": {"message", "type", "param", "code"}}` and a status.

Boundary: this module turns errors into responses; what the errors mean is decided where they are raised.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from dialog.errors import AdapterError, ContextLengthError, DialogError, EngineUnavailable, MessageError, RoleError
from serve.errors import ServeError
from toolset.errors import ToolsetError

logger = logging.getLogger(__name__)

ENGINE_RETRY_SECONDS = 5


class ErrorBody(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorResponse(BaseModel):
    """The shape of every error."""

    error: ErrorBody


class ApiError(ServeError):
    """An error with its HTTP status and OpenAI's fields."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        retry_after: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.type, self.param, self.code = status, message, type, param, code
        self.retry_after = retry_after
        self._headers = dict(headers or {})

    @property
    def body(self) -> dict[str, Any]:
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}

    @property
    def headers(self) -> dict[str, str]:
        headers = dict(self._headers)
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return headers

    def response(self) -> JSONResponse:
        return JSONResponse(self.body, status_code=self.status, headers=self.headers)


def not_found(what: str, name: str) -> ApiError:
    """404. Also for what belongs to someone else, so that ids cannot be probed."""
    return ApiError(404, f"there is no {what} {name!r}.", code=f"{what}_not_found", param=what)


def unavailable(message: str, code: str, retry_after: int = ENGINE_RETRY_SECONDS) -> ApiError:
    """503 for what is expected to recover."""
    return ApiError(503, message, type="server_error", code=code, retry_after=retry_after)


def as_api_error(error: BaseException) -> ApiError:
    """Any error as the client should see it. What is not ours says nothing of its inside; the log has it."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, ContextLengthError):
        return ApiError(400, str(error), param="messages", code="context_length_exceeded")
    if isinstance(error, MessageError):
        return ApiError(400, str(error), param="messages", code="invalid_message")
    if isinstance(error, RoleError):
        return ApiError(400, str(error), param="role", code="unknown_role")
    if isinstance(error, EngineUnavailable):
        return unavailable("The engine cannot be reached. Try again in a moment.", "engine_unavailable")
    if isinstance(error, TimeoutError):
        # OpenAI's clients would make the same long turn again, twice.
        return ApiError(
            504,
            "The turn took longer than its deadline.",
            type="server_error",
            code="deadline_exceeded",
            headers={"x-should-retry": "false"},
        )
    if isinstance(error, DialogError | ToolsetError) and not isinstance(error, AdapterError):
        return ApiError(400, str(error), code="invalid_request")
    logger.error("internal error", exc_info=error)
    return ApiError(500, "Something went wrong on our side.", type="server_error", code="internal_error")


def validation_error(error: RequestValidationError) -> ApiError:
    """The first problem of a request that does not fit its schema."""
    problems = error.errors()
    first = problems[0] if problems else {"loc": (), "msg": "the request is not valid", "type": "value_error"}
    # A field that may be one of several kinds has a problem with each; the deepest is of the kind that was meant.
    first = max((p for p in problems if p["loc"][:2] == first["loc"][:2]), key=lambda p: len(p["loc"]), default=first)
    # pydantic names the member of a union too ("str", "list[Part]"); a client knows the fields only.
    where = [part for part in first["loc"][1:] if isinstance(part, int) or re.fullmatch(r"[a-z][a-z0-9_]*", part)]
    where = [part for part in where if part not in ("str", "int", "float", "bool")]
    param = ".".join(str(part) for part in where) or None
    if first["type"] in ("json_invalid", "model_attributes_type", "missing") and param is None:
        return ApiError(400, "The body must be a JSON object sent as application/json.", code="invalid_json")
    if first["type"] == "json_invalid":
        return ApiError(400, f"The body is not valid JSON: {first['msg']} at {param}.", code="invalid_json")
    message = f"{param or 'request'}: {first['msg'].removeprefix('Value error, ')}."
    return ApiError(400, message.replace("..", "."), param=param, code="invalid_value")


def add_error_handlers(app: FastAPI) -> None:
    """Give every error of the application the one shape."""

    async def on_api_error(request: Request, error: Exception) -> JSONResponse:
        return as_api_error(error).response()

    async def on_validation(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return validation_error(error).response()

    async def on_http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code)
        shown = ApiError(error.status_code, str(error.detail), code=code).response()
        shown.headers.update(error.headers or {})
        return shown

    for ours in (ServeError, DialogError, ToolsetError, TimeoutError):
        app.add_exception_handler(ours, on_api_error)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(Exception, on_api_error)

"""API keys: `gl_ID_SECRET`. Only the secret's SHA-256 is kept; 256 random bits need no slower hash.

Comparison takes constant time, and an unknown id costs the same comparison as a wrong secret.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPBearer
from fastapi.security.utils import get_authorization_scheme_param

from serve.api.errors import ApiError
from serve.api.storage import ApiKey, Store
from serve.settings import Settings

KEY = re.compile(r"gl_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
LOCAL = "local"
"""Owner of everything where keys are not asked for."""

CALLER = "groundling.caller"
"""Key of a request's scope: its `Caller`."""

_NOBODY = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True)
class Caller:
    """Who sends a request. What they make belongs to `owner`."""

    owner: str
    key: ApiKey | None = None

    @property
    def admin(self) -> bool:
        return self.key is None or self.key.admin


async def create_key(
    store: Store,
    name: str,
    *,
    admin: bool = False,
    requests_per_minute: int | None = None,
    tokens_per_minute: int | None = None,
) -> tuple[ApiKey, str]:
    """A new key and its text, which is not kept and cannot be shown again."""
    key = ApiKey(
        id=secrets.token_hex(8),
        name=name,
        admin=admin,
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        created=time.time(),
        revoked=None,
    )
    secret = secrets.token_urlsafe(32)
    await store.add_key(key, _hash(secret))
    return key, f"gl_{key.id}_{secret}"


async def check_key(store: Store, text: str) -> ApiKey | None:
    """The key that `text` is, or None where it is unknown, wrong or revoked."""
    match = KEY.fullmatch(text)
    found = await store.key(match[1]) if match else None
    key, expected = found or (None, _NOBODY)
    given = _hash(match[2] if match else text)
    if not hmac.compare_digest(given, expected) or key is None or key.revoked is not None:
        return None
    return key


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


bearer = HTTPBearer(auto_error=False, description="An API key made by `groundling keys create`.")


async def caller_of(settings: Settings, store: Store, authorization: str | None) -> Caller:
    """Who sends a request with this Authorization header.

    Raises ApiError 401, 503 where the database cannot be asked.
    """
    if not settings.auth:
        return Caller(LOCAL)
    scheme, text = get_authorization_scheme_param(authorization)
    if scheme.lower() != "bearer" or not text:
        raise ApiError(
            401,
            "No API key was given. Send `Authorization: Bearer gl_...`; `groundling keys create` makes one.",
            code="missing_api_key",
        )
    key = await check_key(store, text)
    if key is None:
        raise ApiError(401, "The API key is not valid, or was revoked.", code="invalid_api_key")
    return Caller(key.id, key)


async def authenticate(request: Request, given: Annotated[object, Depends(bearer)]) -> Caller:
    """The caller, whom `KeyGuard` found before the body was read; `given` is for the OpenAPI document alone."""
    return request.scope[CALLER]


async def authenticate_admin(caller: Annotated[Caller, Depends(authenticate)]) -> Caller:
    """As `authenticate`, for an admin's key. Raises ApiError 403 for another."""
    if not caller.admin:
        raise ApiError(403, "This needs an admin's key.", type="permission_error", code="admin_only")
    return caller


CallerDep = Annotated[Caller, Depends(authenticate)]
AdminDep = Annotated[Caller, Depends(authenticate_admin)]

"""Addresses as they may be shown: without the credentials that people write into them."""

from __future__ import annotations

import re

_SECRET_PARAMETER = re.compile(r"([?&][^=&]*(?:pass|pwd|secret|token|key)[^=&]*=)[^&]*", re.IGNORECASE)


def masked_url(text: str) -> str:
    """An engine's address with user, password and query masked; what is no address stays as it is.

    `http://me:secret@host:8001/v1?token=abc` becomes `http://***@host:8001/v1?***`. It takes no parser, which would
    have to understand what somebody mistyped.
    """
    return re.sub(r"\?.*", "?***", re.sub(r"//.*@", "//***@", text))


def without_credentials(url: str) -> str:
    """An address without user, password and query, for whoever need not know that there are any."""
    return re.sub(r"[?#].*", "", re.sub(r"//.*@", "//", url))


def masked_parameters(url: str) -> str:
    """A database's address with the values of parameters such as `password` and `sslpassword` masked."""
    return _SECRET_PARAMETER.sub(r"\1***", url)

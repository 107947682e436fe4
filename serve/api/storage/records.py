"""What the store gives back: plain values, free of any database session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dialog.turn import Turn

Reason = Literal["unsafe", "wrong", "nonsense", "vague", "dull", "other"]
"""Why a turn was thumbed down, in the terms of the attributes that it is to teach."""


@dataclass(frozen=True)
class ApiKey:
    """A key without its secret."""

    id: str
    name: str
    admin: bool
    requests_per_minute: int | None
    tokens_per_minute: int | None
    created: float
    revoked: float | None


@dataclass(frozen=True)
class Conversation:
    """A conversation's heading; its messages are its turns'."""

    id: str
    owner: str
    title: str
    role: str
    created: float
    updated: float


@dataclass(frozen=True)
class Feedback:
    """What a person thought of a turn."""

    turn_id: str
    thumb: Literal["up", "down"]
    reason: Reason | None
    comment: str | None
    better: str | None
    created: float


@dataclass(frozen=True)
class StoredTurn:
    """A turn with where it belongs."""

    turn: Turn
    owner: str
    conversation: str | None
    position: int | None
    feedback: Feedback | None

"""What the store gives back: plain values, free of any database session."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from dialog.messages import Message
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
    metadata: dict[str, str] = field(default_factory=dict)
    """What the caller attached to it."""


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
class Past:
    """What a turn goes on from and is stored already. It is not stored again with the turn, but read from where it is,
    so that what is deleted there is gone here too."""

    own: tuple[Message, ...]
    """The messages that came with the turn's own request."""
    since: int | None = None
    """The first position of the conversation that the turn was given; the turn's own where it was given none."""
    parent: str | None = None
    """The turn that a response went on from."""
    kept: int = 0
    """How many of the messages that users and the agent said up to the parent were given, the newest."""


@dataclass(frozen=True)
class NewTurn:
    """A turn that is to be kept, with where it belongs and what it answers."""

    turn: Turn
    conversation: str | None = None
    position: int | None = None
    idempotency_key: str | None = None
    request_hash: str | None = None
    """Of the request that came with the key."""
    asked: dict[str, Any] | None = None
    """What a Responses object repeats of its request."""
    past: Past | None = None
    """None where all of the turn's messages are its own."""


@dataclass(frozen=True)
class StoredTurn:
    """A turn with where it belongs."""

    turn: Turn
    owner: str
    conversation: str | None
    position: int | None
    feedback: Feedback | None
    idempotency_key: str | None
    request_hash: str | None
    asked: dict[str, Any] | None


@dataclass(frozen=True)
class Exchange:
    """What was said in one turn of a conversation."""

    position: int
    message: str
    reply: str


@dataclass(frozen=True)
class Charge:
    """Tokens that count towards an owner's limit of a minute."""

    owner: str
    minute: int
    tokens: int

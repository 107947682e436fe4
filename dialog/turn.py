"""The turn: one reply with everything that led to it, as one object that can be stored, replayed and shown."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field

from dialog.decoder import DecoderInfo
from dialog.messages import Message
from dialog.settings import TurnSettings
from toolset.tool import ToolCall

Phase = Literal["base", "research"]


class Scores(BaseModel):
    """A candidate's attributes, each a probability (LaMDA, arXiv 2201.08239, section 4)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sensible: float
    specific: float
    interesting: float
    safe: float
    quality: float = Field(
        description="3 P(sensible) + P(specific) + P(interesting), section 5.1; what candidates are ranked by."
    )


class Candidate(BaseModel):
    """One sampled answer and its fate."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    scores: Scores | None = Field(description="None where a candidate was dropped before it was scored.")
    kept: bool = Field(description="False where the filter dropped it.")
    reason: str | None = Field(default=None, description="Why it was dropped.")
    phase: Phase = "base"
    support: float | None = Field(
        default=None, description="Research phase: the share of the answer that its evidence holds."
    )
    logprob: float = Field(description="Sum over its tokens, nats.")
    tokens: int


class Citation(BaseModel):
    """A source that the reply cites as `[number]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    title: str
    url: str | None
    text: str = Field(description="The snippet that supports the reply.")
    id: str | None = None
    tool: str


class Timings(BaseModel):
    """Wall time of each stage, in seconds."""

    model_config = ConfigDict(extra="forbid")

    generate: float = 0.0
    score: float = 0.0
    tools: float = 0.0
    research: float = 0.0
    check: float = 0.0
    total: float = 0.0


class Usage(BaseModel):
    """Tokens of a turn."""

    model_config = ConfigDict(extra="forbid")

    prompt_tokens: int = Field(default=0, description="The base prompt's.")
    completion_tokens: int = Field(default=0, description="The reply's.")
    sampled_tokens: int = Field(default=0, description="All candidates', both phases.")
    scored_prompts: int = 0


class Turn(BaseModel):
    """One answered message. The first keys are the contract of `--json`."""

    model_config = ConfigDict(extra="forbid")

    reply: str
    citations: list[Citation]
    finish_reason: Literal["stop", "length", "content_filter"]
    grounded: bool = Field(description="Every statement of the reply is supported by what it cites.")
    candidates: list[Candidate]
    tool_calls: list[ToolCall]
    timings: Timings
    usage: Usage
    notes: list[str] = Field(
        default_factory=list, description="What a person should know: trimmed history, no source found."
    )
    draft: str | None = Field(description="The best base candidate, before research.")
    messages: list[Message]
    role: str
    dialect: str
    decoder: DecoderInfo
    seed: int = Field(description="Repeats the turn exactly on the embedded engine.")
    settings: TurnSettings | None = Field(default=None, description="What it was made with; None in older turns.")
    id: str = Field(default_factory=lambda: f"turn_{uuid4().hex}")
    created: datetime = Field(default_factory=lambda: datetime.now(UTC))

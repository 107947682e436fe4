"""One turn from an accepted request to a committed record.

A turn is answered only once it is in the database; a turn whose client went away before that is cancelled in the
engine and leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from dialog.agent import Agent, AgentSettings, Event
from dialog.errors import EngineUnavailable, MessageError
from dialog.messages import Message
from dialog.roles import Role
from dialog.turn import Turn
from serve.api.admission import Admission
from serve.api.errors import ApiError, as_api_error
from serve.api.keys import Caller
from serve.api.limits import Limits
from serve.api.loading import AgentSlot
from serve.api.metrics import Metrics
from serve.api.release import cut
from serve.api.storage import Clash, Store, StoredTurn
from serve.api.telemetry import Tracer
from serve.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ask:
    """What is asked of the agent, whichever endpoint it came through."""

    messages: Sequence[Message]
    role: Role | None = None
    seed: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    candidates: int | None = None
    stop: tuple[str, ...] = ()
    tools: tuple[str, ...] | None = None
    """Names of our tools that this turn may use; None allows the role's."""
    notes: tuple[str, ...] = ()
    turn_id: str | None = None
    """The turn's id, where it had to be named before the turn began."""


@dataclass(frozen=True)
class Keep:
    """Where the turn is kept."""

    store: bool = True
    conversation: str | None = None
    position: int | None = None
    idempotency_key: str | None = None


@dataclass
class Runner:
    """Runs turns within the limits of the service."""

    settings: Settings
    slot: AgentSlot
    store: Store
    admission: Admission
    limits: Limits
    metrics: Metrics
    tracer: Tracer
    turns: int = field(default=0)

    async def run(
        self, ask: Ask, caller: Caller, keep: Keep = Keep(), on_event: Callable[[Event], None] = lambda event: None
    ) -> Turn:
        """Run and commit one turn.

        With an idempotency key that was used before, the turn of then is returned. Raises ApiError and what
        `Agent.reply` raises; the deadline covers waiting and work.
        """
        if keep.idempotency_key is not None:
            before = await self.store.turn_by_idempotency_key(keep.idempotency_key, caller.owner)
            if before is not None:
                return before.turn
        try:
            async with asyncio.timeout(self.settings.deadline_seconds):
                async with self.admission.slot():
                    turn = await self._reply(self.slot.agent(), ask, on_event)
                turn = await self._commit(turn, caller, keep)
        except Exception as error:
            self.metrics.turn_failures.labels(as_api_error(error).code or "error").inc()
            if isinstance(error, EngineUnavailable):
                self.slot.doubt()
            raise
        self.turns += 1
        self.metrics.count_turn(turn)
        self._log(turn, caller)
        await self.limits.spend(caller, turn.usage.prompt_tokens + turn.usage.completion_tokens)
        return turn

    def _log(self, turn: Turn, caller: Caller) -> None:
        fields: dict[str, Any] = {
            "turn_id": turn.id,
            "owner": caller.owner,
            "finish_reason": turn.finish_reason,
            "grounded": turn.grounded,
            "seconds": turn.timings.total,
            "tokens": turn.usage.sampled_tokens,
        }
        if self.settings.log_text:
            fields |= {"text": turn.messages[-1].content, "reply": turn.reply}
        logger.info("turn", extra=fields)

    async def _reply(self, agent: Agent, ask: Ask, on_event: Callable[[Event], None]) -> Turn:
        role = ask.role or agent.role
        if ask.tools is not None:
            allowed = set(role.tools if role.tools is not None else agent.toolset.names)
            role = role.model_copy(update={"tools": tuple(name for name in ask.tools if name in allowed)})
        check_messages(ask.messages, self.settings.max_messages)
        with self.tracer.turn(agent, ask.messages) as span:
            turn = await agent.reply(
                ask.messages, seed=ask.seed, role=role, settings=settings_of(agent, ask), on_event=on_event
            )
            turn = cut(turn, ask.stop, ask.max_tokens, agent.decoder.tokenizer)
            turn = turn.model_copy(update={"notes": [*turn.notes, *ask.notes], "id": ask.turn_id or turn.id})
            span.end(turn)
        return turn

    async def _commit(self, turn: Turn, caller: Caller, keep: Keep) -> Turn:
        if not keep.store:
            return turn
        try:
            await self.store.add_turn(
                turn,
                caller.owner,
                conversation=keep.conversation,
                position=keep.position,
                idempotency_key=keep.idempotency_key,
            )
        except Clash as error:
            key = keep.idempotency_key  # the same request came twice at once and the other was first
            before = await self.store.turn_by_idempotency_key(key, caller.owner) if key is not None else None
            if before is None:
                raise ApiError(409, "The turn conflicts with another one. Send it again.", code="conflict") from error
            return before.turn
        return turn


def settings_of(agent: Agent, ask: Ask) -> AgentSettings:
    """The agent's settings with what the request asks for. `max_tokens` is a bound, so a large one is lowered."""
    update: dict[str, Any] = {}
    if ask.temperature is not None:
        update["temperature"] = ask.temperature
    if ask.top_p is not None:
        update["top_p"] = max(ask.top_p, 1e-6)  # 0 means the most likely token
    if ask.candidates is not None:
        update["n"] = ask.candidates
    settings = agent.settings
    if ask.max_tokens is not None:
        most = max(settings.sampling.max_tokens, agent.decoder.info.context_length // 4)
        update["max_tokens"] = min(ask.max_tokens, most)
        research = max(8, min(settings.research_tokens, ask.max_tokens))
        settings = settings.model_copy(update={"research_tokens": research})
    return settings.model_copy(update={"sampling": settings.sampling.model_copy(update=update)})


def check_messages(messages: Sequence[Message], most: int) -> None:
    """Raises MessageError where there are too many."""
    if len(messages) > most:
        raise MessageError(f"there are {len(messages):,} messages, at most {most:,} are taken. Send the last ones.")


def history(turns: Sequence[StoredTurn], most: int) -> list[Message]:
    """A conversation's messages from its newest turns, at most `most`: a long one goes on without its beginning."""
    messages: list[Message] = []
    for stored in turns[max(0, len(turns) - most // 2) :]:
        messages.append(stored.turn.messages[-1])
        messages.append(Message(role="assistant", content=stored.turn.reply))
    return messages


def next_position(turns: Sequence[StoredTurn]) -> int:
    """The place of a conversation's next turn; earlier ones may have been deleted."""
    return (turns[-1].position or 0) + 1 if turns else 1

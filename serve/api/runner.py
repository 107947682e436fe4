"""One turn from an accepted request to a committed record.

A turn is answered only once it is in the database; a turn whose client went away before that is cancelled in the
engine and leaves nothing behind but what its key is charged.
"""

from __future__ import annotations

import asyncio
import copy
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from dialog.agent import Agent, AgentSettings, Event
from dialog.errors import EngineUnavailable, MessageError
from dialog.messages import Message, conversation
from dialog.roles import Role
from dialog.turn import Turn
from serve.api.admission import Admission
from serve.api.drain import Drain
from serve.api.errors import ApiError, as_api_error
from serve.api.idempotency import Begun, in_order
from serve.api.keys import Caller
from serve.api.limits import Limits, Meter
from serve.api.loading import AgentSlot
from serve.api.metrics import Metrics
from serve.api.release import cut
from serve.api.storage import Clash, Exchange, NewTurn, Past, Store, spoken
from serve.api.telemetry import Tracer
from serve.settings import Settings

logger = logging.getLogger(__name__)

CHARACTERS_PER_TOKEN = 8
"""More than any text has on average, so that no history is left out that a model could have read."""


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
    asked: dict[str, Any] | None = None
    """What a Responses object repeats of its request."""
    past: Past | None = None
    """What the turn goes on from, where that is stored."""


class Continued(NamedTuple):
    """What a turn is given of the conversation that it goes on with."""

    messages: list[Message]
    position: int
    """The turn's place in it."""
    since: int
    """The place of the first turn that it is given; its own where it is given none."""


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
    drain: Drain

    async def run(
        self, asks: Sequence[Ask], caller: Caller, keep: Keep, begun: Begun, on_event: Callable[[Event], None]
    ) -> list[Turn]:
        """Run turns side by side and commit them together, all or none; the first failure cancels the others.

        Turns that were made before under their idempotency keys are what they were. Raises ApiError and what
        `Agent.reply` raises; the deadline covers waiting and work.
        """
        missing = [i for i, stored in enumerate(begun.before) if stored is None]
        try:
            made = await self._make([asks[i] for i in missing], caller, on_event)
            kept = await self._commit(made, caller, keep, [begun.keys[i] for i in missing], begun)
        except Exception as error:
            self.metrics.turn_failures.labels(as_api_error(error).code or "error").inc()
            if isinstance(error, EngineUnavailable):
                self.slot.doubt()
            raise
        for turn in kept:
            self.metrics.count_turn(turn)
            self._log(turn, caller)
        new = iter(kept)
        return [next(new) if stored is None else stored.turn for stored in begun.before]

    async def continued(self, conversation: str, owner: str, most: int) -> Continued:
        """What was said in a stored conversation, at most `most` messages, and the next turn's place in it."""
        found = await self.store.exchanges(conversation, owner, limit=max(1, most // 2))
        length = self.slot.agent().decoder.info.context_length * CHARACTERS_PER_TOKEN
        # Turns in the middle may have been deleted, so the place is not their number.
        position = found[0].position + 1 if found else 1
        given = fitting(found[: most // 2], length)
        messages = [message for exchange in reversed(given) for message in spoken(exchange)]
        return Continued(messages, position, given[-1].position if given else position)

    async def _make(
        self, asks: Sequence[Ask], caller: Caller, on_event: Callable[[Event], None]
    ) -> list[Turn]:  # fmt: skip
        meters: list[Meter] = []

        async def make(ask: Ask) -> Turn:
            async with self.admission.slot():
                agent = self.slot.agent()
                if (meter := self.limits.meter(agent.decoder, caller)) is not None:
                    await agent.prepare()  # of the agent itself: what is learned on a copy is lost
                    agent = copy.copy(agent)
                    agent.decoder = meter
                    meters.append(meter)
                return await self._reply(agent, ask, on_event)

        try:
            async with (
                self.drain.bound(),
                asyncio.timeout(self.settings.deadline_seconds),
                asyncio.TaskGroup() as group,
            ):
                tasks = [group.create_task(make(ask)) for ask in asks]
        except BaseException as error:
            await self.limits.settle(caller, sum(meter.sampled for meter in meters))
            if isinstance(error, BaseExceptionGroup):
                first = error.exceptions[0]
                raise first from first.__cause__
            raise
        return [task.result() for task in tasks]

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
        with self.tracer.turn(agent, ask.messages) as span:
            turn = await agent.reply(
                ask.messages, seed=ask.seed, role=role, settings=self._settings_of(agent, ask), on_event=on_event
            )
            turn = cut(turn, ask.stop, ask.max_tokens, agent.decoder.tokenizer)
            turn = turn.model_copy(update={"notes": [*turn.notes, *ask.notes], "id": ask.turn_id or turn.id})
            span.end(turn)
        return turn

    def _settings_of(self, agent: Agent, ask: Ask) -> AgentSettings:
        """The agent's settings with what the request asks for. `max_tokens` is a bound, so a large one is lowered."""
        settings = agent.settings
        update: dict[str, Any] = {}
        if ask.temperature is not None:
            update["temperature"] = ask.temperature
        if ask.top_p is not None:
            update["top_p"] = max(ask.top_p, 1e-6)  # 0 means the most likely token
        if ask.candidates is not None:
            update["n"] = ask.candidates
        if ask.max_tokens is not None:
            most = min(self.settings.max_output_tokens, agent.decoder.info.context_length // 4)
            update["max_tokens"] = min(ask.max_tokens, max(settings.sampling.max_tokens, most))
            research = max(8, min(settings.research_tokens, ask.max_tokens))
            settings = settings.model_copy(update={"research_tokens": research})
        return settings.model_copy(update={"sampling": settings.sampling.model_copy(update=update)})

    async def _commit(
        self, turns: list[Turn], caller: Caller, keep: Keep, keys: Sequence[str | None], begun: Begun
    ) -> list[Turn]:
        tokens = sum(turn.usage.completion_tokens for turn in turns)
        if not turns or not keep.store:
            await self.limits.settle(caller, tokens)
            return turns
        new = [
            NewTurn(turn, keep.conversation, keep.position, key, begun.request_hash, keep.asked, keep.past)
            for turn, key in zip(turns, keys, strict=True)
        ]
        try:
            # What the turns cost is committed with them: counting cannot fail once they are there.
            await self.store.add_turns(
                new, caller.owner, deletions=begun.deletions, charge=self.limits.charge(caller, tokens)
            )
        except (Clash, ApiError) as error:
            await self.limits.settle(caller, tokens)
            clash = ApiError(409, "The turn conflicts with another one. Send it again.", code="conflict")
            refused = clash if isinstance(error, Clash) else error
            if refused.status != 409 or None in keys:
                raise refused from None
            # The same request may have come twice at once, and the other been first.
            _, found = await self.store.begin(caller.owner, [key for key in keys if key is not None])
            before = [stored.turn for stored in in_order(keys, found, begun.request_hash) if stored is not None]
            if len(before) < len(turns):
                raise refused from None
            return before
        return turns


def check_messages(messages: Sequence[Message], most: int) -> None:
    """Raises MessageError where there are too many, or a turn cannot answer them."""
    if len(messages) > most:
        raise MessageError(f"there are {len(messages):,} messages, at most {most:,} are taken. Send the last ones.")
    conversation(messages)


def fitting(exchanges: Sequence[Exchange], most: int) -> list[Exchange]:
    """The first of the exchanges, which are the newest, that have at most `most` characters together."""
    found: list[Exchange] = []
    for exchange in exchanges:
        most -= len(exchange.message) + len(exchange.reply)
        if most < 0:  # a long conversation goes on without its beginning
            break
        found.append(exchange)
    return found

"""POST /v1/turns: a message in, the whole Turn out; GET /v1/turns/{id}: the trace of any stored turn."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from dialog.messages import Message
from dialog.turn import Turn
from serve.api.answering import Turns, answer
from serve.api.errors import ApiError, as_api_error
from serve.api.idempotency import begin
from serve.api.keys import Caller, CallerDep
from serve.api.live import comment, data
from serve.api.release import deltas
from serve.api.runner import Ask, Keep
from serve.api.schemas import Finite, GivenMessage, IdempotencyKey, Reply, Seed, Text
from serve.api.service import Service, ServiceDep
from serve.api.storage import Past, StoredTurn

router = APIRouter(tags=["Native"])


class TurnRequest(BaseModel):
    """A message, alone, after `messages`, or in a stored conversation."""

    model_config = ConfigDict(extra="forbid")

    message: Text = Field(min_length=1)
    messages: list[GivenMessage] = Field(default=[], description="What was said before, where it is not stored here.")
    conversation: Text | None = Field(default=None, description="A stored conversation that this turn continues.")
    role: Text | None = Field(default=None, description="The conversation's or the service's role where left out.")
    seed: Seed | None = None
    candidates: int | None = Field(default=None, ge=1, le=256, description="At most the setting `max_candidates`.")
    temperature: Finite | None = Field(default=None, ge=0, le=2)
    top_p: Finite | None = Field(default=None, ge=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1, description="Longest reply; `max_output_tokens` bounds it.")
    stop: list[Text] = Field(default=[], max_length=4)
    tools: list[Text] | None = Field(default=None, description="Names of the tools that may be used; all without it.")
    stream: bool = False
    store: bool = True


class FeedbackReply(Reply):
    thumb: str
    reason: str | None
    comment: str | None
    better: str | None
    created: float


class TurnReply(Turn):
    """A turn with where it belongs and what was thought of it."""

    conversation: str | None = None
    feedback: FeedbackReply | None = None


def shown(stored: StoredTurn) -> TurnReply:
    given = stored.feedback
    feedback = given and FeedbackReply(**{name: getattr(given, name) for name in FeedbackReply.model_fields})
    return _reply(stored.turn, stored.conversation, feedback)


@router.post("/v1/turns", response_model=TurnReply)
async def create_turn(
    body: TurnRequest,
    request: Request,
    response: Response,
    caller: CallerDep,
    service: ServiceDep,
    idempotency_key: IdempotencyKey = None,
) -> Any:
    """Answer a message.

    With `stream`, server-sent events: `progress` (stage, detail) while the turn runs, `delta` (text) as the
    released reply is replayed, `turn` with the whole turn, or `error`; the last is always `done`.
    """
    key = None if idempotency_key is None else f"turn:{idempotency_key}"
    begun = await begin(request, caller, service.store, [key], kept=body.store)
    [before] = begun.before
    if before is not None:
        ask, keep = Ask(before.turn.messages), Keep(conversation=before.conversation)
    else:
        ask, keep = await _prepare(body, caller, service)
    return await answer(
        request, response, service, caller, [ask], keep, begun,
        whole=lambda turns: Response(
            _reply(turns[0], keep.conversation).model_dump_json(), media_type="application/json"
        ),
        stream=(lambda live: _stream(live, keep)) if body.stream else None,
    )  # fmt: skip


async def _prepare(body: TurnRequest, caller: Caller, service: Service) -> tuple[Ask, Keep]:
    if body.conversation is not None and (body.messages or not body.store):
        raise ApiError(
            400,
            "conversation goes with neither messages nor store=false: it holds what was said before.",
            param="conversation",
            code="invalid_value",
        )
    own = Message(role="user", content=body.message)
    before, position, past, role = list[Message](body.messages), None, None, body.role
    if body.conversation is not None:
        conversation = await service.store.conversation(body.conversation, caller.owner)
        most = service.settings.max_messages - 1
        before, position, since = await service.runner.continued(conversation.id, caller.owner, most)
        past = Past((own,), since=since)
        role = role or conversation.role
    if body.candidates is not None:
        most = max(service.settings.max_candidates, service.slot.agent().settings.sampling.n)
        if body.candidates > most:
            message = f"{body.candidates} candidates are asked for, at most {most} are made. Ask for fewer."
            raise ApiError(400, message, param="candidates", code="invalid_value")
    if body.tools is not None:
        known = service.slot.agent().toolset.names
        for name in body.tools:
            if name not in known:
                raise ApiError(
                    400, f"unknown tool {name[:40]!r}. There are: {', '.join(known) or 'none'}.", param="tools",
                    code="unknown_tool",
                )  # fmt: skip
    ask = Ask(
        messages=[*before, own],
        role=service.role(role),
        seed=body.seed,
        temperature=body.temperature,
        top_p=body.top_p,
        max_tokens=body.max_tokens,
        candidates=body.candidates,
        stop=tuple(sequence for sequence in body.stop if sequence),
        tools=None if body.tools is None else tuple(body.tools),
    )
    return ask, Keep(body.store, body.conversation, position, past=past)


def _reply(turn: Turn, conversation: str | None, feedback: FeedbackReply | None = None) -> TurnReply:
    # The turn is valid already; checking it again on the way out would cost more than the rest of a request.
    fields = {name: getattr(turn, name) for name in Turn.model_fields}
    return TurnReply.model_construct(**fields, conversation=conversation, feedback=feedback)


async def _stream(live: Turns, keep: Keep) -> AsyncIterator[str]:
    try:
        async for event in live.events():
            yield comment(None) if event is None else data({"stage": event.stage, "detail": event.detail}, "progress")
        try:
            [turn] = live.task.result()
        except Exception as error:
            yield data(as_api_error(error).body, "error")
        else:
            for piece in deltas(turn.reply):
                yield data({"text": piece}, "delta")
            yield data(_reply(turn, keep.conversation).model_dump_json(), "turn")
        yield data({}, "done")
    finally:
        await live.cancel()


@router.get("/v1/turns/{turn_id}")
async def read_turn(turn_id: str, caller: CallerDep, service: ServiceDep) -> TurnReply:
    """A stored turn with its whole trace."""
    return shown(await service.store.turn(turn_id, caller.owner))


@router.delete("/v1/turns/{turn_id}", status_code=204)
async def delete_turn(turn_id: str, caller: CallerDep, service: ServiceDep) -> None:
    """Delete a turn and its feedback."""
    await service.store.delete_turn(turn_id, caller.owner)

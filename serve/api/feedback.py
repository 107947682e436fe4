"""Feedback on turns, and its export as finetuning records: the loop from use to tuning."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from dialog.finetune.records import Attribute, Discrimination, Generation, Groundedness, Preference, Shape
from dialog.messages import Message
from serve.api.errors import ApiError
from serve.api.keys import CallerDep
from serve.api.release import without_markers
from serve.api.schemas import Text
from serve.api.service import ServiceDep
from serve.api.storage import Feedback, StoredTurn
from serve.api.storage.records import Reason
from serve.api.turns import FeedbackReply

router = APIRouter(tags=["Native"])

TEACHES: dict[str, Attribute] = {"unsafe": "safe", "nonsense": "sensible", "vague": "specific", "dull": "interesting"}
"""Which attribute a thumb down for this reason rates 0."""


class FeedbackRequest(BaseModel):
    """A thumb, why, and what would have been better."""

    model_config = ConfigDict(extra="forbid")

    thumb: Literal["up", "down"]
    reason: Reason | None = None
    comment: Text | None = Field(default=None, max_length=4_000)
    better: Text | None = Field(default=None, max_length=8_000, description="The reply that should have been given.")


@router.put("/v1/turns/{turn_id}/feedback")
@router.post("/v1/turns/{turn_id}/feedback", include_in_schema=False)
async def give_feedback(
    turn_id: str, body: FeedbackRequest, caller: CallerDep, service: ServiceDep
) -> FeedbackReply:  # fmt: skip
    """Say what you thought of a turn; said again, it replaces what was said."""
    given = {**body.model_dump(), "created": time.time()}
    await service.store.set_feedback(Feedback(turn_id=turn_id, **given), caller.owner)
    return FeedbackReply(**given)


@router.get(
    "/v1/feedback/export",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/jsonl": {}}, "description": "One finetuning record a line."}},
)
async def export_feedback(
    caller: CallerDep,
    service: ServiceDep,
    everybody: Annotated[bool, Query(description="All keys' feedback; needs an admin's key.")] = False,
) -> StreamingResponse:
    """The feedback as records that `groundling finetune` takes."""
    if everybody and not caller.admin:
        raise ApiError(403, "everybody's feedback needs an admin's key.", type="permission_error", code="admin_only")
    await service.store.ping()  # a database that is down is a status, not a broken file

    async def lines() -> AsyncIterator[str]:
        async for stored in service.store.turns_with_feedback(None if everybody else caller.owner):
            for record in records(stored):
                yield record.model_dump_json(exclude_none=True) + "\n"

    headers = {"Content-Disposition": 'attachment; filename="feedback.jsonl"'}
    return StreamingResponse(lines(), media_type="application/jsonl", headers=headers)


def records(stored: StoredTurn) -> Iterator[Shape]:
    """What a person's feedback on a turn teaches. Nothing where the filter's fixed reply is all they saw."""
    feedback, turn = stored.feedback, stored.turn
    if feedback is None:
        return
    source = f"feedback:{turn.id}"
    context = tuple(turn.messages)
    reply = without_markers(turn)
    blocked = turn.finish_reason == "content_filter"
    if feedback.better:
        yield Generation(context=context, response=feedback.better, source=source)
    if blocked or not reply:
        return
    knowledge = "\n".join(citation.text for citation in turn.citations)
    if feedback.thumb == "up":
        yield Generation(context=context, response=reply, source=source)
        for attribute in ("sensible", "specific", "safe"):
            yield _rated(context, reply, attribute, 1.0, source)
        if knowledge:
            yield Groundedness(knowledge=knowledge, context=context, response=reply, grounded=1.0, source=source)
        return
    attribute = TEACHES.get(feedback.reason or "")
    if attribute is not None:
        yield _rated(context, reply, attribute, 0.0, source)
    if feedback.reason == "wrong" and knowledge:
        yield Groundedness(knowledge=knowledge, context=context, response=reply, grounded=0.0, source=source)
    if feedback.better and feedback.better != reply:
        yield Preference(
            context=context, chosen=feedback.better, rejected=reply, attribute=attribute or "sensible", source=source
        )


def _rated(
    context: tuple[Message, ...], reply: str, attribute: Attribute, rating: float, source: str
) -> Discrimination:  # fmt: skip
    return Discrimination(context=context, response=reply, attribute=attribute, rating=rating, source=source)

"""Conversations that are stored here: create, list, read, change, delete, export; OpenAI's clients can, too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal
from uuid import uuid4

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from serve.api.errors import not_found
from serve.api.keys import CallerDep
from serve.api.schemas import Finite, Metadata, Reply, Text
from serve.api.service import ServiceDep
from serve.api.storage import Conversation, Store, StoredTurn
from serve.api.turns import TurnReply, shown

router = APIRouter(tags=["Native"])

EXPORT_PAGE = 50
"""Turns that an export reads at a time."""

Title = Annotated[Text, Field(max_length=200)]


class NewConversation(BaseModel):
    """OpenAI's `items` are refused, since a conversation here is made of turns."""

    model_config = ConfigDict(extra="forbid")

    title: Title = Field(default="", description="Taken from the first message where it is empty.")
    role: Text | None = None
    metadata: Metadata | None = None


class Rename(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: Title


class Attach(BaseModel):
    """OpenAI's update."""

    model_config = ConfigDict(extra="ignore")

    metadata: Metadata | None = Field(description="In place of what was attached; null takes it off.")


class ConversationReply(Reply):
    id: str
    object: Literal["conversation"] = "conversation"
    title: str
    role: str
    created_at: float
    updated_at: float
    metadata: dict[str, str] = Field(description="What the caller attached to it.")


class ConversationList(Reply):
    object: Literal["list"] = "list"
    data: list[ConversationReply]
    has_more: bool


class WholeConversation(ConversationReply):
    has_more: bool = Field(default=False, description="There are turns after these.")
    turns: list[TurnReply]


class DeletedConversation(Reply):
    """OpenAI's answer."""

    id: str
    object: Literal["conversation.deleted"] = "conversation.deleted"
    deleted: Literal[True] = True


class Deleted(Reply):
    deleted_turns: int


def _heading(conversation: Conversation) -> dict[str, Any]:
    return {
        "id": conversation.id,
        "title": conversation.title,
        "role": conversation.role,
        "created_at": conversation.created,
        "updated_at": conversation.updated,
        "metadata": conversation.metadata,
    }


@router.post("/v1/conversations", status_code=201)
async def create_conversation(
    caller: CallerDep, service: ServiceDep, body: NewConversation | None = None
) -> ConversationReply:
    """Begin a conversation; POST /v1/turns with its id goes on in it."""
    body = body or NewConversation()
    role = service.role(body.role).name
    made = await service.store.add_conversation(
        f"conv_{uuid4().hex}", caller.owner, title=body.title, role=role, metadata=body.metadata
    )
    return ConversationReply(**_heading(made))


@router.get("/v1/conversations")
async def list_conversations(
    caller: CallerDep,
    service: ServiceDep,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[Finite | None, Query(description="`updated_at` of the last one of the page before.")] = None,
) -> ConversationList:
    """The caller's conversations, the newest first."""
    found = await service.store.conversations(caller.owner, limit=limit + 1, before=before)
    data = [ConversationReply(**_heading(conversation)) for conversation in found[:limit]]
    return ConversationList(data=data, has_more=len(found) > limit)


@router.get("/v1/conversations/{conversation_id}", response_model=WholeConversation)
async def read_conversation(
    conversation_id: str,
    caller: CallerDep,
    service: ServiceDep,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[str | None, Query(description="`id` of the last turn of the page before.")] = None,
) -> Response:
    """A conversation with its turns, oldest first, a page of them at a time."""
    conversation = await service.store.conversation(conversation_id, caller.owner)
    position = 0
    if after is not None:
        last = await service.store.turn(after, caller.owner)
        if last.conversation != conversation_id or last.position is None:
            raise not_found("turn", after)
        position = last.position
    found = await service.store.turns_of(conversation_id, caller.owner, limit=limit + 1, after=position)
    head, tail = _frame(conversation, len(found) > limit)
    return Response(head + await _written(found[:limit]) + tail, media_type="application/json")


@router.get("/v1/conversations/{conversation_id}/export", response_model=WholeConversation)
async def export_conversation(conversation_id: str, caller: CallerDep, service: ServiceDep) -> Response:
    """As reading it, with all turns, as a file."""
    conversation = await service.store.conversation(conversation_id, caller.owner)
    name = f'attachment; filename="{conversation.id}.json"'
    pieces = _pieces(conversation, service.store)
    return StreamingResponse(pieces, media_type="application/json", headers={"Content-Disposition": name})


async def _pieces(conversation: Conversation, store: Store) -> AsyncIterator[bytes]:
    """A whole conversation as JSON, of which a part at a time is in memory."""
    head, tail = _frame(conversation, False)
    yield head
    position, comma = 0, b""
    while found := await store.turns_of(conversation.id, conversation.owner, limit=EXPORT_PAGE, after=position):
        yield comma + await _written(found)
        position, comma = found[-1].position or position, b","
    yield tail


def _frame(conversation: Conversation, more: bool) -> tuple[bytes, bytes]:
    """A conversation's JSON before and after its turns."""
    empty = WholeConversation(**_heading(conversation), has_more=more, turns=[]).model_dump_json().encode()
    return empty[:-2], empty[-2:]


async def _written(turns: list[StoredTurn]) -> bytes:
    """The turns as JSON. Traces are long, so the event loop does not write them; one by one, so that it goes on."""
    return await asyncio.to_thread(lambda: b",".join(shown(turn).model_dump_json().encode() for turn in turns))


@router.patch("/v1/conversations/{conversation_id}")
async def rename_conversation(
    conversation_id: str, body: Rename, caller: CallerDep, service: ServiceDep
) -> ConversationReply:
    """Give a conversation another title."""
    changed = await service.store.change_conversation(conversation_id, caller.owner, title=body.title)
    return ConversationReply(**_heading(changed))


@router.post("/v1/conversations/{conversation_id}")
async def update_conversation(
    conversation_id: str, body: Attach, caller: CallerDep, service: ServiceDep
) -> ConversationReply:
    """Attach metadata to a conversation, as OpenAI's clients do."""
    changed = await service.store.change_conversation(conversation_id, caller.owner, metadata=body.metadata or {})
    return ConversationReply(**_heading(changed))


@router.delete(
    "/v1/conversations/{conversation_id}", status_code=204, response_model=None,
    responses={200: {"model": DeletedConversation}},
)  # fmt: skip
async def delete_conversation(
    conversation_id: str,
    caller: CallerDep,
    service: ServiceDep,
    accept: Annotated[str, Header(description="`application/json`, as of OpenAI's clients, asks for a body.")] = "",
) -> Response:
    """Delete a conversation with its turns and their feedback."""
    await service.store.delete_conversation(conversation_id, caller.owner)
    if "application/json" not in accept:
        return Response(status_code=204)
    return Response(DeletedConversation(id=conversation_id).model_dump_json(), media_type="application/json")


@router.delete("/v1/data")
async def delete_all_data(caller: CallerDep, service: ServiceDep) -> Deleted:
    """Delete everything that is stored of the caller: turns, conversations, feedback."""
    deleted = await service.store.delete_everything_of(caller.owner)
    return Deleted(deleted_turns=deleted)

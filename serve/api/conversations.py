"""Conversations that are stored here: create, list, read, rename, delete, export."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import uuid4

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from serve.api.errors import ERRORS
from serve.api.keys import CallerDep
from serve.api.schemas import Finite, Reply, Text
from serve.api.service import ServiceDep
from serve.api.storage import Conversation
from serve.api.turns import TurnReply, shown

router = APIRouter(tags=["Native"], responses=ERRORS)

Title = Annotated[Text, Field(max_length=200)]


class NewConversation(BaseModel):
    """OpenAI's `metadata` is not kept; `items` are refused, since a conversation here is made of turns."""

    model_config = ConfigDict(extra="forbid")

    title: Title = Field(default="", description="Taken from the first message where it is empty.")
    role: Text | None = None
    metadata: dict[str, Any] | None = None


class Rename(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: Title


class ConversationReply(Reply):
    id: str
    object: Literal["conversation"] = "conversation"
    title: str
    role: str
    created_at: float
    updated_at: float


class ConversationList(Reply):
    object: Literal["list"] = "list"
    data: list[ConversationReply]
    has_more: bool


class WholeConversation(ConversationReply):
    turns: list[TurnReply]


class Deleted(Reply):
    deleted_turns: int


def _heading(conversation: Conversation) -> dict[str, Any]:
    return {
        "id": conversation.id,
        "title": conversation.title,
        "role": conversation.role,
        "created_at": conversation.created,
        "updated_at": conversation.updated,
    }


@router.post("/v1/conversations", status_code=201)
async def create_conversation(
    caller: CallerDep, service: ServiceDep, body: NewConversation | None = None
) -> ConversationReply:
    """Begin a conversation; POST /v1/turns with its id goes on in it."""
    body = body or NewConversation()
    role = service.role(body.role).name
    made = await service.store.add_conversation(f"conv_{uuid4().hex}", caller.owner, title=body.title, role=role)
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


@router.get("/v1/conversations/{conversation_id}")
async def read_conversation(conversation_id: str, caller: CallerDep, service: ServiceDep) -> WholeConversation:
    """A conversation with all its turns, oldest first."""
    conversation = await service.store.conversation(conversation_id, caller.owner)
    turns = await service.store.turns_of(conversation_id, caller.owner)
    return WholeConversation(**_heading(conversation), turns=[shown(turn) for turn in turns])


@router.get("/v1/conversations/{conversation_id}/export")
async def export_conversation(
    conversation_id: str, caller: CallerDep, service: ServiceDep, response: Response
) -> WholeConversation:
    """As reading it, as a file."""
    whole = await read_conversation(conversation_id, caller, service)
    response.headers["Content-Disposition"] = f'attachment; filename="{whole.id}.json"'
    return whole


@router.patch("/v1/conversations/{conversation_id}")
async def rename_conversation(
    conversation_id: str, body: Rename, caller: CallerDep, service: ServiceDep
) -> ConversationReply:
    """Give a conversation another title."""
    return ConversationReply(
        **_heading(await service.store.rename_conversation(conversation_id, caller.owner, body.title))
    )


@router.delete("/v1/conversations/{conversation_id}", status_code=204)
async def delete_conversation(conversation_id: str, caller: CallerDep, service: ServiceDep) -> None:
    """Delete a conversation with its turns and their feedback."""
    await service.store.delete_conversation(conversation_id, caller.owner)


@router.delete("/v1/data")
async def delete_all_data(caller: CallerDep, service: ServiceDep) -> Deleted:
    """Delete everything that is stored of the caller: turns, conversations, feedback."""
    deleted = await service.store.delete_everything_of(caller.owner)
    return Deleted(deleted_turns=deleted)

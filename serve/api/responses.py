"""POST /v1/responses: OpenAI's Responses, as typed events or whole; and reading and deleting them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from dialog.messages import Message
from dialog.turn import Turn
from serve.api.answering import Turns, answer
from serve.api.errors import ApiError, as_api_error
from serve.api.idempotency import begin
from serve.api.keys import Caller, CallerDep
from serve.api.live import comment, data
from serve.api.release import citation_ranges, deltas
from serve.api.response_object import DeletedResponse, ResponseObject
from serve.api.runner import Ask, Keep
from serve.api.schemas import (
    CallerTool,
    Finite,
    IdempotencyKey,
    InMessage,
    Metadata,
    ResponseFormat,
    Text,
    as_message,
    unsupported,
)
from serve.api.service import MODEL, Service, ServiceDep
from serve.api.storage import Past, StoredTurn, led

router = APIRouter(tags=["OpenAI"])


class Item(InMessage):
    """An item of the input; only messages are taken."""

    type: Text = "message"
    role: Any = None


class TextOptions(BaseModel):
    model_config = ConfigDict(extra="ignore")
    format: ResponseFormat | None = None


class ConversationRef(BaseModel):
    model_config = ConfigDict(extra="ignore")
    id: Text


def _not_in_background(value: bool | None) -> bool | None:
    if value:
        raise ValueError("background responses are not made; leave it out")
    return value


class ResponseRequest(BaseModel):
    """OpenAI's parameters as far as they have a meaning here; unknown ones are ignored."""

    model_config = ConfigDict(extra="ignore")

    model: Text = MODEL
    input: Text | list[Item]
    instructions: Text | None = None
    stream: bool | None = None
    temperature: Finite | None = Field(default=None, ge=0, le=2)
    top_p: Finite | None = Field(default=None, ge=0, le=1)
    max_output_tokens: int | None = Field(default=None, ge=1)
    previous_response_id: Text | None = None
    conversation: Text | ConversationRef | None = None
    store: bool | None = None
    metadata: Metadata | None = None
    tools: list[CallerTool] | None = None
    tool_choice: Any = None
    text: TextOptions | None = None
    background: Annotated[bool | None, AfterValidator(_not_in_background)] = None
    user: Text | None = Field(default=None, max_length=512)


@router.post("/v1/responses", response_model=None, responses={200: {"model": ResponseObject}})
async def create_response(
    body: ResponseRequest,
    request: Request,
    response: Response,
    caller: CallerDep,
    service: ServiceDep,
    idempotency_key: IdempotencyKey = None,
) -> dict[str, Any] | Response:
    """Answer the input. With `stream`, typed events with a `sequence_number`."""
    key = None if idempotency_key is None else f"response:{idempotency_key}"
    begun = await begin(request, caller, service.store, [key], kept=body.store is not False)
    [before] = begun.before
    if before is not None:
        ask, keep, turn_id = Ask(before.turn.messages), Keep(), before.turn.id
    else:
        turn_id = f"turn_{begun.name(caller) or uuid4().hex}"
        ask, keep = await _prepare(body, caller, service, turn_id)
    writer = Writer(asked_of(body), turn_id)
    return await answer(
        request, response, service, caller, [ask], keep, begun,
        whole=lambda turns: writer.whole(turns[0]),
        stream=writer.stream if body.stream else None,
    )  # fmt: skip


@router.get("/v1/responses/{response_id}", response_model=None, responses={200: {"model": ResponseObject}})
async def read_response(response_id: str, caller: CallerDep, service: ServiceDep) -> dict[str, Any]:
    """A stored response. Of a turn that came through another endpoint, what it did not ask for is as left out."""
    stored = await _stored(service, response_id, caller)
    asked = stored.asked or asked_of(ResponseRequest(input="", conversation=stored.conversation))
    return Writer(asked, stored.turn.id).whole(stored.turn)


@router.delete("/v1/responses/{response_id}", response_model=None, responses={200: {"model": DeletedResponse}})
async def delete_response(response_id: str, caller: CallerDep, service: ServiceDep) -> dict[str, Any]:
    """Delete a response and its feedback."""
    stored = await _stored(service, response_id, caller)
    await service.store.delete_turn(stored.turn.id, caller.owner)
    return {"id": response_id, "object": "response", "deleted": True}


async def _stored(service: Service, response_id: str, caller: Caller) -> StoredTurn:
    try:
        return await service.store.turn(response_id.replace("resp_", "turn_", 1), caller.owner)
    except ApiError as error:
        if error.status == 404:
            raise ApiError(
                404, f"there is no response {response_id[:80]!r}.", param="response_id", code="response_not_found"
            ) from None
        raise


async def _prepare(body: ResponseRequest, caller: Caller, service: Service, turn_id: str) -> tuple[Ask, Keep]:
    if body.text is not None and body.text.format is not None and body.text.format.type != "text":
        raise unsupported("text.format", body.text.format.type, "This agent writes text.")
    tools, notes = service.choose_tools(body.tools, body.tool_choice)
    given = _input(body.input)
    own = [*([Message(role="system", content=body.instructions)] if body.instructions else []), *given]
    before: list[Message] = []
    role = service.model_role(body.model)
    conversation, position, parent, past = _conversation(body), None, None, None
    if conversation is not None:
        if body.previous_response_id is not None or body.store is False or len(given) != 1:
            raise ApiError(
                400,
                "conversation takes one message, and neither previous_response_id nor store=false.",
                param="conversation",
                code="invalid_value",
            )
        found = await service.store.conversation(conversation, caller.owner)
        role = service.model_role(body.model, default=found.role)
        most = service.settings.max_messages - 2
        before, position, since = await service.runner.continued(conversation, caller.owner, most)
        past = Past(tuple(own), since=since)
    elif body.previous_response_id is not None:
        stored = await _stored(service, body.previous_response_id, caller)
        previous, parent = stored.turn, stored.turn.id
        instructed = bool((stored.asked or {}).get("instructions"))  # they hold for one response only
        before = [*previous.messages[instructed:], Message(role="assistant", content=previous.reply)]
    lead, before, given = led(body.instructions, before, given)
    if parent is not None:
        most = max(0, service.settings.max_messages - len(lead) - len(given)) // 2 * 2
        before = before[len(before) - min(most, len(before)) :]
        past = Past(tuple(own), parent=parent, kept=len(before))
    ask = Ask(
        messages=[*lead, *before, *given],
        role=role,
        temperature=body.temperature,
        top_p=body.top_p,
        max_tokens=body.max_output_tokens,
        tools=tools,
        notes=notes,
        turn_id=turn_id,
    )
    return ask, Keep(body.store is not False, conversation, position, asked_of(body), past)


def _conversation(body: ResponseRequest) -> str | None:
    return body.conversation.id if isinstance(body.conversation, ConversationRef) else body.conversation


def asked_of(body: ResponseRequest) -> dict[str, Any]:
    """What a Response repeats of its request; it is stored with the turn."""
    conversation = _conversation(body)
    return {
        "instructions": body.instructions,
        "max_output_tokens": body.max_output_tokens,
        "metadata": body.metadata or {},
        "model": body.model,
        "previous_response_id": body.previous_response_id,
        "conversation": None if conversation is None else {"id": conversation},
        "store": body.store is not False,
        "temperature": body.temperature,
        "tool_choice": body.tool_choice or "auto",
        "top_p": body.top_p,
        "user": body.user,
    }


def _input(given: str | list[Item]) -> list[Message]:
    if isinstance(given, str):
        return [Message(role="user", content=given)]
    messages = []
    for i, item in enumerate(given):
        if item.type != "message":
            raise ApiError(
                400, f"input[{i}] is {item.type[:40]!r}. Only messages are taken.", param=f"input[{i}]",
                code="unsupported_content",
            )  # fmt: skip
        if item.role not in ("user", "assistant", "system", "developer"):
            raise ApiError(
                400, f"input[{i}].role is {item.role!r:.60}. Use user, assistant, system or developer.",
                param=f"input[{i}].role", code="invalid_value",
            )  # fmt: skip
        messages.append(as_message(item, f"input[{i}]"))
    if not messages:
        raise ApiError(400, "input is empty. Send a text or a list of messages.", param="input", code="invalid_value")
    return messages


class Writer:
    """Writes one response, whole or as events; `asked` is from `asked_of`."""

    def __init__(self, asked: dict[str, Any], turn_id: str) -> None:
        self.asked = asked
        self.id = turn_id.replace("turn_", "resp_", 1)
        self.item_id = self.id.replace("resp_", "msg_", 1)
        self.created = time.time()
        self._number = -1

    def response(self, status: str, **more: Any) -> dict[str, Any]:
        """OpenAI's Response object."""
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "completed_at": None,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": None,
            "output": [],
            "parallel_tool_calls": False,
            "reasoning": None,
            "text": {"format": {"type": "text"}},
            "tools": [],
            "truncation": "auto",
            "usage": None,
            **self.asked,
            **more,
        }

    def whole(self, turn: Turn) -> dict[str, Any]:
        """The response of a turn. What the filter blocked is incomplete, with the fixed reply as a refusal."""
        self.id = turn.id.replace("turn_", "resp_", 1)
        self.item_id = self.id.replace("resp_", "msg_", 1)
        self.created = turn.created.timestamp() - turn.timings.total
        reason = {"content_filter": "content_filter", "length": "max_output_tokens"}.get(turn.finish_reason)
        status = "incomplete" if reason else "completed"
        usage = turn.usage
        return self.response(
            status,
            completed_at=None if reason else turn.created.timestamp(),
            incomplete_details={"reason": reason} if reason else None,
            output=[self.message(turn, status)],
            usage={
                "input_tokens": usage.prompt_tokens,
                "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
                "output_tokens": usage.completion_tokens,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": usage.prompt_tokens + usage.completion_tokens,
            },
            groundling={"turn_id": turn.id, "grounded": turn.grounded, "seed": turn.seed, "notes": turn.notes},
        )

    def message(self, turn: Turn, status: str) -> dict[str, Any]:
        return {
            "id": self.item_id,
            "type": "message",
            "role": "assistant",
            "status": status,
            "content": [part_of(turn)],
        }

    def event(self, kind: str, **more: Any) -> str:
        self._number += 1
        return data({"type": kind, "sequence_number": self._number, **more}, kind)

    async def stream(self, live: Turns) -> AsyncIterator[str]:
        """Progress as comments between `response.in_progress` and the released reply."""
        try:
            yield self.event("response.created", response=self.response("in_progress"))
            yield self.event("response.in_progress", response=self.response("in_progress"))
            async for event in live.events():
                yield comment(event)
            try:
                [turn] = live.task.result()
            except Exception as error:
                body = as_api_error(error).body["error"]
                yield self.event("error", code=body["code"], message=body["message"], param=body["param"])
                failed = {"code": "server_error", "message": body["message"]}
                yield self.event("response.failed", response=self.response("failed", error=failed))
                return
            whole = self.whole(turn)
            for text in self._output(turn, whole["output"][0]):
                yield text
            yield self.event(f"response.{whole['status']}", response=whole)
        finally:
            await live.cancel()

    def _output(self, turn: Turn, message: dict[str, Any]) -> list[str]:
        [part] = message["content"]
        item = {"item_id": self.item_id, "output_index": 0, "content_index": 0}
        refusal = part["type"] == "refusal"
        empty = {**part, **({"refusal": ""} if refusal else {"text": "", "annotations": []})}
        opened = {**message, "status": "in_progress", "content": []}
        name = "response.refusal" if refusal else "response.output_text"
        more = {} if refusal else {"logprobs": []}
        events = [
            self.event("response.output_item.added", output_index=0, item=opened),
            self.event("response.content_part.added", **item, part=empty),
            *(self.event(f"{name}.delta", **item, delta=piece, **more) for piece in deltas(turn.reply)),
        ]
        for i, annotation in enumerate(part.get("annotations", [])):
            added = {**item, "annotation_index": i, "annotation": annotation}
            events.append(self.event("response.output_text.annotation.added", **added))
        said = {"refusal": turn.reply} if refusal else {"text": turn.reply, **more}
        events.append(self.event(f"{name}.done", **item, **said))
        events.append(self.event("response.content_part.done", **item, part=part))
        events.append(self.event("response.output_item.done", output_index=0, item=message))
        return events


def part_of(turn: Turn) -> dict[str, Any]:
    """The content of a turn's message: text with flat annotations, or a refusal."""
    if turn.finish_reason == "content_filter":
        return {"type": "refusal", "refusal": turn.reply}
    found = [
        {
            "type": "url_citation",
            "start_index": at.start,
            "end_index": at.end,
            "title": at.citation.title,
            "url": at.citation.url,
        }
        for at in citation_ranges(turn)
        if at.citation.url is not None
    ]
    return {"type": "output_text", "text": turn.reply, "annotations": found, "logprobs": []}

"""POST /v1/chat/completions, as OpenAI's clients expect it.

What is streamed is the released reply, replayed; until then progress comes as comments that clients skip.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from dialog.turn import Turn
from serve.api.answering import Turns, answer
from serve.api.errors import as_api_error
from serve.api.idempotency import begin
from serve.api.keys import CallerDep
from serve.api.live import comment, data
from serve.api.release import citation_ranges, deltas
from serve.api.runner import Ask, Keep
from serve.api.schemas import (
    CallerTool,
    ChatUsage,
    Finite,
    IdempotencyKey,
    InMessage,
    Reply,
    ResponseFormat,
    Seed,
    Text,
    as_message,
    unsupported,
    usage_of,
)
from serve.api.service import Service, ServiceDep

router = APIRouter(tags=["OpenAI"])


class StreamOptions(BaseModel):
    model_config = ConfigDict(extra="ignore")
    include_usage: bool = False


class ChatRequest(BaseModel):
    """OpenAI's parameters as far as they have a meaning here; unknown ones are ignored."""

    model_config = ConfigDict(extra="ignore")

    model: Text
    messages: list[InMessage] = Field(min_length=1)
    n: int | None = Field(default=None, ge=1, le=16, description="Choices; each is a whole turn.")
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Finite | None = Field(default=None, ge=0, le=2)
    top_p: Finite | None = Field(default=None, ge=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1, description="Longest reply, in tokens.")
    max_completion_tokens: int | None = Field(default=None, ge=1)
    seed: Seed | None = None
    stop: Text | list[Text] | None = Field(default=None, description="Up to 4 sequences; the reply ends before them.")
    user: Text | None = Field(default=None, max_length=512)
    store: bool | None = Field(default=None, description="False keeps the turn out of the database.")
    tools: list[CallerTool] | None = None
    tool_choice: Any = None
    response_format: ResponseFormat | None = None
    logprobs: bool | None = None
    frequency_penalty: Finite | None = Field(default=None, ge=-2, le=2)
    presence_penalty: Finite | None = Field(default=None, ge=-2, le=2)
    logit_bias: dict[Text, Finite] | None = None
    modalities: list[Text] | None = None


class UrlCitation(Reply):
    """`content[start_index:end_index]` is the marker `[n]`, in characters."""

    start_index: int
    end_index: int
    title: str
    url: str


class Annotation(Reply):
    type: Literal["url_citation"] = "url_citation"
    url_citation: UrlCitation


class ReplyMessage(Reply):
    role: Literal["assistant"] = "assistant"
    content: str
    refusal: str | None = None
    annotations: list[Annotation]


class About(Reply):
    """An extension: what else is known of a choice. GET /v1/turns/{turn_id} has the whole trace."""

    turn_id: str
    grounded: bool
    seed: int
    citations: list[dict[str, Any]]
    notes: list[str]


class Choice(Reply):
    index: int
    message: ReplyMessage
    logprobs: None = None
    finish_reason: Literal["stop", "length", "content_filter"]
    groundling: About


class ChatCompletion(Reply):
    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    system_fingerprint: str
    choices: list[Choice]
    usage: ChatUsage


@router.post("/v1/chat/completions", response_model=ChatCompletion)
async def chat_completions(
    body: ChatRequest,
    request: Request,
    response: Response,
    caller: CallerDep,
    service: ServiceDep,
    idempotency_key: IdempotencyKey = None,
) -> Any:
    """Answer a conversation. With `stream`, server-sent events that end with `data: [DONE]`."""
    asks = _asks(body, service)
    keep = Keep(store=body.store is not False)
    keys = [None if idempotency_key is None else f"chat:{i}:{idempotency_key}" for i in range(len(asks))]
    begun = await begin(request, caller, service.store, keys, kept=keep.store)
    fingerprint = service.fingerprint()
    usage = body.stream_options is not None and body.stream_options.include_usage
    return await answer(
        request, response, service, caller, asks, keep, begun,
        whole=lambda turns: completion(turns, body.model, fingerprint),
        stream=(lambda live: stream(live, body.model, fingerprint, usage)) if body.stream else None,
    )  # fmt: skip


def _asks(body: ChatRequest, service: Service) -> list[Ask]:
    """One ask a choice. Raises ApiError for parameters whose meaning cannot be kept."""
    role = service.model_role(body.model)
    n = body.n or 1
    if n > service.settings.max_choices:
        raise unsupported("n", n, f"At most {service.settings.max_choices} choices are made.")
    if body.logprobs:
        raise unsupported("logprobs", True, "Leave it out; GET /v1/turns/{id} has each candidate's log-probability.")
    if body.response_format is not None and body.response_format.type != "text":
        raise unsupported("response_format", body.response_format.type, "This agent writes text.")
    for name in ("frequency_penalty", "presence_penalty", "logit_bias"):
        if getattr(body, name):
            raise unsupported(name, getattr(body, name), "Leave it out.")
    if body.modalities is not None and body.modalities != ["text"]:
        raise unsupported("modalities", body.modalities, "This agent writes text.")
    stop = [body.stop] if isinstance(body.stop, str) else body.stop or []
    if len(stop) > 4 or any(not sequence for sequence in stop):
        raise unsupported("stop", stop, "Give 1 to 4 sequences that are not empty.")
    tools, notes = service.choose_tools(body.tools, body.tool_choice)
    messages = [as_message(message, f"messages[{i}]") for i, message in enumerate(body.messages)]
    return [
        Ask(
            messages=messages,
            role=role,
            seed=None if body.seed is None else (body.seed + 7919 * i) % 2**63,
            temperature=body.temperature,
            top_p=body.top_p,
            max_tokens=body.max_completion_tokens or body.max_tokens,
            stop=tuple(stop),
            tools=tools,
            notes=notes,
        )
        for i in range(n)
    ]


def url_citations(turn: Turn) -> list[Annotation]:
    """The citations that have an address."""
    return [
        Annotation(
            url_citation=UrlCitation(
                start_index=found.start, end_index=found.end, title=found.citation.title, url=found.citation.url
            )
        )
        for found in citation_ranges(turn)
        if found.citation.url is not None
    ]


def about(turn: Turn) -> About:
    return About(
        turn_id=turn.id,
        grounded=turn.grounded,
        seed=turn.seed,
        citations=[citation.model_dump(mode="json") for citation in turn.citations],
        notes=turn.notes,
    )


def completion_id(turns: list[Turn]) -> str:
    return turns[0].id.replace("turn_", "chatcmpl-")


def completion(turns: list[Turn], model: str, fingerprint: str) -> ChatCompletion:
    """The turns as one completion with a choice each."""
    choices = [
        Choice(
            index=i,
            message=ReplyMessage(content=turn.reply, annotations=url_citations(turn)),
            finish_reason=turn.finish_reason,
            groundling=about(turn),
        )
        for i, turn in enumerate(turns)
    ]
    return ChatCompletion(
        id=completion_id(turns),
        created=int(turns[0].created.timestamp()),
        model=model,
        system_fingerprint=fingerprint,
        choices=choices,
        usage=usage_of(turns),
    )


async def stream(live: Turns, model: str, fingerprint: str, with_usage: bool) -> AsyncIterator[str]:
    """Progress as comments, then each choice's reply as chunks. A failure is an error event, without [DONE]."""
    try:
        async for event in live.events():
            yield comment(event)
        try:
            turns = live.task.result()
        except Exception as error:
            yield data(as_api_error(error).body)
            return
        head = {
            "id": completion_id(turns),
            "object": "chat.completion.chunk",
            "created": int(turns[0].created.timestamp()),
            "model": model,
            "system_fingerprint": fingerprint,
        }

        def chunk(index: int, delta: dict[str, Any], finish: str | None = None, **more: Any) -> str:
            choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish, **more}
            return data({**head, "choices": [choice], **({"usage": None} if with_usage else {})})

        for i, turn in enumerate(turns):
            yield chunk(i, {"role": "assistant", "content": "", "refusal": None})
            for piece in deltas(turn.reply):
                yield chunk(i, {"content": piece})
            last = {"annotations": [a.model_dump() for a in url_citations(turn)]} if turn.citations else {}
            yield chunk(i, last, turn.finish_reason, groundling=about(turn).model_dump())
        if with_usage:
            yield data({**head, "choices": [], "usage": usage_of(turns).model_dump()})
        yield data("[DONE]")
    finally:
        await live.cancel()

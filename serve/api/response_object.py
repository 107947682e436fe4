"""OpenAI's Response object as `serve.api.responses` writes it, for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from serve.api.schemas import Reply


class UrlCitationPart(Reply):
    """`text[start_index:end_index]` is the marker `[n]`, in characters."""

    type: Literal["url_citation"]
    start_index: int
    end_index: int
    title: str
    url: str


class OutputText(Reply):
    """What was answered."""

    type: Literal["output_text"]
    text: str
    annotations: list[UrlCitationPart]
    logprobs: list[Any]


class OutputRefusal(Reply):
    """The operator's fixed reply, where the filter blocked all that was written."""

    type: Literal["refusal"]
    refusal: str


class OutputMessage(Reply):
    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    status: Literal["in_progress", "completed", "incomplete"]
    content: list[OutputText | OutputRefusal]


class InputTokens(Reply):
    cached_tokens: int
    cache_write_tokens: int


class OutputTokens(Reply):
    reasoning_tokens: int


class ResponseUsage(Reply):
    input_tokens: int
    input_tokens_details: InputTokens
    output_tokens: int
    output_tokens_details: OutputTokens
    total_tokens: int


class ResponseError(Reply):
    code: str
    message: str


class Incomplete(Reply):
    reason: Literal["content_filter", "max_output_tokens"]


class ConversationId(Reply):
    id: str


class AboutResponse(Reply):
    """GET /v1/turns/{turn_id} has the whole trace."""

    turn_id: str
    grounded: bool
    seed: int
    notes: list[str]


class ResponseObject(Reply):
    """A response. Fields that have no meaning here are there because clients expect them."""

    id: str
    object: Literal["response"]
    created_at: float
    completed_at: float | None
    status: Literal["in_progress", "completed", "incomplete", "failed"]
    background: Literal[False]
    error: ResponseError | None
    incomplete_details: Incomplete | None
    instructions: str | None
    max_output_tokens: int | None
    metadata: dict[str, str]
    model: str
    output: list[OutputMessage]
    parallel_tool_calls: Literal[False]
    previous_response_id: str | None
    conversation: ConversationId | None
    reasoning: None
    store: bool
    temperature: float | None
    text: dict[str, Any]
    tool_choice: str
    tools: list[Any]
    top_p: float | None
    truncation: Literal["auto"]
    usage: ResponseUsage | None
    user: str | None
    groundling: AboutResponse | None = Field(default=None, description="An extension: what else is known of it.")


class DeletedResponse(Reply):
    id: str
    object: Literal["response"]
    deleted: Literal[True]

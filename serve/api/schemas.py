"""Types that several endpoints share: text as it may be sent, message content, tools, and OpenAI's usage."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Header
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from dialog.messages import Message
from dialog.turn import Turn
from serve.api.errors import ApiError


def _storable(text: Any) -> Any:
    """Text that every database can hold and UTF-8 can say. JSON's `\\ud83d`, half an emoji, is neither."""
    if not isinstance(text, str):
        return text
    if "\0" in text:
        raise ValueError("NUL characters are not taken")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"character {error.start} is half of a surrogate pair, an emoji cut in two; send whole characters"
        ) from None
    return text


Text = Annotated[str, BeforeValidator(_storable)]
"""Any text that comes in. It is looked at before lengths are, whose own message would not say what to do."""
Finite = Annotated[float, Field(allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Metadata = Annotated[
    dict[Annotated[Text, Field(max_length=64)], Annotated[Text, Field(max_length=512)]], Field(max_length=16)
]
"""What a caller attaches to an object, as OpenAI bounds it."""
IdempotencyKey = Annotated[
    str | None, Header(pattern=r"^[\x21-\x7e]{1,200}$", description="Sent again, it gives the turn of the first time.")
]


class Reply(BaseModel):
    """Base of what is sent: fields that are unset stay out only where an endpoint says so."""

    model_config = ConfigDict(extra="forbid")


class Part(BaseModel):
    """A part of a message's content; only text is taken, and a refusal as what it says."""

    model_config = ConfigDict(extra="allow")

    type: Text
    text: Text | None = None
    refusal: Text | None = None

    @property
    def said(self) -> str:
        return (self.refusal if self.type == "refusal" else self.text) or ""


class GivenMessage(Message):
    """A message as the native endpoints take it."""

    content: Text


class InMessage(BaseModel):
    """A message as OpenAI's clients send it."""

    model_config = ConfigDict(extra="ignore")

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Text | list[Part] | None = None
    refusal: Text | None = None
    tool_calls: list[Any] | None = None


TEXT_PARTS = ("text", "input_text", "output_text", "refusal")


def as_message(message: InMessage, where: str) -> Message:
    """The message in the dialog's terms. Raises ApiError for what a text agent cannot take."""
    if message.role in ("tool", "function"):
        raise ApiError(
            400,
            f"{where} has the role {message.role!r}. This agent runs its own tools and takes no results of yours.",
            param=where,
            code="unsupported_message",
        )
    role = "system" if message.role == "developer" else message.role
    content = message.content
    if isinstance(content, list):
        for i, part in enumerate(content):
            if part.type not in TEXT_PARTS:
                raise ApiError(
                    400,
                    f"{where}.content[{i}] is {part.type[:40]!r}. Only text is taken.",
                    param=f"{where}.content[{i}]",
                    code="unsupported_content",
                )
        content = "\n".join(said for part in content if (said := part.said))
    return Message(role=role, content=content or message.refusal or "")  # type: ignore[arg-type]


class Function(BaseModel):
    model_config = ConfigDict(extra="ignore")
    name: Text


class CallerTool(BaseModel):
    """A tool of the caller's. One that has the name of a tool of ours allows that one; others are never called."""

    model_config = ConfigDict(extra="ignore")
    type: Text
    function: Function | None = None
    name: Text | None = None


class ResponseFormat(BaseModel):
    model_config = ConfigDict(extra="ignore")
    type: Text


class ChatUsage(Reply):
    """Tokens in OpenAI's terms; `sampled_tokens` are those of all candidates."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    sampled_tokens: int = Field(description="An extension: tokens of all candidates.")


def usage_of(turns: list[Turn]) -> ChatUsage:
    """The sum over `turns`; the prompt counts once, as in OpenAI's `n`."""
    prompt = max(turn.usage.prompt_tokens for turn in turns)
    completion = sum(turn.usage.completion_tokens for turn in turns)
    return ChatUsage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        sampled_tokens=sum(turn.usage.sampled_tokens for turn in turns),
    )


def unsupported(param: str, value: object, remedy: str) -> ApiError:
    """400 for a parameter whose meaning cannot be kept; ignoring it would be a lie."""
    return ApiError(400, f"{param} {value!r} is not supported. {remedy}", param=param, code="unsupported_parameter")

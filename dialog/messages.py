"""Messages: what a conversation is made of, and what may enter it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from dialog.errors import MessageError
from safety.records import Message as Message

MAX_CHARS = 100_000
"""Longest text of any role that is taken, in characters. Longer ones are refused before they are cleaned or tokenised,
both of which take time; the model's context is less."""

NO_CONTEXT = "…"
"""The user's message before a text that is judged on its own, in training and in use."""

MARKER = re.compile(r"\[(\d{1,3})\]")
"""How a reply cites its source of a number."""

_DROPPED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")  # categories Cc, but newline and tab, and Cs


def check_length(text: str, what: str = "the message") -> None:
    """Raises MessageError, which names the text as `what`, where it is too long."""
    if len(text) > MAX_CHARS:
        raise MessageError(f"{what} has {len(text):,} characters, at most {MAX_CHARS:,} are taken. Shorten it.")


def clean_text(text: str) -> str:
    """Text in NFC without control characters (newline and tab stay) and without surrounding space."""
    normal = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
    return _DROPPED.sub("", normal).strip()


def spoken(text: str) -> str:
    """What is said of what a model wrote: without the thoughts that some models write first, between `<think>` marks.

    Empty where the thoughts do not end.
    """
    thoughts, mark, said = text.partition("</think>")
    if mark:
        return said.strip()
    return "" if thoughts.lstrip().startswith("<think>") else text


def user_text(text: str) -> str:
    """A user's message, cleaned. Raises MessageError where it is empty, too long or not text."""
    check_length(text)
    if "\0" in text or text.count("\ufffd") > max(2, len(text) // 20):
        raise MessageError("the message holds binary data, not text. Send UTF-8 text.")
    cleaned = clean_text(text)
    if not cleaned:
        raise MessageError("the message is empty. Write something.")
    return cleaned


def conversation(messages: Sequence[Message]) -> list[Message]:
    """A conversation that a turn can answer, every text cleaned.

    Raises MessageError where there is no message, the last one is not the user's, or one is too long or not text.
    """
    if not messages:
        raise MessageError("there is no message. Send at least one with the role 'user'.")
    if messages[-1].role != "user":
        raise MessageError(f"the last message has the role {messages[-1].role!r}. It must be the user's.")
    for message in messages:
        check_length(message.content, f"a message of the role {message.role!r}")
    return [
        Message(
            role=message.role,
            content=user_text(message.content) if message.role == "user" else clean_text(message.content),
        )
        for message in messages
    ]

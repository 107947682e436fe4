from __future__ import annotations

import pytest

from dialog.errors import MessageError
from dialog.messages import MAX_CHARS, Message, clean_text, conversation, spoken, user_text


def test_text_is_cleaned_of_control_characters_but_keeps_lines() -> None:
    assert clean_text("  a\x00\x1b[31mb\r\nc\td\u0007 ") == "a[31mb\nc\td"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        (" \n\t ", "empty"),
        ("\x01\x02", "empty"),
        ("a" * (MAX_CHARS + 1), "100,001 characters"),
        ("PNG\0\0data", "binary"),
        ("\ufffd" * 40, "binary"),
        ("\ufffd\ufffd\ufffdab", "binary"),
    ],
)
def test_a_message_that_cannot_be_answered_is_refused_with_its_reason(text: str, says: str) -> None:
    with pytest.raises(MessageError, match=says):
        user_text(text)


def test_a_conversation_ends_with_the_user() -> None:
    with pytest.raises(MessageError, match="no message"):
        conversation([])
    with pytest.raises(MessageError, match="'assistant'"):
        conversation([Message(role="user", content="hi"), Message(role="assistant", content="hello")])
    assert conversation([Message(role="user", content=" hi\x07 ")])[0].content == "hi"


@pytest.mark.parametrize("role", ["system", "user", "assistant"])
def test_no_message_of_any_role_is_too_long(role: str) -> None:
    last = Message(role="user", content="hi")
    longest = Message(role=role, content="a" * MAX_CHARS)  # type: ignore[arg-type]
    assert len(conversation([longest, last])[0].content) == MAX_CHARS
    with pytest.raises(MessageError, match="100,001 characters, at most 100,000"):
        conversation([longest.model_copy(update={"content": "a" * (MAX_CHARS + 1)}), last])


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("<think>\nIt asks for tea.\n</think>\n\nTea is ready.", "Tea is ready."),
        ("It asks for tea.\n</think>\nTea is ready.", "Tea is ready."),  # the template opened the thoughts
        ("<think>\nIt asks for", ""),
        ("I think so.", "I think so."),
    ],
)
def test_thoughts_are_no_reply(written: str, said: str) -> None:
    assert spoken(written) == said

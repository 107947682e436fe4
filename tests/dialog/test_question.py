from __future__ import annotations

import pytest

from dialog.messages import Message
from dialog.question import standalone


@pytest.mark.parametrize(
    ("history", "text", "query"),
    [
        ([], "Who painted the Mona Lisa?", "Who painted the Mona Lisa?"),
        (["Who painted the Mona Lisa?"], "When was it painted?", "When was it painted? (Mona Lisa)"),
        (["Tell me about Marie Curie."], "Where was she born?", "Where was she born? (Marie Curie)"),
        (["Who painted the Mona Lisa?"], "What is 3 + 4?", "What is 3 + 4?"),
        (["Who painted the Mona Lisa?"], "Who wrote Hamlet?", "Who wrote Hamlet?"),
        (["hello"], "15% of 80", "15% of 80"),
        (["Who painted the Mona Lisa?"], "15% of 80", "15% of 80"),
        (["Who painted the Mona Lisa?"], "translate this is good to french", "translate this is good to french"),
        ([], "The Mona Lisa hangs in the Louvre. When was it painted?", "When was it painted? (Mona Lisa, Louvre)"),
        (
            ["Who wrote Emma?"],
            "A train goes 60 km in 2 hours. What is its speed?",
            "A train goes 60 km in 2 hours. What is its speed?",
        ),
        (["Who painted the Mona Lisa?"], "Thanks! When was it painted?", "When was it painted? (Mona Lisa)"),
    ],
)
def test_a_message_that_points_back_takes_the_name_along(history: list[str], text: str, query: str) -> None:
    messages = [Message(role="user", content=line) for line in history] + [Message(role="user", content=text)]
    assert standalone(messages) == query

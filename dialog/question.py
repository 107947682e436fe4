"""The query that stands alone: a message that points back takes along what was named before.

The `chat` dialect uses this and `toolset.english.question` because a small untuned model is wrong about both more often
than these rules are (docs/log.md). The `tuned` dialect leaves both to the model.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from dialog.messages import Message
from toolset.english.question import names, question_part, seeks_facts
from toolset.english.sentences import split
from toolset.english.words import terms

POINTS_BACK = re.compile(
    r"\b(?:it|its|he|him|his|she|her|hers|they|them|their|theirs|this|that|these|those|there|one)\b", re.IGNORECASE
)
LEAST_CONTEXT = 3
"""Search terms from which the sentences before a question, which name nothing, are what it points back to."""


def standalone(messages: Sequence[Message]) -> str:
    """The last message as a query for tools that search: its question, which stands alone.

    A question that points back ("How tall is it?", "And his wife?") takes along what the same message named before
    it, or else what the last messages named. This is a rule, not a model: it adds words and never changes the user's
    own. A message that seeks no facts is left as it is.
    """
    text = messages[-1].content
    if not seeks_facts(text):
        return text
    part = question_part(text)
    pronoun = bool(POINTS_BACK.search(part))
    if names(part) or not (pronoun or len(part.split()) <= 3):
        return part
    before = [sentence for sentence in split(text) if not sentence.endswith(part)]
    if named := [name for sentence in before for name in names(question_part(sentence))]:
        return _with(part, named)
    if pronoun and len(terms(" ".join(before))) >= LEAST_CONTEXT and not POINTS_BACK.search(" ".join(before)):
        return text
    for message in reversed(messages[:-1][-4:]):
        if message.role == "user" and (named := names(question_part(message.content))):
            return _with(part, named)
    return part


def _with(part: str, named: Sequence[str]) -> str:
    return f"{part} ({', '.join(dict.fromkeys(named))})"

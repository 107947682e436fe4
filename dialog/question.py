"""What a message asks for, read from its words: whether it seeks facts, and the query that stands alone.

The `chat` dialect uses this because a small untuned model is wrong about both more often than these rules are
(docs/log.md). The `tuned` dialect leaves both to the model.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from dialog.messages import Message

_OPENERS = r"(?:please|so|and|but|ok(?:ay)?|well|hey|hi|hello|um+|now|also|then|actually|thanks|thank you)\b[\s,.!]*"
_POLITE = (
    r"(?:(?:can|could|would|will) you (?:please )?(?:tell|explain|give|show|help)(?: me| us)?(?: to)?\b[\s,]*"
    r"|do you (?:happen to )?know\b[\s,]*|i(?: would|'d) like to know\b[\s,]*|i want to know\b[\s,]*"
    r"|i(?:'m| am) (?:wondering|curious)\b[\s,]*|i wonder\b[\s,]*|tell me\b[\s,]*)"
)
_LEAD = re.compile(rf"^(?:{_OPENERS})*(?:{_POLITE})?", re.IGNORECASE)

_WH = r"(?:who(?:se|m)?|what|when|where|which|why|how)(?:'s|'re|s)?"
_AUX = r"(?:is|are|was|were|did|does|do|has|have|had|can|could|will|would|should)"
_ASKS = re.compile(
    rf"^(?:(?:in|on|at|from|to|of|by|for|with|during|under) )?"
    rf"(?:{_WH}|{_AUX}|name|list|define|describe|explain|about)\b",
    re.IGNORECASE,
)
_LATER_WH = re.compile(rf"\b{_WH}\b.*\?\s*$", re.IGNORECASE)
_TELL = re.compile(rf"^(?:{_OPENERS})*{_POLITE}", re.IGNORECASE)
# Talk about the two who talk: "how are you", "what do you think", "what should I do", "what's up".
_PERSONAL = re.compile(
    r"\b(?:you|your|yours|yourself|u|i|i'm|me|my|mine|we|us|our|let's)\b|\bwhat'?s up\b|\bhow'?s it going\b",
    re.IGNORECASE,
)
_IDIOMS = re.compile(r"\b(?:you know|tell me|let me know|can you|could you|would you|will you|for me)\b", re.IGNORECASE)
_ADVICE = re.compile(
    r"^how (?:do|can|should|would|could) (?:i|we|you)\b|^what (?:should|can|could) (?:i|we)\b", re.IGNORECASE
)

_PRONOUN = re.compile(
    r"\b(?:it|its|he|him|his|she|her|hers|they|them|their|theirs|this|that|these|those|there|one)\b", re.IGNORECASE
)
_NAMES = re.compile(r"\b(?:[A-Z][\w'’-]*|\d{4})(?:\s+(?:(?:of|the|de|da|van|von)\s+)*(?:[A-Z][\w'’-]*|\d+))*")
_SENTENCE_START = re.compile(r"(?:^|[.!?]\s+)[A-Z]")


def question_part(text: str) -> str:
    """The message without openers and politeness: "Hey, can you tell me who wrote Emma?" gives "who wrote Emma?"."""
    sentences = re.split(r"(?<=[.!?])\s+", text.strip())
    asking = [sentence for sentence in sentences if sentence.endswith("?")]
    chosen = asking[-1] if asking else text.strip()
    return _LEAD.sub("", chosen).strip() or chosen


def seeks_facts(text: str) -> bool:
    """Whether a message asks about the world, so that retrieval is worth asking and an unsourced answer says so.

    "Who painted the Mona Lisa?" does; "How are you?", "I like tea." and "What should I cook?" do not.
    """
    part = question_part(text)
    asks = bool(_ASKS.match(part)) or (text.strip().endswith("?") and bool(_LATER_WH.search(part)))
    asks = asks or (bool(_TELL.match(text.strip())) and bool(_NAMES.search(part) or part.lower().startswith("about")))
    if not asks or _ADVICE.match(part):
        return False
    return not _PERSONAL.search(_IDIOMS.sub("", part))


def standalone(messages: Sequence[Message]) -> str:
    """The last message as a query that stands alone.

    A message that points back ("How tall is it?", "And in winter?") takes along what the last messages named. This
    is a rule, not a model: it adds words and never changes the user's own.
    """
    text = messages[-1].content
    part = question_part(text)
    earlier = messages[:-1]
    points_back = bool(_PRONOUN.search(part)) or len(part.split()) <= 3
    if not earlier or not points_back or _named(part):
        return part if seeks_facts(text) else text
    for message in reversed(earlier[-4:]):
        if message.role == "user" and (names := _named(question_part(message.content))):
            return f"{part} ({', '.join(names)})"
    return part


def _named(text: str) -> list[str]:
    """Names in a text: capitalised words that do not merely begin a sentence."""
    starts = {match.end() - 1 for match in _SENTENCE_START.finditer(text)}
    found = []
    for match in _NAMES.finditer(text):
        words = match.group().split()
        if match.start() in starts and words[0].lower() in _COMMON_STARTS:
            words = words[1:]
        if words and words != ["I"]:
            found.append(" ".join(words))
    return found


_COMMON_STARTS = frozenset(
    "a an the who whose whom what when where which why how is are was were did does do has have had can could will "
    "would should in on at from to of by for with and but so or if it he she they this that these those there tell "
    "please name list define describe explain about i my you your we our let hello hi hey ok okay yes no not".split()
)

"""What a message asks for, read from its words: names in it, and whether any corpus could answer it.

Boundary: looks at the message alone; English. What passages hold is `abstain`'s.
"""

from __future__ import annotations

import re

from toolset.retrieval.text import STOP_WORDS, WORD, terms

CREATIVE = re.compile(
    r"\b(?:tell|give|write|sing|make|say|read|compose)\b.{0,20}\b(?:joke|story|poem|song|riddle|haiku|limerick|rap|"
    r"compliment|something)s?\b(?! (?:of|by|is|was|are))",
    re.IGNORECASE,
)
MOMENT = re.compile(
    r"\bwhat (?:time|day|date) is it\b|\bwhat(?:'s| is) the (?:time|day|date)(?: now| today)?\W*$|"
    r"\bwhat(?:'s| is) the weather\b",
    re.IGNORECASE,
)
ASSISTANT = re.compile(
    r"\b(?:what|who|how|where|when|why)(?:'s|'re| is| are| old are)? you(?:r|rs|rself)?\b|"
    r"\byour (?:name|favou?rite|age)\b|"
    r"\b(?:are|were) you\b|\bdo you (?:like|love|feel|want|think|have|believe|enjoy|dream|remember)\b",
    re.IGNORECASE,
)
STATEMENT = re.compile(r"^\W*i(?:['’]m| am| feel| felt| (?:lov|lik|hat)e| think| had| have)\b[^?]*$", re.IGNORECASE)
GREETING = re.compile(
    r"^\W*(?:good (?:morning|afternoon|evening|night|day)|hello|hi|hey|bye|goodbye|thanks?(?: you)?|welcome)\b"
    r"[^?]{0,30}$",
    re.IGNORECASE,
)


def seeks_facts(query: str) -> bool:
    """Whether a corpus can have the answer: not to a request to make something up, to what holds just now, or to
    what concerns the one who is asked ("what's your name?") or who speaks ("I feel sad")."""
    return bool(terms(query)) and not any(
        form.search(query) for form in (CREATIVE, MOMENT, ASSISTANT, STATEMENT, GREETING)
    )


def names_in(query: str) -> set[str]:
    """The stems of a question's names: words with a capital or a digit; a common opener is none."""
    found: list[str] = []
    if query.isupper():  # somebody shouts: capitals say nothing
        return set()
    for number, word in enumerate(WORD.finditer(query)):
        text = word.group()
        if text.lower() in STOP_WORDS:
            continue
        if any(letter.isdigit() for letter in text) or (text[0].isupper() and (number > 0 or not OPENER.match(text))):
            found += terms(text)
    return set(found)


OPENER = re.compile(
    r"(?:name|list|besides|aside|according|apart|after|before|since|give|explain|describe|define|tell|find|show|compare|translate|calculate|hello|hi|hey|thanks?|"
    r"is|are|was|were|do|does|did|can|could|should|would|has|have|had|will|in|on|at|of|for|by|during|[a-z]+ly)$",
    re.IGNORECASE,
)

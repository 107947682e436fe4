"""What people put around a question ("can you tell me what ... is, please?"), taken off; and what only looks like
arithmetic (dates, telephone numbers, 24/7), recognised.

Only whole, fixed phrases are taken off; anything else stays and makes the parse fail, which leaves the query alone.
"""

from __future__ import annotations

import re

LEADS = re.compile(
    r"""(?:(?:hey|hi|hello|ok|okay|so|please|pls|quick\ question)\b[,:.!]?\s+
    |(?:can|could|would|will)\ you\ (?:please\ |kindly\ )?(?=\w)
    |(?:i\ (?:want|need|would\ like)\ to\ know|i'd\ like\ to\ know|do\ you\ know|let\ me\ know)\s+
    |(?:tell|give|show)\ me\s+
    |help\ me\ (?:to\ )?(?=calculate|compute|solve|work\ out|find)
    |what\ do\ (?:you|i|we)\ get\ (?:if|when)\ (?:you|i|we)\s+
    |what\ number\ is\s+(?!.*\bof\ what)
    |what(?:['’]s|s|\ is|\ are|\ was|\ does|\ do|\ would\ be|\ will\ be)\s+
    |what\s+(?=\S.*\b(?:is|equals?|are|makes?)[\s?.]*$)
    |how\ much\ (?:is|are|does|do|would|will)\s+
    |(?P<command>calc(?:ulate|ulator)?|compute|evaluate|solve|work\ out|figure\ out|simplify|determine|find(?:\ out)?)
        \s*:?\s+
    |(?:the\ )?(?:value|result|answer)\ (?:of|to|for)\s+
    )""",
    re.VERBOSE | re.IGNORECASE,
)
TAILS = re.compile(
    r"""(?:\s*[?.]+|\s*(?P<equals>=)\s*\??|,?\s+(?:please|pls|thanks|thank\ you|for\ me|exactly)
    |\s+(?:is|are|equals?|makes?|be|come\ to|(?:is\ )?equal\ to|(?:is|equals?|makes?|gives?)\ what))\s*$""",
    re.VERBOSE | re.IGNORECASE,
)
LOOKALIKES = re.compile(
    r"""24/7|24/7/365|9/11|9-11|9-1-1|7-11|7/7|50/50|50-50|20/20|20-20|4/20|10-4|9-5
    |(?:19|20)[0-9]{2}[-–](?:[0-9]{2}|(?:19|20)[0-9]{2})             # 2024-2025, 2024-25
    |[0-9]{1,2}[-/][0-9]{1,2}[-/](?:[0-9]{4}|[0-9]{2})               # 12/25/2024, 25-12-24
    |[0-9]{4}[-/][0-9]{1,2}[-/][0-9]{1,2}                            # 2024-12-25
    |[+(]?[0-9]{3}\)?\s?-\s?[0-9]{4}|\+?(?:[0-9]{1,3}[- ])?\(?[0-9]{3}\)?[- ][0-9]{3}[- ][0-9]{4}   # telephones
    |[0-9]{3}-[0-9]{2}-[0-9]{4}|[0-9]{5}-[0-9]{4}|[0-9]+(?:-[0-9]+){4,}  # account, postal and book numbers""",
    re.VERBOSE,
)
MAX_ROUNDS = 6


def strip_question(query: str) -> tuple[str, bool]:
    """The query without its openings and endings, and whether it was a command to calculate ("compute", "... =")."""
    text = " ".join(query.split())
    commanded = False
    for _ in range(MAX_ROUNDS):
        match = LEADS.match(text)
        if match is None or match.end() == len(text):
            break
        commanded = commanded or match["command"] is not None
        text = text[match.end() :]
    for _ in range(MAX_ROUNDS):
        match = TAILS.search(text[-40:])
        if match is None:
            break
        commanded = commanded or match["equals"] is not None
        text = text[: len(text) - (len(text[-40:]) - match.start())]
    return text.strip(), commanded


def looks_otherwise(text: str) -> bool:
    """Whether the whole text is a date, a telephone number or a set phrase such as 24/7."""
    return LOOKALIKES.fullmatch(text) is not None

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
    r"""24/7|24/7/365|9/11|9-11|9-1-1|7-11|7/7|50/50|50-50|20/20|20-20|10/10|4/20|10-4|9-5
    |[0-9]{1,2}/[0-9]{1,2}/(?:[0-9]{4}|[0-9]{2})|[0-9]{1,2}-[0-9]{1,2}-[0-9]{4}  # 12/25/2024
    |(?:[12][0-9]|3[01]|0?[1-9])-(?:[12][0-9]|3[01]|0?[1-9])-[0-9]{2}            # 25-12-24
    |[0-9]{4}[-/][0-9]{1,2}[-/][0-9]{1,2}                                        # 2024-12-25
    |[+(]?[0-9]{3}\)?\s?-\s?[0-9]{4}|\+?(?:[0-9]{1,3}[- ])?\(?[0-9]{3}\)?[- ][0-9]{3}[- ][0-9]{4}  # telephones
    |[0-9]{3}-[0-9]{2}-[0-9]{4}|(?=(?:-?[0-9]){10})[0-9]+(?:-[0-9]+){4,}         # account and book numbers""",
    re.VERBOSE,
)
YEARS = re.compile(r"(?P<first>(?:19|20)[0-9]{2})[-–](?P<last>(?:19|20)[0-9]{2}|[0-9]{2})")
MAX_ROUNDS = 6


def strip_question(query: str) -> tuple[str, bool, bool]:
    """The query without its openings and endings; whether something was asked ("what is"); whether it was a command
    to calculate ("compute", "... =").
    """
    text = " ".join(query.split())
    asked = commanded = False
    for _ in range(MAX_ROUNDS):
        match = LEADS.match(text)
        if match is None or match.end() == len(text):
            break
        commanded = commanded or match["command"] is not None
        asked = True
        text = text[match.end() :]
    for _ in range(MAX_ROUNDS):
        match = TAILS.search(text[-40:])
        if match is None:
            break
        commanded = commanded or match["equals"] is not None
        text = text[: len(text) - (len(text[-40:]) - match.start())]
    return text.strip(), asked, commanded


def looks_otherwise(text: str) -> bool:
    """Whether the whole text is a date, a span of years, a telephone number or a set phrase such as 24/7."""
    years = YEARS.fullmatch(text)
    if years:  # 2024-2025 and 2024-25; 2025-2009 is a subtraction
        last = years["last"] if len(years["last"]) == 4 else years["first"][:2] + years["last"]
        return int(last) > int(years["first"]) and (len(years["last"]) == 4 or int(last) == int(years["first"]) + 1)
    return LOOKALIKES.fullmatch(text.strip("() ")) is not None


def exclaims(text: str, *, asked: bool) -> bool:
    """Whether a final "!" may be an exclamation: "2 + 2!", "Two hundred!", and "100!" where nothing was asked."""
    if not text.endswith("!") or text.count("!") > 1:
        return False
    return not (asked and re.fullmatch(r"\(?[0-9]+\)?!", text))

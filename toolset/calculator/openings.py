"""What people put around a question ("can you tell me what ... is, please?"), taken off.

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
    |(?P<command>calc(?:ulate|ulator)?|compute|evaluate|solve|work\ out|simplify)\s*:?\s+
    |(?:figure\ out|determine|find(?:\ out)?)\s*:?\s+
    |(?:the\ )?(?:value|result|answer)\ (?:of|to|for)\s+
    )""",
    re.VERBOSE | re.IGNORECASE,
)
TAILS = re.compile(
    r"""(?:\s*[?.]+|\s*(?P<equals>=)\s*\??|,?\s+(?:please|pls|thanks|thank\ you|for\ me|exactly)
    |\s+(?:is|are|equals?|makes?|be|come\ to|(?:is\ )?equal\ to|(?:is|equals?|makes?|gives?)\ what))\s*$""",
    re.VERBOSE | re.IGNORECASE,
)
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


def exclaims(text: str, *, asked: bool) -> bool:
    """Whether a final "!" may be an exclamation: "2 + 2!", "Two hundred!", and "100!" where nothing was asked."""
    if not text.endswith("!") or text.count("!") > 1:
        return False
    return not (asked and re.fullmatch(r"\(?[0-9]+\)?!", text))

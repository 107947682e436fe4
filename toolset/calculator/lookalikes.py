"""What only looks like arithmetic: dates, spans of years, telephone and account numbers, scores, set phrases (24/7).

A date or a telephone number is one wherever it stands, so a text that holds it is no arithmetic (`2024-12-25 + 30`).
Set phrases and scores are recognised where they are the whole text; there a command to calculate overrules them.
"""

from __future__ import annotations

import re

DASH = "[-–−]"
WHOLE = re.compile(
    rf"""24/7|24/7/365|9/11|9-11|9-1-1|7-11|7/7|50/50|50-50|20/20|20-20|10/10|4/20|10-4|9-5
    |[0-9]{{1,2}}/[0-9]{{1,2}}/(?:[0-9]{{4}}|[0-9]{{2}})
    |(?=(?:-?[0-9]){{10}})[0-9]+(?:-[0-9]+){{4,}}|[0-9]{{4}}(?:{DASH}[0-9]{{4}}){{3}}  # book and card numbers""",
    re.VERBOSE,
)
DAY, MONTH, YEAR = "(?:3[01]|[12][0-9]|0?[1-9])", "(?:1[0-2]|0?[1-9])", "(?:1[5-9]|2[01])[0-9]{2}"
ALONE, ENDS = rf"(?<![\w.,$€£*/^%+])(?<!{DASH})", rf"(?![\w$€£*/^%]|[.,][0-9]|{DASH}[\w(])"
"""No digit, sign or letter stands next to it."""
ANYWHERE = re.compile(
    rf"""(?<![\w.,$€£])(?:{YEAR}(?:{DASH}{MONTH}{DASH}{DAY}|/{MONTH}/{DAY})
        |(?:{DAY}{DASH}{MONTH}|{MONTH}{DASH}{DAY}){DASH}{YEAR}|(?:{DAY}/{MONTH}|{MONTH}/{DAY})/{YEAR})(?![0-9A-Za-z]|[.,][0-9])
    |{ALONE}(?:
        (?:{DAY}{DASH}{MONTH}|{MONTH}{DASH}{DAY}){DASH}[0-9]{{2}}|(?:{DAY}/{MONTH}|{MONTH}/{DAY})/[0-9]{{2}}
        |(?:19|20)[0-9]{{2}}{DASH}(?:0[1-9]|1[0-2])                                    # 2024-11
        |(?:[0-9]{{1,3}}[- ])?(?:\([0-9]{{3}}\)[- ]?|[0-9]{{3}}[- ])?[0-9]{{3}}{DASH}[0-9]{{4}}  # 555-123-4567
        |[0-9]{{3}}-[0-9]{{2}}-[0-9]{{4}}|97[89](?:-[0-9]+){{4}}                       # account and book numbers
    ){ENDS}""",
    re.VERBOSE,
)
YEARS = re.compile(rf"{ALONE}(?P<first>(?:19|20)[0-9]{{2}}){DASH}(?P<last>(?:19|20)[0-9]{{2}}|[0-9]{{2}}){ENDS}")
HYPHENATED = re.compile(rf"[0-9]+(?:{DASH}[0-9]+)+")


def holds_lookalike(text: str) -> bool:
    """Whether a date, a span of years, a telephone or an account number stands anywhere in the text."""
    return ANYWHERE.search(text) is not None or any(map(is_span_of_years, YEARS.finditer(text)))


def is_span_of_years(match: re.Match[str]) -> bool:
    """2024-2025 and 2024-25; 2025-2009 is a subtraction."""
    first, last = match["first"], match["last"]
    if len(last) == 2:
        return int(first[:2] + last) == int(first) + 1
    return int(last) > int(first)


def is_lookalike(text: str, *, asked: bool) -> bool:
    """Whether the whole text is a set phrase, a number of hyphenated groups, a score or a range; `asked` by "what is".

    Nobody writes a subtraction below zero without spaces: `4-4-2` is a formation, `5-10` a range.
    """
    text = text.strip("() ")
    if WHOLE.fullmatch(text):
        return True
    if not asked and (years := YEARS.fullmatch(text)) and len(years["last"]) == 2:
        return int(years["last"]) > int(years["first"][2:])  # 1914-18
    if not HYPHENATED.fullmatch(text):
        return False
    first, *rest = (int(number) for number in re.findall("[0-9]+", text))
    return first <= sum(rest) and (len(rest) > 1 or not asked)

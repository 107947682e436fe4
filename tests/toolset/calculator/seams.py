"""Texts that look like arithmetic read one way and are meant another: what an answer to them must not be, or must hold.

The rules are written from the text alone, apart from the calculator's own: dates by `datetime`, the rest as shapes.
"""

from __future__ import annotations

import re
from datetime import date

DATES = (
    (re.compile(r"(?<![\d.,$€£])(\d{4})([-–−/])(\d\d?)\2(\d\d?)(?!\d|[.,]\d)"), "ymd"),
    (re.compile(r"(?<![\d.,$€£])(\d\d?)([-–−/])(\d\d?)\2(\d{4})(?!\d|[.,]\d)"), "dmy"),
)
TELEPHONE = re.compile(r"(?<![\w.,*/^%$€£+−–-])\d{3}-(?:\d{3}-)?\d{4}(?![\w*/^%−–-]|[.,]\d)")
UNKNOWN = re.compile(r"\dx(?![0-9a-z])", re.IGNORECASE)
RATIO = r"(\d+)/(\d+)(?![\d/^²³!(.,]|\s*%|\s*per|\s*pct)"
DIVIDED = re.compile(rf"(?:÷|divided\s+by|over|to\s+the\s+power\s+of)\s+{RATIO}", re.IGNORECASE)
POWERED = re.compile(r"(?<![\d.,/^])(\d+)/(\d+)\s+(squared|cubed)", re.IGNORECASE)
PERCENT = re.compile(r"(?<![\d.,/^*%÷])(\d+)/(\d+)\s?(?:%(?!\s*[\d(a-z])|percent)", re.IGNORECASE)
SUPERSCRIPT = re.compile("(?<=[0-9)])[⁰¹²³⁴⁵⁶⁷⁸⁹]+")
PLAIN = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")


def holds_date(text: str) -> bool:
    """Whether a day of the years 1500 to 2199 stands in the text, in any order of its numbers."""
    for shape, order in DATES:
        for match in shape.finditer(text):
            a, b, c = int(match[1]), int(match[3]), int(match[4])
            year, others = (a, (b, c)) if order == "ymd" else (c, (a, b))
            orders = (others,) if order == "ymd" else (others, others[::-1])
            if 1500 <= year < 2200 and any(is_day(year, *pair) for pair in orders):
                return True
    return False


def is_day(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def misread(query: str, line: str) -> str | None:
    """What is wrong with reading this query as this line does, or None."""
    if holds_date(query) and not re.search(r"\d{4}-\d\d-\d\d", line):
        return f"{query!r} holds a date, but was answered {line!r}"
    if TELEPHONE.search(query):
        return f"{query!r} holds a telephone number, but was answered {line!r}"
    if UNKNOWN.search(query):
        return f"{query!r} holds an unknown, but was answered {line!r}"
    needed = [f"({above} / {below})" for above, below in DIVIDED.findall(query)]
    needed += [f"({a} / {b})^{2 if word.lower() == 'squared' else 3}" for a, b, word in POWERED.findall(query)]
    needed += [f"({above} / {below})%" for above, below in PERCENT.findall(query)]
    needed += [f"^{run.translate(PLAIN)}" for run in SUPERSCRIPT.findall(query)]
    missing = [text for text in needed if text not in line]
    return f"{query!r} means {missing[0]}, but was answered {line!r}" if missing else None

"""Dates: differences, dates before and after, weekdays, ages, lengths of months; in the Gregorian calendar.

Dates are read in forms that have one reading: 2024-02-28, "5 March 2024", "March 5th, 2024", today. 01/02/2024 is left
alone. So are dates before 1583, when the calendar was another one, and sums that end on no date ("1 month after
2024-01-31"). Whatever depends on the clock says the day it was counted from.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable
from datetime import date, timedelta

from toolset.calculator.errors import NotMine
from toolset.calculator.lexer import Token, tokenize
from toolset.calculator.patterns import phrase

FIRST_YEAR, LAST_YEAR = 1583, 9999
MAX_DAYS = 3_000_000
MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_name) if name}
MONTHS |= {name.lower(): number for number, name in enumerate(calendar.month_abbr) if name} | {"sept": 9}
WEEKDAYS = {name.lower(): number for number, name in enumerate(calendar.day_name)}

MONTH = rf"(?P<month>{'|'.join(sorted(MONTHS, key=len, reverse=True))})\.?"
ISO = re.compile(r"(?P<y>[0-9]{4})-(?P<m>[0-9]{2})-(?P<d>[0-9]{2})")
DAY_FIRST = re.compile(rf"(?:the )?(?P<d>[0-9]{{1,2}})(?:st|nd|rd|th)?(?: of)? {MONTH},? (?P<y>[0-9]{{4}})", re.I)
MONTH_FIRST = re.compile(rf"{MONTH} (?:the )?(?P<d>[0-9]{{1,2}})(?:st|nd|rd|th)?(?:,| of)? (?P<y>[0-9]{{4}})", re.I)
RELATIVE = {"today": 0, "tomorrow": 1, "yesterday": -1, "now": 0}
SPAN_UNITS = {"day": "days", "week": "weeks", "month": "months", "year": "years"}

Today = Callable[[], date]


def read_date(text: str, today: Today) -> date:
    """The date a text names. Raises NotMine for any other text, a day that does not exist and a year out of range."""
    text = " ".join(text.split()).strip(" ,")
    if text.lower() in RELATIVE:
        return today() + timedelta(days=RELATIVE[text.lower()])
    for weekday in WEEKDAYS:  # "Thursday, 29 February 2024", where it agrees
        if text.lower().startswith((weekday + " ", weekday + ",")):
            day = read_date(text[len(weekday) + 1 :], today)
            if day.weekday() != WEEKDAYS[weekday]:
                raise NotMine(f"{day} is no {weekday}")
            return day
    match = ISO.fullmatch(text) or DAY_FIRST.fullmatch(text) or MONTH_FIRST.fullmatch(text)
    if match is None:
        raise NotMine("no date")
    groups = match.groupdict()
    month = int(groups["m"]) if groups.get("m") else MONTHS[groups["month"].lower()]
    if not FIRST_YEAR <= int(groups["y"]) <= LAST_YEAR:
        raise NotMine(f"a date before {FIRST_YEAR}")
    try:
        return date(int(groups["y"]), month, int(groups["d"]))
    except ValueError as error:
        raise NotMine(f"no such day: {error}") from None


def whole_number(text: str) -> int:
    """A whole number in digits or words."""
    tokens: list[Token] = tokenize("1" if text.lower() in ("a", "an") else text)
    if len(tokens) != 2 or tokens[0].kind != "number" or tokens[0].value.denominator != 1:
        raise NotMine("no whole number")
    return tokens[0].value.numerator


def read_spans(text: str) -> list[tuple[int, str]]:
    """`2 years, 3 months and 5 days` as [(2, "years"), (3, "months"), (5, "days")]."""
    spans: list[tuple[int, str]] = []
    for piece in re.split(r"\s*,\s*(?:and\s+)?|\s+and\s+", text.strip()):
        for count, unit in split_spans(piece):
            spans.append((whole_number(count), unit))
    units = [unit for _, unit in spans]
    if not spans or len(set(units)) != len(units):
        raise NotMine("no span of time")
    return spans


def split_spans(piece: str) -> list[tuple[str, str]]:
    parts = re.split(r"\s*\b(day|week|month|year)s?\b\s*", piece, flags=re.I)
    if len(parts) < 3 or parts[-1]:
        raise NotMine("no span of time")
    return [(count, SPAN_UNITS[unit.lower()]) for count, unit in zip(parts[::2], parts[1::2], strict=False)]


def shift(day: date, spans: list[tuple[int, str]], sign: int) -> date:
    """`day` moved by the spans: years and months first, as people count. NotMine where the month has no such day."""
    counts = {unit: count for count, unit in spans}
    months = sign * (12 * counts.get("years", 0) + counts.get("months", 0))
    days = sign * (7 * counts.get("weeks", 0) + counts.get("days", 0))
    if abs(months) > 12 * LAST_YEAR or abs(days) > MAX_DAYS:
        raise NotMine("a span past the calendar")
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    if not FIRST_YEAR <= year <= LAST_YEAR or day.day > calendar.monthrange(year, month + 1)[1]:
        raise NotMine("no such day in that month")
    try:
        moved = date(year, month + 1, day.day) + timedelta(days=days)
    except OverflowError:
        raise NotMine("a date past the calendar") from None
    if moved.year < FIRST_YEAR:
        raise NotMine(f"a date before {FIRST_YEAR}")
    return moved


def counted(count: int, unit: str) -> str:
    return f"{count} {unit[:-1] if abs(count) == 1 else unit}"


def with_weekday(day: date) -> str:
    return f"{day.isoformat()} ({calendar.day_name[day.weekday()]})"


def full_months(start: date, end: date) -> tuple[int, int]:
    """Whole months from `start` to a later `end`, and the days left over."""
    months = (end.year - start.year) * 12 + end.month - start.month - (end.day < start.day)
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    anchor = date(year, month + 1, min(start.day, calendar.monthrange(year, month + 1)[1]))
    return months, (end - anchor).days


def difference(start: date, end: date, unit: str) -> str:
    """`From 2024-02-28 to 2024-03-01 is 2 days`."""
    if end < start:
        start, end = end, start
    days = (end - start).days
    if unit == "days":
        length = counted(days, "days")
    elif unit == "weeks":
        length = counted(days // 7, "weeks") + (f" and {counted(days % 7, 'days')}" if days % 7 else "")
    else:
        if start.day > 28:
            raise NotMine("months counted from a day that not every month has")
        months, rest = full_months(start, end)
        amounts = [(months, "months")] if unit == "months" else [(months // 12, "years"), (months % 12, "months")]
        texts = [counted(count, name) for count, name in [*amounts, (rest, "days")] if count]
        length = " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts) or counted(0, unit)
    return f"from {start} to {end} is {length}"


def age(born: date, on: date) -> str:
    if born > on:
        raise NotMine("a birth in the future")
    if (born.month, born.day) == (2, 29):
        raise NotMine("a birthday that not every year has")
    years = on.year - born.year - ((on.month, on.day) < (born.month, born.day))
    return f"someone born on {born} is {counted(years, 'years')} old on {on}"


def weekday_shift(spans: list[tuple[int, str]], sign: int, weekday: str) -> str:
    if any(unit not in ("days", "weeks") for _, unit in spans):
        raise NotMine("months from a weekday")
    days = sum(count * (7 if unit == "weeks" else 1) for count, unit in spans)
    name = calendar.day_name[(WEEKDAYS[weekday.lower()] + sign * days) % 7]
    text = " and ".join(counted(count, unit) for count, unit in spans)
    return f"{text} {'after' if sign > 0 else 'before'} a {weekday.capitalize()} is a {name}"


def shifted(text: str, sign: int, start: date) -> str:
    spans = read_spans(text)
    amount = " and ".join(counted(count, unit) for count, unit in spans)
    return f"{amount} {'after' if sign > 0 else 'before'} {start} is {with_weekday(shift(start, spans, sign))}"


def month_length(month: str, year: str | None) -> str:
    number = MONTHS[month.lower().rstrip(".")]
    name = calendar.month_name[number]
    if year is None:
        if number == 2:
            return "February has 28 days, and 29 in a leap year"
        return f"{name} has {calendar.monthrange(2023, number)[1]} days"
    check_year(year)
    return f"{name} {year} has {calendar.monthrange(int(year), number)[1]} days"


def check_year(year: str) -> int:
    if not FIRST_YEAR <= int(year) <= LAST_YEAR:
        raise NotMine("a year before the Gregorian calendar")
    return int(year)


def leap(year: str) -> str:
    return f"{year} is {'' if calendar.isleap(check_year(year)) else 'not '}a leap year"


def weekday_of(day: date) -> str:
    return f"{day} is a {calendar.day_name[day.weekday()]}"


def until(start: date, end: date, unit: str) -> str:
    if end < start:
        raise NotMine("a date on the wrong side of today")
    return difference(start, end, unit)


class Reading:
    """A matched form: its dates, unit and span, read on demand."""

    def __init__(self, match: re.Match[str], today: Today) -> None:
        self.match, self.today = match, today

    def __getitem__(self, name: str) -> str:
        return self.match[name]

    @property
    def first(self) -> date:
        return read_date(self.match["a"], self.today)

    @property
    def second(self) -> date:
        return read_date(self.match["b"], self.today)

    @property
    def now(self) -> date:
        return self.today()

    @property
    def unit(self) -> str:
        unit = self.match["unit"]
        return SPAN_UNITS[unit.lower().removesuffix("s")] if unit else "days"

    @property
    def sign(self) -> int:
        return -1 if self.match["way"].lower() in ("before", "prior to", "-", "minus", "subtract") else 1

    def shifted(self, sign: int, start: date) -> str:
        return shifted(self.match["span"], sign, start)


DATE = r"(?P<a>\S.{2,40}?)"
OTHER = r"(?P<b>\S.{2,40}?)"
SPAN = r"(?P<span>\S.{0,60}?(?:days?|weeks?|months?|years?))"
UNIT = r"(?P<unit>days?|weeks?|months?|years?)"
DAY = r"(?:day(?: of the week)?|date|weekday)"
WHICH_DAY = rf"(?:(?:the )?{DAY} (?:is|was|will be|falls|comes) )?(?:it )?"
WEEKDAY = rf"(?P<weekday>{'|'.join(WEEKDAYS)})"
WAY = r"(?P<way>after|from|before|prior to)"
SOMEONE = r"(?:someone|a person|somebody|anyone) (?:who (?:is|was) )?"
FORMS = tuple(
    (phrase(pattern), compute)
    for pattern, compute in (
        (
            rf"(?:the )?(?:number of |how many )?{UNIT} (?:(?:are|is) )?(?:there )?(?:between|from)"
            rf" {DATE} (?:and|to|until|till) {OTHER}",
            lambda m: difference(m.first, m.second, m.unit),
        ),
        (
            rf"(?:the )?(?:difference|time) between {DATE} and {OTHER}(?: in {UNIT})?",
            lambda m: difference(m.first, m.second, m.unit),
        ),
        (
            rf"how long (?:is it )?from {DATE} (?:to|until) {OTHER}(?: in {UNIT})?",
            lambda m: difference(m.first, m.second, m.unit),
        ),
        (rf"{DATE} (?:-|minus|to) {OTHER} in {UNIT}", lambda m: difference(m.first, m.second, m.unit)),
        (rf"{DATE} (?:-|minus) {OTHER}", lambda m: difference(m.first, m.second, "days")),
        (
            rf"how many {UNIT} (?:are (?:there )?(?:left )?)?(?:until|till|to) {DATE}",
            lambda m: until(m.now, m.first, m.unit),
        ),
        (
            rf"how many {UNIT} (?:have passed |has it been |is it )?since {DATE}",
            lambda m: until(m.first, m.now, m.unit),
        ),
        (rf"{WHICH_DAY}{SPAN} {WAY} {WEEKDAY}", lambda m: weekday_shift(read_spans(m["span"]), m.sign, m["weekday"])),
        (rf"{WHICH_DAY}{SPAN} {WAY} {DATE}", lambda m: m.shifted(m.sign, m.first)),
        (rf"(?:the )?{DAY} {SPAN} {WAY} {DATE}", lambda m: m.shifted(m.sign, m.first)),
        (rf"(?:the )?{DAY} (?:(?:is|was|will be) )?(?:it )?in {SPAN}", lambda m: m.shifted(1, m.now)),
        (rf"{WHICH_DAY}{SPAN} ago", lambda m: m.shifted(-1, m.now)),
        (rf"{DATE} (?P<way>\+|plus|-|minus) {SPAN}", lambda m: m.shifted(m.sign, m.first)),
        (rf"(?P<way>add) {SPAN} to {DATE}", lambda m: m.shifted(m.sign, m.first)),
        (rf"(?P<way>subtract) {SPAN} from {DATE}", lambda m: m.shifted(m.sign, m.first)),
        (
            r"(?:the )?(?:current |today['’]?s )date|the date|(?:the )?(?:day|date|day of the week|weekday)"
            r" (?:today|is today|is it(?: today)?)",
            lambda m: f"today is {with_weekday(m.now)}",
        ),
        (
            r"(?:the )?(?:day of the week|weekday) (?:is|was|of|for|on|will be|does|did) (?:it )?(?:on )?"
            rf"{DATE}(?: fall(?: on)?)?",
            lambda m: weekday_of(m.first),
        ),
        (
            rf"day (?:of the week )?(?:is|was|will|did|does) {DATE}(?: (?:be|fall|fall on|on|falls on))?",
            lambda m: weekday_of(m.first),
        ),
        (
            rf"(?:the )?(?:day of the year|day number)(?: is| was| of| for)? {DATE}",
            lambda m: f"{m.first} is day {m.first.timetuple().tm_yday} of {m.first.year}",
        ),
        (
            rf"(?:the )?(?:iso )?week(?: number)?(?: is| was| of| for) {DATE}",
            lambda m: f"{m.first} is in ISO week {m.first.isocalendar().week} of {m.first.isocalendar().year}",
        ),
        (
            rf"how old (?:is|was|will be) {SOMEONE}born (?:on )?{DATE} (?:on|by) {OTHER}",
            lambda m: age(m.first, m.second),
        ),
        (rf"how old (?:is|would be) {SOMEONE}(?:if )?born (?:on )?{DATE}", lambda m: age(m.first, m.now)),
        (
            rf"how old (?:am|are|is) (?:i|you|someone) if (?:i|you|they|he|she) (?:was|were) born (?:on )?{DATE}",
            lambda m: age(m.first, m.now),
        ),
        (rf"(?:the )?age of {SOMEONE}born (?:on )?{DATE} (?:on|in) {OTHER}", lambda m: age(m.first, m.second)),
        (rf"(?:the )?age of {SOMEONE}born (?:on )?{DATE}", lambda m: age(m.first, m.now)),
        (
            rf"how many days (?:(?:are|were) )?(?:there )?(?:in|does) {MONTH}(?: (?P<y>[0-9]{{4}}))?(?: have)?",
            lambda m: month_length(m["month"], m["y"]),
        ),
        (
            r"how many days (?:(?:are|were) )?(?:there )?in (?:the year )?(?P<y>[0-9]{4})",
            lambda m: f"{m['y']} has {366 if calendar.isleap(check_year(m['y'])) else 365} days",
        ),
        (r"(?:is|was|will) (?P<y>[0-9]{4}) (?:be )?a leap year", lambda m: leap(m["y"])),
    )
)
QUESTION_WORD = re.compile(r"(?:on )?(?:what|which) ", re.I)
WORTH_TRYING = re.compile(
    r"\b(?:days?|weeks?|months?|years?|dates?|weekday|born|leap|time|how long)\b|[0-9]{4}-[0-9]{2}-[0-9]{2}", re.I
)


def answer(text: str, today: Today) -> str | None:
    """The result of a question about dates, or None where the text is none or a date in it cannot be read."""
    if not WORTH_TRYING.search(text):
        return None
    text = QUESTION_WORD.sub("", text, count=1) if QUESTION_WORD.match(text) else text
    for pattern, compute in FORMS:
        match = pattern.fullmatch(text)
        if match is None:
            continue
        try:
            return compute(Reading(match, today))
        except NotMine:
            continue
    return None

"""Times of day and time zones: "15:00 UTC in Tokyo", "time difference between Tokyo and London", 9:15 to 17:40.

Zones are those of `zoneinfo`, by name, by the city in a name of two parts (Asia/Tokyo), or by the list below. CST, IST
and BST stand for several zones, Norfolk and Victoria for several places: they are left alone. The offset of a zone
depends on the day, so every result states the day it holds for; a local time that a change of clocks skips or repeats
is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from toolset.calculator.dates import QUESTION_WORD, read_date
from toolset.calculator.errors import NotMine
from toolset.calculator.patterns import phrase

Now = Callable[[], datetime]
"""The present moment, aware of its zone."""

FIXED = {
    "utc": 0, "gmt": 0, "z": 0, "cet": 60, "cest": 120, "eet": 120, "eest": 180, "wet": 0, "west": 60, "msk": 180,
    "jst": 540, "kst": 540, "hkt": 480, "sgt": 480, "est": -300, "edt": -240, "cdt": -300, "mdt": -360, "mst": -420,
    "pst": -480, "pdt": -420, "akst": -540, "akdt": -480, "hst": -600, "aest": 600, "aedt": 660, "awst": 480,
    "nzst": 720, "nzdt": 780,
}  # fmt: skip
CITIES = {
    "new york city": "America/New_York", "nyc": "America/New_York", "washington dc": "America/New_York",
    "boston": "America/New_York", "miami": "America/New_York", "atlanta": "America/New_York",
    "philadelphia": "America/New_York", "eastern": "America/New_York", "et": "America/New_York",
    "ct": "America/Chicago", "mt": "America/Denver", "pt": "America/Los_Angeles", "central": "America/Chicago",
    "mountain": "America/Denver", "pacific": "America/Los_Angeles", "houston": "America/Chicago",
    "dallas": "America/Chicago", "san francisco": "America/Los_Angeles", "seattle": "America/Los_Angeles",
    "las vegas": "America/Los_Angeles", "la": "America/Los_Angeles", "montreal": "America/Toronto",
    "ottawa": "America/Toronto", "rio de janeiro": "America/Sao_Paulo", "beijing": "Asia/Shanghai",
    "shenzhen": "Asia/Shanghai", "delhi": "Asia/Kolkata", "new delhi": "Asia/Kolkata", "mumbai": "Asia/Kolkata",
    "bangalore": "Asia/Kolkata", "chennai": "Asia/Kolkata", "osaka": "Asia/Tokyo", "kyoto": "Asia/Tokyo",
    "hanoi": "Asia/Bangkok", "abu dhabi": "Asia/Dubai", "tel aviv": "Asia/Jerusalem", "munich": "Europe/Berlin",
    "hamburg": "Europe/Berlin", "frankfurt": "Europe/Berlin", "barcelona": "Europe/Madrid", "milan": "Europe/Rome",
    "geneva": "Europe/Zurich", "edinburgh": "Europe/London", "manchester": "Europe/London",
    "cape town": "Africa/Johannesburg", "wellington": "Pacific/Auckland", "canberra": "Australia/Sydney",
    "japan": "Asia/Tokyo", "india": "Asia/Kolkata", "china": "Asia/Shanghai", "germany": "Europe/Berlin",
    "france": "Europe/Paris", "italy": "Europe/Rome", "uk": "Europe/London", "england": "Europe/London",
    "south korea": "Asia/Seoul",
}  # fmt: skip
SEVERAL = {"cst", "ist", "bst", "ast", "sst", "gst", "pst8pdt", "est5edt", "cst6cdt", "mst7mdt", "etc", "universal"}
NAMESAKES = frozenset(
    """
    act|antigua|chatham|christmas|cordoba|dawson|easter|ensenada|factory|greenwich|halifax|jersey|kashgar|knox in
    |la paz|lhi|merida|midway|monrovia|norfolk|north|oral|resolute|rosario|samoa|santa isabel|santarem|south|st johns
    |stanley|tripoli|urumqi|victoria|virgin|wake|washington|west
    """.replace("\n    ", "").split("|")
)
"""Words, regions and cities with a namesake in another zone, whatever the list of zones says."""
AREAS = ("Africa", "America", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")
TIME = re.compile(r"(?P<h>[0-9]{1,2})(?::(?P<m>[0-9]{2}))?\s?(?P<half>am|pm|a\.m\.?|p\.m\.?)?", re.I)


@lru_cache(maxsize=1)
def zone_names() -> dict[str, str]:
    """Zone names in lower case, and each city that names one zone; from the list in tzdata, which reads fast.

    Only names of two parts hold cities that need no more said: those of three tell namesakes apart
    (America/Argentina/San_Juan), and the best known of them have one of two as well.
    """
    names: dict[str, str] = {}
    cities: dict[str, set[str]] = {}
    for name in files("tzdata").joinpath("zones").read_text().split():
        area, _, city = name.partition("/")
        names[name.lower()] = name
        if "/" not in city and area in AREAS:
            cities.setdefault(city.replace("_", " ").lower(), set()).add(name)
    for city, zones in cities.items():
        known = zones if len(zones) == 1 else {links().get(zone, zone) for zone in zones}
        if len(known) == 1:
            names.setdefault(city, next(iter(known)))
    return names


@lru_cache(maxsize=1)
def links() -> dict[str, str]:
    """The zone that each other name of it stands for: Europe/Istanbul for Asia/Istanbul."""
    lines = files("tzdata").joinpath("zoneinfo", "tzdata.zi").read_text().splitlines()
    return {name: zone for _, zone, name in (line.split() for line in lines if line.startswith("L "))}


def read_zone(text: str) -> tuple[tzinfo, str]:
    """A zone and how it is named in results. Raises NotMine for an unknown or a many-valued name."""
    name = re.sub(r"\s+(?:time|local time)$", "", " ".join(text.lower().split()))
    if name in SEVERAL or name in NAMESAKES:
        raise NotMine(f"{text} stands for several zones")
    if name in FIXED:
        return timezone(timedelta(minutes=FIXED[name])), name.upper()
    offset = re.fullmatch(r"(?:utc|gmt)\s?(?P<sign>[-+−])\s?(?P<h>[0-9]{1,2})(?::(?P<m>[0-9]{2}))?", name)
    if offset:
        minutes = int(offset["h"]) * 60 + int(offset["m"] or 0)
        if minutes > 14 * 60:
            raise NotMine("no such offset")
        sign = 1 if offset["sign"] == "+" else -1
        return timezone(timedelta(minutes=sign * minutes)), offset_text(timedelta(minutes=sign * minutes))
    key = CITIES.get(name) or zone_names().get(name)
    if key is None:
        raise NotMine("no known zone")
    return ZoneInfo(key), key


def offset_text(offset: timedelta) -> str:
    minutes = int(offset.total_seconds()) // 60
    sign = "-" if minutes < 0 else "+"
    return f"UTC{sign}{abs(minutes) // 60}" + (f":{abs(minutes) % 60:02d}" if minutes % 60 else "")


def read_time(text: str) -> tuple[int, int]:
    """15:00, 3pm, 3:30 p.m., noon, midnight. Raises NotMine for a bare number."""
    text = text.strip().lower()
    if text in ("noon", "midday", "midnight"):
        return (0 if text == "midnight" else 12), 0
    match = TIME.fullmatch(text)
    if match is None or (match["m"] is None and match["half"] is None):
        raise NotMine("no time of day")
    hour, minute = int(match["h"]), int(match["m"] or 0)
    if match["half"]:
        if not 1 <= hour <= 12:
            raise NotMine("no such hour")
        hour = hour % 12 + (12 if match["half"][0] == "p" else 0)
    if hour > 23 or minute > 59:
        raise NotMine("no such time")
    return hour, minute


def moment(day: date, time: tuple[int, int], zone: tzinfo) -> datetime:
    """A local time as a moment. NotMine where a change of clocks skips or repeats it."""
    first, second = (datetime(day.year, day.month, day.day, *time, tzinfo=zone, fold=fold) for fold in (0, 1))
    if first.utcoffset() != second.utcoffset():
        raise NotMine("a local time that is skipped or repeated that night")
    return first


def written(value: datetime, name: str) -> str:
    offset = value.utcoffset() or timedelta(0)
    detail = offset_text(offset)
    place = name if name in ("UTC", "GMT") or name == detail else f"{name} ({detail})"
    return f"{value:%Y-%m-%d %H:%M} {place}"


def convert(match: re.Match[str], now: Now) -> str:
    groups = match.groupdict()
    (zone, zone_name), (target, target_name) = read_zone(match["zone"]), read_zone(match["target"])
    time = read_time(match["time"])
    day = groups.get("iso") or groups.get("day")
    start_day = read_date(day, lambda: now().date()) if day else now().astimezone(zone).date()
    start = moment(start_day, time, zone)
    return f"{written(start, zone_name)} is {written(start.astimezone(target), target_name)}"


def time_difference(match: re.Match[str], now: Now) -> str:
    (first, first_name), (second, second_name) = read_zone(match["zone"]), read_zone(match["target"])
    day = match.groupdict().get("day")
    at = now()
    if day:
        given = read_date(day, lambda: now().date())
        at = datetime(given.year, given.month, given.day, 12, tzinfo=UTC)
    here, there = at.astimezone(first), at.astimezone(second)
    minutes = int(((there.utcoffset() or timedelta(0)) - (here.utcoffset() or timedelta(0))).total_seconds()) // 60
    if minutes == 0:
        return f"on {at.date()} {first_name} and {second_name} have the same time"
    hours = duration(abs(minutes))
    return f"on {at.date()} {second_name} is {hours} {'ahead of' if minutes > 0 else 'behind'} {first_name}"


def duration(minutes: int) -> str:
    parts = [(minutes // 60, "hour"), (minutes % 60, "minute")]
    return " ".join(f"{count} {unit}{'' if count == 1 else 's'}" for count, unit in parts if count) or "0 minutes"


HALF_TOLD = re.compile(r"[ap]\.?m|noon|midday|midnight", re.IGNORECASE)


def between(match: re.Match[str]) -> str:
    (h1, m1), (h2, m2) = read_time(match["time"]), read_time(match["end"])
    halves = [HALF_TOLD.search(match[name]) is not None for name in ("time", "end")]
    if halves == [False, True] and 1 <= h1 <= 12:
        raise NotMine("a half of the day that may be meant for both")  # from 2:00 to 3:00 pm
    minutes = h2 * 60 + m2 - h1 * 60 - m1
    if minutes <= 0:
        raise NotMine("an end before the start: the next day, or the other way around")
    return f"from {h1:02d}:{m1:02d} to {h2:02d}:{m2:02d} is {duration(minutes)}"


CLOCK = r"(?P<time>[0-9]{1,2}(?::[0-9]{2})?\s?(?:am|pm|a\.m\.?|p\.m\.?)?|noon|midday|midnight)"
END = CLOCK.replace("<time>", "<end>")
ZONE, TARGET = r"(?P<zone>[A-Za-z][\w/+: -]{0,40}?)", r"(?P<target>[A-Za-z][\w/+: -]{0,40}?)"
ON = r"(?: on (?P<day>\S.{3,30}))?"
HERE = phrase(rf"(?:the )?(?:current )?time(?: is it)?(?: (?:right )?now)? in {TARGET}(?: (?:right )?now)?")
DIFFERENCE = phrase(rf"(?:the |how many )?(?:time (?:zone )?difference|hours) between {ZONE} and {TARGET}{ON}")
SPAN = phrase(
    r"(?:(?:how much |the )?time|how long(?: is it)?|(?:how many )?(?:hours|minutes)) (?:is )?"
    rf"(?:between|from) {CLOCK} (?:and|to|until) {END}"
)
CONVERSIONS = (
    phrase(
        r"(?:convert |time is (?:it )?)?(?:(?P<iso>[0-9]{4}-[0-9]{2}-[0-9]{2})[ T])?"
        rf"{CLOCK} (?:in )?{ZONE} (?:in|to|into) {TARGET}{ON}"
    ),
    phrase(rf"time is it in {TARGET} (?:when|if) it(?:['’]s| is) {CLOCK} in {ZONE}{ON}"),
)
WORTH_TRYING = re.compile(
    r"\btime\b|[0-9]\s?(?:am|pm|a\.m|p\.m)\b|[0-9]:[0-9]|\b(?:noon|midday|midnight|hours between)\b", re.I
)


def answer(text: str, now: Now) -> str | None:
    """The result of a question about times of day, or None. Raises NotMine where a part of it cannot be read."""
    if not WORTH_TRYING.search(text):
        return None
    text = QUESTION_WORD.sub("", text, count=1) if QUESTION_WORD.match(text) else text
    for pattern in CONVERSIONS:  # first: "time is it in Tokyo when ..." also looks like a place
        match = pattern.fullmatch(text)
        if match:
            return convert(match, now)
    if here := HERE.fullmatch(text):
        if here["target"].lower() == "ct":
            raise NotMine("Connecticut, or Central Time")
        zone, name = read_zone(here["target"])
        return f"it is {written(now().astimezone(zone), name)}"
    if difference := DIFFERENCE.fullmatch(text):
        return time_difference(difference, now)
    if span := SPAN.fullmatch(text):
        return between(span)
    return None

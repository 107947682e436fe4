"""An independent judge of the calculator's lines, for queries that no table foresees.

A line is true if it holds by Python's own arithmetic: expressions are parsed by Python's `ast` and computed with
fractions (mpmath for irrational values), unit lines by a table of factors written from the units' definitions, dates
by `datetime`, rates by the bank's file. Where the query consists of signs alone it is also evaluated directly, and of
any query no number may be missing from the line. Nothing here calls the calculator.
"""

from __future__ import annotations

import ast
import math
import re
from datetime import date, datetime, timedelta, timezone, tzinfo
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import mpmath

from tests.toolset.calculator.golds import ecb_value, read

MP = mpmath.MPContext()
MP.dps = 60
Number = Any
"""A fraction, or a value of MP where irrational."""

LITERAL = r"-?\d+(?:\.\d+)?(?: × 10\^-?\d+)?"
FACTORS = {  # of the base unit of each kind
    "km": "1000", "m": "1", "cm": ".01", "mm": ".001", "mile": "1609.344", "yard": ".9144", "feet": ".3048",
    "foot": ".3048", "inch": ".0254", "inche": ".0254", "kg": "1", "g": ".001", "pound": ".45359237",
    "ounce": ".028349523125", "hour": "3600", "minute": "60", "second": "1", "day": "86400", "week": "604800",
    "km/h": "5/18", "mph": ".44704", "m/s": "1", "L": "1", "mL": ".001", "US gallon": "3.785411784",
    "US cup": ".2365882365", "US fluid ounce": ".0295735295625", "imperial gallon": "4.54609", "m²": "1",
    "square feet": ".09290304", "square foot": ".09290304", "acre": "4046.8564224", "TB": "8000000000000",
    "GB": "8000000000", "MB": "8000000", "kB": "8000", "GiB": "8589934592", "Mbit": "1000000", "month": "1",
    "year": "12", "kWh": "3.6", "MJ": "1", "B": "8", "byte": "8", "bit": "1", "dm": ".1", "nm": ".000000001",
    "µm": ".000001", "ms": ".001", "cL": ".01", "dL": ".1", "tonne": "1000", "mg": ".000001",
}  # fmt: skip


class Unjudged(Exception):
    """The judge has no way to tell; the tests bound how often that happens."""


class NoRealValue(ArithmeticError):
    """The root or logarithm of a negative number, and the like."""


def compute(node: ast.expr) -> Number:
    """The value of a Python expression tree over fractions; mpf where irrational."""
    match node:
        case ast.Constant(value=str(text)):
            return Fraction(text)
        case ast.UnaryOp(ast.USub(), operand):
            return -compute(operand)
        case ast.BinOp(left, operator, right):
            return combine(operator, compute(left), compute(right))
        case ast.Call(ast.Name(name), arguments):
            return apply(name, [compute(argument) for argument in arguments])
        case ast.Name("pi"):
            return +MP.pi
        case ast.Name("e"):
            return +MP.e
    raise Unjudged(ast.dump(node))


def combine(operator: ast.operator, a: Number, b: Number) -> Number:
    if isinstance(operator, ast.Pow):
        if isinstance(a, Fraction) and isinstance(b, Fraction) and b.denominator == 1:
            if abs(b) * max(abs(a.numerator), a.denominator).bit_length() > 20_000:
                raise Unjudged("a large power")
            return a**b.numerator
        return MP.power(real(a), real(b))
    if isinstance(a, Fraction) != isinstance(b, Fraction):
        a, b = real(a), real(b)
    if isinstance(operator, ast.Add):
        return a + b
    if isinstance(operator, ast.Sub):
        return a - b
    if isinstance(operator, ast.Mult):
        return a * b
    if isinstance(operator, ast.Div):
        return a / b
    if isinstance(operator, ast.Mod):
        return a % b
    raise Unjudged(type(operator).__name__)


def real(value: Number) -> Any:
    return MP.mpf(value.numerator) / value.denominator if isinstance(value, Fraction) else value


def apply(name: str, values: list[Number]) -> Number:
    first = values[0]
    exact = {
        "choose": math.comb, "permutations": math.perm, "gcd": math.gcd, "lcm": math.lcm, "factorial": math.factorial,
    }  # fmt: skip
    if name in exact:
        return Fraction(exact[name](*(int(value) for value in values)))
    if name in ("sum", "product", "average", "max", "min", "abs", "median"):
        if name == "sum":
            return sum(values, Fraction(0))
        if name == "product":
            return math.prod(values, start=Fraction(1))
        if name == "average":
            return sum(values, Fraction(0)) / len(values)
        if name == "median":
            ordered, half = sorted(values), len(values) // 2
            return ordered[half] if len(values) % 2 else (ordered[half - 1] + ordered[half]) / 2
        return abs(first) if name == "abs" else max(values, key=real) if name == "max" else min(values, key=real)
    functions = {
        "sqrt": MP.sqrt, "cbrt": lambda x: MP.sign(x) * MP.cbrt(abs(x)), "ln": MP.log, "exp": MP.exp, "sin": MP.sin,
        "log10": MP.log10, "log2": lambda x: MP.log(x) / MP.log(2), "cos": MP.cos, "tan": MP.tan, "asin": MP.asin,
        "acos": MP.acos, "atan": MP.atan, "sind": lambda x: MP.sin(x * MP.pi / 180),
        "cosd": lambda x: MP.cos(x * MP.pi / 180), "tand": lambda x: MP.tan(x * MP.pi / 180),
    }  # fmt: skip
    if (name in ("sqrt", "ln", "log10", "log2", "log") and first < 0) or (name in ("asin", "acos") and abs(first) > 1):
        raise NoRealValue(name)
    if name in ("ln", "log10", "log2", "log") and first == 0:
        raise NoRealValue(name)
    if name == "log":
        return MP.log(real(first)) / MP.log(real(values[1]))
    if name == "root":
        return MP.sign(real(first)) * MP.root(abs(real(first)), int(values[1]))
    if name not in functions:
        raise Unjudged(name)
    return functions[name](real(first))


def evaluate(text: str) -> Number:
    """An arithmetic text in common notation. SyntaxError where Python's grammar sees none."""
    text = text.replace("^", "**").replace("×", "*").replace("÷", "/").replace("−", "-")
    text = re.sub(r"(?<![\d.,])[1-9]\d{0,2}(?:,\d{3})+(?![\d,])", lambda match: match[0].replace(",", ""), text)
    text = re.sub(r"[$€£](?=[\d.])", "", text)
    text = re.sub(r"\b(sin|cos|tan)\(([^()]*) radians\)", r"\1(\2)", text)
    text = re.sub(r"\b(sin|cos|tan)\(([^()]*) degrees\)", r"\1d(\2)", text)
    text = re.sub(r"\bmod\b", "%", text)
    text = re.sub(r"(\d+|\([^()]*\))!", r"factorial(\1)", text)
    text = re.sub(r"((?<![a-z\d.])[\d.]+|\))\s*(?=\()", r"\1*", text)
    text = re.sub(r"(?<![\w.])(\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\.\d+)(?![\w.])", r"'\1'", text)
    try:
        return compute(ast.parse(text.strip(), mode="eval").body)
    except (MemoryError, RecursionError, OverflowError) as error:
        raise Unjudged(str(error)) from None


def percentage(text: str) -> Number:
    """An expression with percentages: shares, changes, sums of percentages (as a fraction of 1)."""
    change = re.fullmatch(r"(.*[^%]) ([+-]) ((?:\b\w+)?\(.*\)|[\d.]+)%", text)
    if change and "%" not in change[1] and change[1].count("(") == change[1].count(")"):
        share = evaluate(change[3]) / 100
        return evaluate(change[1]) * (1 + share if change[2] == "+" else 1 - share)
    text = re.sub(r"\(([^()%]+) ([+-]) ([\d.]+)%\)", r"((\1) * (1 \2 \3 / 100))", text)  # 2 * (3 + 4%)
    text = re.sub(r"((?:\b\w+)?\([^()]*\)|[\d.]+)%", r"(\1 / 100)", text)
    if re.search(r"\d+ / \d+ of", text) or "of" in text:
        text = re.sub(r"((?:\([^()]*\)|[\d./ ]+?)) of", r"(\1) *", text)
    return evaluate(text)


def same(a: Number, b: Number) -> bool:
    """Equality; to 40 digits where a value was computed with real numbers."""
    return a == b if isinstance(a, Fraction) and isinstance(b, Fraction) else close(a, b, 40)


def close(a: Number, b: Number, digits: int = 9) -> bool:
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        return abs(a - b) <= abs(b) * Fraction(6, 10 ** (digits + 1))
    return abs(real(a) - real(b)) <= abs(real(b)) * MP.mpf(10) ** -digits


def says(sign: str, shown: str, value: Number) -> bool:
    """Whether `= shown` or `≈ shown` is true of `value`."""
    if sign == "=":
        return same(read(shown), value)
    return close(read(shown), value)


def base_amount(text: str) -> tuple[Fraction, str] | None:
    """`5 feet 4 inches` in its base unit."""
    total, found = Fraction(0), re.findall(rf"({LITERAL}) ([^\d+-][^\d]*?)(?= {LITERAL}|$)", text.strip())
    if not found:
        return None
    for amount, unit in found:
        name = unit.strip()
        factor = FACTORS.get(name) or FACTORS.get(name.removesuffix("s"))
        if factor is None:
            raise Unjudged(name)
        total += read(amount) * Fraction(factor)
    return total, found[-1][1]


def judge_units(line: str) -> bool:
    left, sign, right = re.split(r" (=|≈) ", line)
    temperature = re.fullmatch(rf"({LITERAL}) (°C|°F|K)", left)
    if temperature:
        target = re.fullmatch(rf"({LITERAL}) (°C|°F|K)", right)
        assert target
        kelvin = {
            "°C": lambda x: x + Fraction("273.15"),
            "°F": lambda x: (x + Fraction("459.67")) * 5 / 9,
            "K": lambda x: x,
        }
        there, shown = kelvin[temperature[2]](read(temperature[1])), kelvin[target[2]](read(target[1]))
        return abs(there - shown) < max(Fraction(1, 10**5), abs(there) / 10**9)
    if re.search(r"\b(?:rad|degrees?|turns?|psi|kPa|hp|W|J|°)", line):
        raise Unjudged(line)
    total = Fraction(0)
    for mark, part in re.findall(r"(^|[+-] )((?:(?! [+-] ).)+)", left):
        amount = base_amount(part)
        assert amount, line
        total += -amount[0] if mark == "- " else amount[0]
    goal = base_amount(right)
    assert goal, line
    return goal[0] == total if sign == "=" else close(goal[0], total, 8)


def judge_date(line: str) -> bool:
    iso = r"(\d{4}-\d{2}-\d{2})"
    days = [date.fromisoformat(text) for text in re.findall(iso, line)]
    if match := re.fullmatch(rf"from {iso} to {iso} is (\d+) days?", line):
        return (days[1] - days[0]).days == int(match[3])
    if match := re.fullmatch(rf"from {iso} to {iso} is (\d+) weeks?(?: and (\d+) days?)?", line):
        return (days[1] - days[0]).days == 7 * int(match[3]) + int(match[4] or 0)
    if re.match(rf"from {iso} to {iso} is ", line):
        counts = {unit: int(count) for count, unit in re.findall(r"(\d+) (year|month|day)s?", line.split(" is ")[1])}
        months = counts.get("year", 0) * 12 + counts.get("month", 0) + days[0].month - 1
        return (
            days[0].replace(year=days[0].year + months // 12, month=months % 12 + 1) + timedelta(counts.get("day", 0))
            == days[1]
        )
    if match := re.fullmatch(rf"(.*) (after|before) {iso} is {iso} \((\w+)\)", line):
        counts = {unit: int(count) for count, unit in re.findall(r"(\d+) (year|month|week|day)s?", match[1])}
        sign = 1 if match[2] == "after" else -1
        months = sign * (counts.get("year", 0) * 12 + counts.get("month", 0)) + days[0].month - 1
        moved = days[0].replace(year=days[0].year + months // 12, month=months % 12 + 1)
        moved += sign * timedelta(counts.get("day", 0) + 7 * counts.get("week", 0))
        return moved == days[1] and f"{days[1]:%A}" == match[5]
    if match := re.fullmatch(rf"(?:today is )?{iso}(?: is a)? \(?(\w+day)\)?", line):
        return f"{days[0]:%A}" == match[2]
    if match := re.fullmatch(rf"someone born on {iso} is (\d+) years? old on {iso}", line):
        birthday = days[0].replace(year=days[0].year + int(match[2]))
        return birthday <= days[1] < birthday.replace(year=birthday.year + 1)
    if match := re.fullmatch(rf"{iso} is day (\d+) of (\d+)", line):
        return date(int(match[3]), 1, 1) + timedelta(int(match[2]) - 1) == days[0]
    if match := re.fullmatch(r"(\d+) is (not )?a leap year", line):
        year = int(match[1])
        return ((year % 4 == 0 and year % 100 != 0) or year % 400 == 0) == (match[2] is None)
    if match := re.fullmatch(r"(\w+) (\d{4}) has (\d+) days", line):
        first = datetime.strptime(f"1 {match[1]} {match[2]}", "%d %B %Y")
        following = (first.replace(day=28) + timedelta(4)).replace(day=1)
        return (following - first).days == int(match[3])
    raise Unjudged(line)


def zone_of(name: str) -> tzinfo:
    offset = re.fullmatch(r"UTC([+-])(\d+)(?::(\d+))?", name)
    if offset is None:
        return ZoneInfo(name)
    minutes = int(offset[2]) * 60 + int(offset[3] or 0)
    return timezone(timedelta(minutes=minutes if offset[1] == "+" else -minutes))


def judge_moment(line: str) -> bool:
    moments = re.findall(r"(\d{4}-\d{2}-\d{2} \d{2}:\d{2}) (UTC[+-]\d+(?::\d+)?|[A-Z]\w+(?:/\w+)*)", line)
    if len(moments) != 2:
        raise Unjudged(line)
    instants = [datetime.fromisoformat(text).replace(tzinfo=zone_of(name)) for text, name in moments]
    return instants[0].timestamp() == instants[1].timestamp()


def judge_line(line: str) -> bool:
    """Whether the line, taken by itself, is true. Raises Unjudged."""
    if match := re.fullmatch(
        rf"({LITERAL}) ([A-Z]{{3}}) ≈ ({LITERAL}) ([A-Z]{{3}}) \(ECB reference rate of (.*)\)", line
    ):
        value = ecb_value(read(match[1]), match[2], match[4], match[5])
        return abs(value - read(match[3])) <= max(Fraction(1, 200), abs(value) / 1000)
    if re.search(r"\d:\d\d", line):
        return judge_moment(line)
    if match := re.fullmatch(r"(\d+) (day|week)s? (after|before) a (\w+) is a (\w+)", line):
        days = int(match[1]) * (7 if match[2] == "week" else 1) * (1 if match[3] == "after" else -1)
        start = next(day for day in (date(2024, 1, 1) + timedelta(n) for n in range(7)) if f"{day:%A}" == match[4])
        return f"{start + timedelta(days % 7):%A}" == match[5]
    if re.search(r"\d{4}-\d{2}-\d{2}|leap year| has \d+ days", line):
        return judge_date(line)
    if match := re.fullmatch(r".* as a percentage of (.*) is undefined \(division by zero\)", line):
        return evaluate(match[1]) == 0
    if match := re.fullmatch(r"(.*) is (≈ )?(-?[\d.]+)% of (≈ )?(.*)", line):
        part, whole = evaluate(match[1]), evaluate(match[5])
        return close(part, whole * Fraction(match[3]) / 100, 8)
    if match := re.fullmatch(r"from (.*) to (.*) is an? (increase|decrease) of (≈ )?([\d.]+)%", line):
        old, new = evaluate(match[1]), evaluate(match[2])
        return close((new - old) / old, Fraction(match[5]) / 100 * (1 if match[3] == "increase" else -1), 8)
    if match := re.fullmatch(r"(.*) divided by (.*) is (\d+) with remainder (\d+)", line):
        return divmod(evaluate(match[1]), evaluate(match[2])) == (int(match[3]), int(match[4]))
    if match := re.fullmatch(
        rf"(.*) rounded to (a whole number|(\d+) decimal places?|the nearest (\d+)) is ({LITERAL})(.*)", line
    ):
        step = Fraction(1, 10 ** int(match[3])) if match[3] else Fraction(match[4] or 1)
        return abs(real(evaluate(match[1])) - real(read(match[5]))) <= real(step / 2)
    if match := re.fullmatch(r"(?:(?:yes|no), )?(.*) is (larger|greater|smaller|less) than (.*)", line):
        a, b = real(evaluate(match[1])), real(evaluate(match[3]))
        return a > b if match[2] in ("larger", "greater") else a < b
    if match := re.fullmatch(r"(\d+) is (not )?prime(?:: .*)?", line):
        number = int(match[1])
        prime = number > 1 and all(number % divisor for divisor in range(2, math.isqrt(number) + 1))
        return prime == (match[2] is None)
    if match := re.fullmatch(r"the divisors of (\d+) are (.*)", line):
        number = int(match[1])
        return [int(text) for text in match[2].split(", ")] == [k for k in range(1, number + 1) if number % k == 0]
    if match := re.fullmatch(r"(\d+) = (0[bxo][0-9a-f]+)", line):
        return int(match[2], 0) == int(match[1])
    if match := re.fullmatch(r"(0[bxo][0-9a-fA-F]+) = (\d+)", line, re.I):
        return int(match[1], 0) == int(match[2])
    if re.match(r"-?[\d.]+ (?!mod|of)[a-zA-Z°µΩ]", line):
        return judge_units(line)
    return judge_arithmetic(line)


def judge_arithmetic(line: str) -> bool:
    if match := re.fullmatch(r"(.*) (?:is undefined|has no real value).*", line):
        try:
            value = percentage(match[1])
        except (ZeroDivisionError, NoRealValue):
            return True
        if match[1].startswith("tan"):
            return abs(value) > 10**40  # the pole, missed by the rounding of pi
        return isinstance(value, mpmath.mpc | MP.mpc) or not MP.isfinite(real(value))
    if match := re.fullmatch(r"(.*) = (.*) is correct", line):
        return close(percentage(match[1]), percentage(match[2]), 40)
    line, _, claimed = line.partition(", not ")
    if re.search(r"[MDCLXVI]{2,}$|has \d+ days", line):
        raise Unjudged(line)
    parts = re.split(r" (=|≈) ", re.sub(r" \(\d+ digits\)|; together .*", "", line))
    value = percentage(parts[0])
    for sign, shown in zip(parts[1::2], parts[2::2], strict=True):
        money = shown.lstrip("-")[0] in "$€£"
        shown = re.sub("[$€£]", "", shown)
        if shown.endswith("%"):
            if not (same(read(shown[:-1]) / 100, value) if sign == "=" else close(read(shown[:-1]) / 100, value)):
                return False
        elif re.fullmatch(r"-?\d+/\d+", shown):
            if not same(Fraction(shown), value):
                return False
        elif money:
            if abs(real(read(shown)) - real(value)) > (0.005 if sign == "≈" else 0):
                return False
        elif "*" in shown:
            if not same(evaluate(shown), value):
                return False
        elif not says(sign, shown, value):
            return False
    if claimed:
        claimed = claimed.removeprefix("exactly ")
        return percentage(claimed) != value
    return True


SIGNS_ONLY = re.compile(r"[\d\s.,()+\-*/^×÷−!]*")
SKIPPED = re.compile(
    r"\b(?:hundred|thousand|million|billion|trillion|dozen|half|quarters?|thirds?|and a|point|[ap]m)\b|[½¼¾⅓⅔]", re.I
)


def missing_number(query: str, line: str) -> str | None:
    """A number of the query that the line does not hold; None where all are there."""
    if SKIPPED.search(query) or re.search(r"\d:\d|\d[ap]m|\de\d", query, re.I):
        return None
    said = {Fraction(text) for text in re.findall(r"\d+(?:\.\d+)?|\.\d+", line)}
    query = re.sub(r"(?<=[a-z])\d", "", query)  # m2
    if "ECB" in line:  # a day without a rate takes an earlier one
        query = re.sub(r"\d{4}-\d{2}-\d{2}| on .*", "", query)
    for text in re.findall(r"\d[\d,]*(?:\.\d+)?|\.\d+", query):
        plain = text.replace(",", "")
        parts = {Fraction(plain)} | ({Fraction(part) for part in text.split(",") if part} if "," in text else set())
        if not parts & said and plain not in line:
            return text
    return None


def judge(query: str, line: str) -> str | None:
    """What is wrong with this answer to this query, or None. Raises Unjudged."""
    missing = missing_number(query.partition("=")[0] if "no real value" in line or "undefined" in line else query, line)
    if missing:
        return f"{missing} of {query!r} is missing in {line!r}"
    core = re.sub(r"^(?:what is|what's|whats|calculate|how much is)\s+", "", query.strip(), flags=re.I).rstrip(" ?=.")
    core = re.sub(r"÷\s*(-?\d+/\d+)(?![\d/^!(.])", r"÷ (\1)", core)  # a fraction without spaces is one number
    if SIGNS_ONLY.fullmatch(core) and "undefined" not in line and not line.startswith("from "):  # of days, not numbers
        try:
            value = evaluate(core)
        except (SyntaxError, ZeroDivisionError):
            return f"{query!r} is no expression, but was answered {line!r}"
        shown = re.split(r" (?:=|≈) ", re.sub(r" \(\d+ digits\)", "", line))[-1]
        if not close(read(shown), value, 8):
            return f"{query!r} is {value}, but was answered {line!r}"
    try:
        true = judge_line(line)
    except SyntaxError:
        raise Unjudged(line) from None
    if not true:
        return f"{line!r} is not true"
    return None

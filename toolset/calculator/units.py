"""Quantities: conversions ("5 miles in km", "how many feet are in 2 miles") and sums ("2 hours 30 minutes + 45 min").

A query is cut into numbers, unit names and signs here; names are looked up in `unit_names` and become pint unit
objects, and pint converts with fractions, so conversions are exact where the units' definitions are. Building pint's
registry takes some tenths of a second; it happens on the first query that holds known units on both sides.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import Any

from toolset.calculator.bounds import checked
from toolset.calculator.errors import NotMine
from toolset.calculator.lexer import read_number
from toolset.calculator.numerals import describe, fraction_text
from toolset.calculator.unit_names import CALENDAR, LONGEST_NAME, UnitName, units_named
from toolset.calculator.words import Word, read_number_words

LOCK = threading.Lock()
PIECES = re.compile(
    r"""(?P<space>\s+)
    |(?P<number>(?:[1-9][0-9]{0,2}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+)(?![0-9,._:])
    |(?P<word>(?:fl\.|[A-Za-zµμΩ°²³]+)(?:[/-][A-Za-z]+)*|['"′″])
    |(?P<op>[-+*/×÷−])""",
    re.VERBOSE,
)
SQUARES = re.compile(r"(?<=[A-Za-z])\^?([23])(?![0-9A-Za-z])")
CONNECTORS = ("in", "to", "into", "as", "->", "→")


@dataclass(frozen=True, slots=True)
class Part:
    """A number and the names its unit may have."""

    value: Fraction
    candidates: tuple[UnitName, ...]


@dataclass(frozen=True, slots=True)
class Quantity:
    """Parts of one amount ("5 feet 4 inches"), its sign in the sum, and its own factor."""

    parts: tuple[Part, ...]
    sign: int = 1


@lru_cache(maxsize=1)
def build_registry() -> Any:
    import pint

    exact: Any = Fraction  # pint's annotation says float, its documentation any number type
    return pint.UnitRegistry(non_int_type=exact)


def registry() -> Any:
    with LOCK:
        return build_registry()


@lru_cache(maxsize=512)
def pint_unit(unit: UnitName) -> Any:
    """The pint unit object of a name in the table."""
    units = registry()
    product = units.dimensionless
    for name, exponent in unit.factors:
        product = product * getattr(units, name) ** exponent
    return product


def convert(value: Fraction, source: UnitName, target: UnitName) -> Fraction | None:
    """`value` of `source` in `target`; None where the two measure different things."""
    if source.measures != target.measures:  # pint would say the same, once it is built
        return None
    months = (CALENDAR.get(source.factors[0][0]), CALENDAR.get(target.factors[0][0]))
    if None not in months:
        return value * months[0] / months[1]  # type: ignore[operator]
    origin, goal = pint_unit(source), pint_unit(target)
    magnitude = registry().Quantity(value * source.multiple, origin).to(goal).magnitude
    return checked(Fraction(magnitude) / target.multiple)


def pieces(text: str) -> list[tuple[str, str]]:
    """(kind, text) of the numbers, words and signs of a text; a "-" that lacks a space on a side is a "dash".

    Raises NotMine for anything else.
    """
    found: list[tuple[str, str]] = []
    position = 0
    while position < len(text):
        match = PIECES.match(text, position)
        if match is None:
            raise NotMine(f"unknown character {text[position]!r}")
        position = match.end()
        if match.lastgroup != "space":
            kind = str(match.lastgroup)
            spaced = text[match.start() - 1].isspace() and text[position : position + 1].isspace()
            if match[0] in "-−" and found and not spaced:
                kind = "dash"
            found.append((kind, match[0]))
    return found


def read_quantities(text: str) -> list[Quantity]:
    """A sum of quantities. Raises NotMine for anything else, such as a number without its unit.

    A dash between different units joins the parts of one amount as often as it subtracts (`5'-4"`): it is left alone.
    """
    items = pieces(text)
    quantities: list[Quantity] = []
    at, sign, dashed = 0, 1, False
    if items and items[0] in (("op", "-"), ("op", "−")):
        sign, at = -1, 1
    while at < len(items):
        parts: list[Part] = []
        while at < len(items) and items[at][0] not in ("op", "dash"):
            value, at = read_value(items, at)
            candidates, at = read_unit(items, at)
            parts.append(Part(value, candidates))
            if at + 1 < len(items) and items[at] == ("word", "and"):
                at += 1
        if not parts:
            raise NotMine("a sign without a quantity")
        if dashed and parts[0].candidates != quantities[-1].parts[-1].candidates:
            raise NotMine("a dash that may join the parts of one amount")
        quantities.append(Quantity(tuple(parts), sign))
        if at < len(items):
            if items[at][1] not in "+-−":
                raise NotMine("a product of quantities")
            sign, dashed = 1 if items[at][1] == "+" else -1, items[at][0] == "dash"
            at += 1
            if at == len(items):
                raise NotMine("a sign at the end")
    if not quantities or (quantities[0].sign < 0 and len(quantities[0].parts) > 1):
        raise NotMine("no quantity, or a sign that may hold for a part of it")
    return quantities


def read_value(items: Sequence[tuple[str, str]], at: int) -> tuple[Fraction, int]:
    """A number in digits or words; "a" and "an" are 1, "half a" is 1/2."""
    kind, text = items[at]
    words: list[Word] = [
        (word.lower(), read_number(word) if kind == "number" else None) for kind, word in items[at : at + 12]
    ]
    found = read_number_words(words)
    if found is not None:
        value, used = found
        if words[at + used - at : at + used - at + 1] in ([("a", None)], [("an", None)]) and value == Fraction(1, 2):
            used += 1
        return value, at + used
    if kind == "number":
        if at + 2 < len(items) and items[at + 1] == ("op", "/") and items[at + 2][0] == "number":
            divisor = read_number(items[at + 2][1])
            if divisor == 0:
                raise NotMine("a fraction over zero")
            return read_number(text) / divisor, at + 3
        return read_number(text), at + 1
    if text.lower() in ("a", "an", "one"):
        return Fraction(1), at + 1
    raise NotMine(f"{text!r} where a number should be")


def read_unit(items: Sequence[tuple[str, str]], at: int) -> tuple[tuple[UnitName, ...], int]:
    """The longest unit name that starts here."""
    for length in range(min(LONGEST_NAME, len(items) - at), 0, -1):
        name = " ".join(text for _, text in items[at : at + length])
        candidates = units_named(name)
        if candidates:
            return candidates, at + length
    raise NotMine("a number without a known unit")


def label(value: Fraction, unit: UnitName, *, approximately: bool = False) -> str:
    text, is_exact = describe(value)
    if not is_exact and not approximately:
        text = fraction_text(value) or text
    mark = "≈ " if approximately and not is_exact else "= " if approximately else ""
    return f"{mark}{text} {unit.singular if value == 1 else unit.plural}"


def total(quantities: Sequence[Quantity], target: UnitName) -> Fraction | None:
    """The sum in `target`, or None where a part cannot be meant in it."""
    result = Fraction(0)
    single = len(quantities) == 1 and len(quantities[0].parts) == 1
    for quantity in quantities:
        for part in quantity.parts:
            values = [convert(part.value * quantity.sign, unit, target) for unit in part.candidates]
            fitting = [value for value in values if value is not None]
            if len(fitting) != 1 or (not single and (target.offset or part.candidates[0].offset)):
                return None
            result = checked(result + fitting[0])
    return result


def source_unit(part: Part, target: UnitName) -> UnitName:
    return next(unit for unit in part.candidates if convert(part.value, unit, target) is not None)


def written(quantities: Sequence[Quantity], target: UnitName) -> str:
    """The left-hand side: `5 feet 4 inches + 2 cm`."""
    texts = []
    for index, quantity in enumerate(quantities):
        mark = ("-" if quantity.sign < 0 else "") if index == 0 else (" + " if quantity.sign > 0 else " - ")
        texts.append(mark + " ".join(label(part.value, source_unit(part, target)) for part in quantity.parts))
    return "".join(texts)


def check_compound(quantities: Sequence[Quantity], target: UnitName) -> None:
    """In "5 feet 4 inches" each unit is smaller than the last and only the last amount may be broken."""
    for quantity in quantities:
        sizes = [convert(Fraction(1), source_unit(part, target), target) for part in quantity.parts]
        for (larger, smaller), (first, second) in zip(pairwise(sizes), pairwise(quantity.parts), strict=True):
            assert larger is not None
            assert smaller is not None
            if smaller >= larger or first.value.denominator != 1 or second.value * smaller >= larger:
                raise NotMine("an amount in units out of order")


def conversion(amount: str, target_text: str) -> str:
    """`5 miles = 8.04672 km`."""
    quantities = read_quantities(amount)
    if " and " in target_text:
        return compound_conversion(quantities, target_text)
    readings = []
    for target in units_named(target_text):
        value = total(quantities, target)
        if value is not None:
            readings.append((target, value))
    if len(readings) != 1:
        raise NotMine(f"{len(readings)} readings of the units")
    target, value = readings[0]
    check_compound(quantities, target)
    check_physical(quantities, target)
    return f"{written(quantities, target)} {label(value, target, approximately=True)}"


def compound_conversion(quantities: Sequence[Quantity], target_text: str) -> str:
    """180 cm in feet and inches: whole numbers of the larger units, the rest in the smallest."""
    names = [name.strip() for name in re.split(r",|\band\b", target_text) if name.strip()]
    targets = [units_named(name)[:1] for name in names]
    if not all(targets) or not 2 <= len(targets) <= 4:
        raise NotMine("unknown units")
    units = [target[0] for target in targets]
    value = total(quantities, units[-1])
    sizes = [size for unit in units if (size := convert(Fraction(1), unit, units[-1])) is not None]
    if value is None or value < 0 or len(sizes) < len(units) or sizes != sorted(sizes, reverse=True):
        raise NotMine("units that do not fit")
    check_compound(quantities, units[-1])
    counts, rest = whole_units(value, sizes)
    text, is_exact = describe(rest)
    if not is_exact and text == describe(sizes[-2])[0]:  # 11.99999999999 inches: a foot more
        counts, rest = whole_units(value - rest + sizes[-2], sizes)
        text = describe(rest)[0]
    texts = [label(count, unit) for count, unit in zip(counts, units, strict=False)]
    texts.append(f"{text} {units[-1].singular if rest == 1 else units[-1].plural}")
    return f"{written(quantities, units[-1])} {'=' if is_exact else '≈'} {' '.join(texts)}"


def whole_units(value: Fraction, sizes: Sequence[Fraction]) -> tuple[list[Fraction], Fraction]:
    """How many whole units of each size but the last are in `value`, and what is left; all in the last unit."""
    counts, rest = [], value
    for size in sizes[:-1]:
        counts.append(Fraction(rest // size))
        rest %= size
    return counts, rest


def check_physical(quantities: Sequence[Quantity], target: UnitName) -> None:
    """No temperature is below absolute zero, and no other amount is negative without a sum."""
    part = quantities[0].parts[0]
    unit = source_unit(part, target)
    if unit.factors[0][0] in ("degC", "degF", "kelvin"):
        kelvin = units_named("kelvin")[0]
        absolute = convert(part.value * quantities[0].sign, unit, kelvin)
        if absolute is None or absolute < 0:
            raise NotMine("a temperature below absolute zero")


def plain_sum(text: str) -> str:
    """`2 hours 30 minutes + 45 minutes = 195 minutes`, in the last part's unit."""
    quantities = read_quantities(text)
    if len(quantities) < 2:
        raise NotMine("a quantity alone")
    readings = {}
    for target in quantities[-1].parts[-1].candidates:
        value = total(quantities, target)
        if value is not None:
            readings[target] = value
    if len(readings) != 1:
        raise NotMine("units that do not add up")
    ((target, value),) = readings.items()
    check_compound(quantities, target)
    return f"{written(quantities, target)} {label(value, target, approximately=True)}"


RANGE = re.compile(r"(?P<low>[^-−+]*[0-9][^-−+]*[^-−+\s])\s*[-−]\s*(?P<high>[0-9][^-−+]*)")


def is_range(text: str) -> bool:
    """Whether the whole text is like `5 km - 10 km`, a difference below zero: unasked, it is a span of amounts."""
    match = RANGE.fullmatch(text)
    try:
        quantities = read_quantities(text) if match else []
    except NotMine:
        return False
    if len(quantities) != 2:
        return False
    difference = total(quantities, quantities[1].parts[-1].candidates[0])
    return difference is not None and difference < 0


HOW_MANY = re.compile(
    r"how many (?P<unit>\S.{0,40}?) (?:(?:are|is|do|does|makes?|equals?)(?: there)?(?: in)?|(?:there )?in) "
    r"(?P<amount>\S.{0,80}?)(?: (?:have|has|make|equal|contain))?",
    re.IGNORECASE,
)
COMMAND = re.compile(r"(?:convert|change|turn|express|how (?:much|long|far|tall|heavy|hot|cold|big) (?:is|are)) ", re.I)


def answer(text: str) -> str | None:
    """The result of a conversion or a sum of quantities; None or NotMine where the text is neither."""
    if not any(character.isalpha() or character in "'\"′″°" for character in text):
        return None
    text = SQUARES.sub(lambda match: "²" if match[1] == "2" else "³", text)
    asked = HOW_MANY.fullmatch(text)
    if asked:
        return conversion(asked["amount"], asked["unit"])
    command = COMMAND.match(text)
    if command:
        text = text[command.end() :]
    for connector in re.finditer(r"\s*(?:->|→)\s*|\s+(?:in|to|into|as)(?=\s)", text):
        amount, target = text[: connector.start()], text[connector.end() :].strip()
        target = target.removeprefix("the ")
        if target and (units_named(target) or " and " in target):
            return conversion(amount, target)
    if re.search(r"[0-9a-z'\"]\s*[-+−]\s*[0-9a-z]", text):
        return plain_sum(text)
    return None

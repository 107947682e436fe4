"""Amounts of money in an expression: `$5 + $3.50`, `15% of $80`, `$48 / 2`; one currency sign at a time.

An amount may be added to an amount and multiplied by a number; `$5 + 3` and `$5 * $3` are left alone.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

from toolset.calculator.errors import NotMine
from toolset.calculator.lexer import MONEY as SIGNS
from toolset.calculator.numerals import exact_text
from toolset.calculator.syntax import Binary, Call, Change, Constant, Degrees, Negative, Node, Number, Of, Percent


def money_unit(node: Node) -> str | None:
    """The currency sign of the node's value, or None for a number. Raises NotMine where amounts do not fit."""
    match node:
        case Number(text=text):
            return text[0] if text[0] in SIGNS else None
        case Constant():
            return None
        case Negative(operand):
            return money_unit(operand)
        case Percent(operand) | Degrees(operand):
            return number_only(operand)
        case Of(share, whole):
            number_only(share)
            return money_unit(whole)
        case Change(_, base, percent):
            number_only(percent)
            return money_unit(base)
        case Binary("+" | "-", left, right):
            units = {money_unit(left), money_unit(right)}
            if len(units) != 1:
                raise NotMine("an amount of money plus a number")
            return units.pop()
        case Binary("*", left, right):
            units = {money_unit(left), money_unit(right)}
            if len(units) == 1 and None not in units:
                raise NotMine("money times money")
            if len(units - {None}) > 1:
                raise NotMine("two currencies")
            return next(iter(units - {None}), None)
        case Binary("/", left, right):
            above, below = money_unit(left), money_unit(right)
            if below is not None and above != below:
                raise NotMine("a number over money")
            return above if below is None else None
        case Binary(_, left, right):
            number_only(left)
            return number_only(right)
        case Call(name, arguments):
            units = {money_unit(argument) for argument in arguments}
            if units == {None}:
                return None
            if len(units) == 1 and name in ("sum", "average", "median", "min", "max"):
                return units.pop()
            raise NotMine(f"{name} of money")
    return None


def number_only(node: Node) -> None:
    if money_unit(node) is not None:
        raise NotMine("money where a number should be")


def money_text(value: Fraction | Decimal, unit: str) -> str:
    """`= $8.50`, `≈ $3.33`: exact to the cent where it is, rounded to the cent where it is not."""
    amount = Fraction(value)
    sign = "-" if amount < 0 else ""
    amount = abs(amount)
    if amount > 10**20:
        raise NotMine("an amount past all money")
    if amount.denominator == 1:
        text = exact_text(amount)
        if text:
            return f"= {sign}{unit}{text}"
    cents = amount * 100
    if cents.denominator == 1 and isinstance(value, Fraction):
        return f"= {sign}{unit}{cents.numerator // 100}.{cents.numerator % 100:02d}"
    if cents < 1:
        raise NotMine("less than a cent")
    rounded = (Decimal(cents.numerator) / Decimal(cents.denominator)).quantize(Decimal(1), ROUND_HALF_UP)
    return f"≈ {sign}{unit}{int(rounded) // 100}.{int(rounded) % 100:02d}"

"""A tree to its result line: the value, and the expression quoted with it (`135 + 7721 = 7856`)."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

from toolset.calculator.approximate import approximate
from toolset.calculator.errors import NotMine, Undefined
from toolset.calculator.exact import exact
from toolset.calculator.money import money_text, money_unit
from toolset.calculator.numerals import describe, equals, rounded_text
from toolset.calculator.parser import parse
from toolset.calculator.syntax import Constant, Degrees, Negative, Node, Number, Percent, is_percentage, show

UNKNOWN = re.compile(r"\bx\s*[-−–]", re.IGNORECASE)


def value_of(node: Node) -> Fraction | Decimal:
    """The value, exact where it is rational. Raises NotMine, TooLarge or Undefined."""
    value = exact(node)
    return value if isinstance(value, Fraction) else approximate(node)


def evaluate(node: Node) -> str:
    """The result line of a tree; also for one whose value is undefined."""
    unit = money_unit(node)
    try:
        value = value_of(node)
    except Undefined as undefined:
        return f"{show(node)} {undefined}"
    if unit:
        return f"{show(node)} {money_text(value, unit)}"
    return f"{show(node)} {right_side(node, value)}"


def calculate(text: str) -> str:
    """`135 + 7721 = 7856`. Raises NotMine where the text is no expression with an operation in it."""
    node = parse(text)
    if not has_operation(node) or isinstance(node, Degrees):
        raise NotMine("a number or an angle alone")
    return evaluate(node)


def right_side(node: Node, value: Fraction | Decimal) -> str:
    """`= 12`, `= 50%`; of `10 / 3` only the decimal expansion, since the fraction is what was asked."""
    if is_percentage(node) and isinstance(value, Fraction):
        written, is_exact = describe(value * 100)
        return f"{'=' if is_exact else '≈'} {written}%"
    short = isinstance(value, Fraction) and value.denominator.bit_length() < 64 > value.numerator.bit_length()
    is_itself = short and show(node).replace(" ", "") == str(value)
    return equals(value, as_fraction=not is_itself)


def has_operation(node: Node) -> bool:
    """Whether there is anything to compute: not in `42`, `-5`, `15%`, `pi`."""
    match node:
        case Number() | Constant():
            return False
        case Negative(operand) | Percent(operand) | Degrees(operand):
            return has_operation(operand)
    return True


def check_equation(text: str) -> str | None:
    """`48/2=24` is confirmed, `2+2=5` is corrected; None where the text is no equation of a result."""
    left_text, sign, right_text = text.removeprefix("is ").partition("=")
    if not sign:
        return None
    if UNKNOWN.search(left_text):
        raise NotMine("an equation to be solved for x")
    left, right = parse(left_text), parse(right_text)
    claimed = exact(right)
    if (
        not has_operation(left)
        or isinstance(left, Degrees)
        or has_operation(right)
        or not isinstance(claimed, Fraction)
    ):
        raise NotMine("no equation of a result")
    if is_percentage(left) != is_percentage(right) or money_unit(left) != money_unit(right):
        raise NotMine("a percentage against a number, or money against none")
    try:
        value = value_of(left)
    except Undefined as undefined:
        return f"{show(left)} {undefined}"
    if value == claimed:
        return f"{show(left)} = {show(right)} is correct"
    if isinstance(value, Decimal):
        return f"{show(left)} ≈ {rounded_text(value)}, not exactly {show(right)}"
    unit = money_unit(left)
    return f"{show(left)} {money_text(value, unit) if unit else right_side(left, value)}, not {show(right)}"

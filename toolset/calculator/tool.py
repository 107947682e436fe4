"""The calculator: one query in, one exact line out, or nothing.

A query is answered only where the whole of it is understood; everything else is an empty list, so that the toolset
asks the next tool. The text goes through this package's own lexer and parser alone: it never reaches `eval`, nor the
parsers of sympy or pint, and its length, nesting and the size of every value are bounded, so a refusal is immediate.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from toolset.calculator import percentages
from toolset.calculator.approximate import approximate
from toolset.calculator.bounds import MAX_CHARS
from toolset.calculator.errors import NotMine, Undefined
from toolset.calculator.exact import PiTimes, exact
from toolset.calculator.numerals import describe, equals, rounded_text
from toolset.calculator.openings import looks_otherwise, strip_question
from toolset.calculator.parser import parse
from toolset.calculator.syntax import Constant, Degrees, Negative, Node, Number, Percent, is_percentage, show
from toolset.tool import Result, Tool


class Calculator(Tool):
    """LaMDA's calculator (arXiv 2201.08239, section 6.2): `135 + 7721`, "15% of 80", "what is half of 10?"."""

    name = "calculator"
    description = (
        "Computes arithmetic, percentages, roots, logarithms, trigonometry and combinatorics exactly, "
        "in symbols or in words. Returns nothing for what it does not fully understand."
    )
    timeout = 2.0

    def run(self, query: str) -> list[Result]:
        """One result, or an empty list for a query that is not wholly understood or is past the bounds."""
        if not query or len(query) > MAX_CHARS or not query.isprintable():
            return []
        text, commanded = strip_question(query)
        if not text or (looks_otherwise(text) and not commanded):
            return []
        for answer in (percentages.answer, check_equation, calculate):
            try:
                found = answer(text)
            except NotMine:
                continue
            if found is not None:
                return [Result(text=found)]
        return []


def calculate(text: str) -> str:
    """`135 + 7721 = 7856`. Raises NotMine where the text is no expression with an operation in it."""
    node = parse(text)
    if not has_operation(node):
        raise NotMine("a number alone")
    try:
        value = value_of(node)
    except Undefined as undefined:
        return f"{show(node)} {undefined}"
    if is_percentage(node) and isinstance(value, Fraction):
        written, is_exact = describe(value * 100)
        return f"{show(node)} {'=' if is_exact else '≈'} {written}%"
    return f"{show(node)} {right_side(node, value)}"


def value_of(node: Node) -> Fraction | Decimal:
    """The value, exact where it is rational. Raises NotMine, TooLarge or Undefined."""
    value = exact(node)
    if isinstance(value, Fraction):
        return value
    if value is not None and not isinstance(value, PiTimes):
        raise NotMine("no value")
    return approximate(node)


def right_side(node: Node, value: Fraction | Decimal) -> str:
    """`= 12`; of `10 / 3` only the decimal expansion, since the fraction is what was asked."""
    is_itself = isinstance(value, Fraction) and show(node).replace(" ", "") == str(value)
    return equals(value, as_fraction=not is_itself)


def has_operation(node: Node) -> bool:
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
    left, right = parse(left_text), parse(right_text)
    claimed = exact(right)
    if not has_operation(left) or has_operation(right) or not isinstance(claimed, Fraction):
        raise NotMine("no equation of a result")
    if is_percentage(left) != is_percentage(right):
        raise NotMine("a percentage against a number")
    value = value_of(left)
    if value == claimed:
        return f"{show(left)} = {show(right)} is correct"
    if isinstance(value, Decimal):
        return f"{show(left)} ≈ {rounded_text(value)}, not exactly {show(right)}"
    return f"{show(left)} {right_side(left, value)}, not {show(right)}"

"""The value of a tree that is not rational, to more digits than are ever printed.

Each value is computed twice, at two working precisions; only digits on which both agree are trusted, and where they
agree on too few (a difference that cancels, the sine of a huge number) the query is not answered. Every subtree that
has an exact value takes part with it. mpmath is imported on first use; contexts are per thread, because a context's
precision is mutable.
"""

from __future__ import annotations

import threading
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any

from toolset.calculator.bounds import MAX_APPROX_EXPONENT
from toolset.calculator.errors import NotMine, TooLarge, Undefined
from toolset.calculator.exact import Exact, PiTimes, exact
from toolset.calculator.syntax import Binary, Call, Change, Constant, Degrees, Negative, Node, Number, Of, Percent

WORKING_DIGITS = (50, 110)
AGREEING_DIGITS = 30

LOCAL = threading.local()


def context() -> Any:
    """This thread's own mpmath context."""
    if not hasattr(LOCAL, "context"):
        import mpmath

        LOCAL.context = mpmath.MPContext()
    return LOCAL.context


def approximate(node: Node) -> Decimal:
    """The value to at least AGREEING_DIGITS significant digits. Raises NotMine, TooLarge or Undefined."""
    mp = context()
    known: dict[int, Exact] = {}
    low, high = (evaluate_at(node, mp, digits, known) for digits in WORKING_DIGITS)
    if high == 0 or abs(low - high) > abs(high) * mp.mpf(10) ** -AGREEING_DIGITS:
        raise NotMine("a value whose digits cancel")
    return Context(prec=AGREEING_DIGITS).create_decimal(mp.nstr(high, AGREEING_DIGITS + 5))


def evaluate_at(node: Node, mp: Any, digits: int, known: dict[int, Exact]) -> Any:
    mp.dps = digits
    return evaluate(node, mp, known)


def evaluate(node: Node, mp: Any, known: dict[int, Exact]) -> Any:
    """The value of `node` as an mpf at the context's precision."""
    value = exact(node, known)
    if isinstance(value, Fraction):
        return mp.mpf(value.numerator) / value.denominator
    if isinstance(value, PiTimes):
        return mp.pi * value.factor.numerator / value.factor.denominator
    match node:
        case Constant("e"):
            return +mp.e
        case Negative(operand):
            return -evaluate(operand, mp, known)
        case Percent(operand):
            return evaluate(operand, mp, known) / 100
        case Degrees(operand):
            return evaluate(operand, mp, known) * mp.pi / 180
        case Of(share, whole):
            return bounded(evaluate(share, mp, known) * evaluate(whole, mp, known), mp)
        case Change(operator, base, percent):
            share = evaluate(percent, mp, known)
            return bounded(evaluate(base, mp, known) * (1 + share if operator == "+" else 1 - share), mp)
        case Binary(operator, left, right):
            return bounded(binary(operator, evaluate(left, mp, known), evaluate(right, mp, known), mp), mp)
        case Call(name, arguments):
            return bounded(call(name, [evaluate(argument, mp, known) for argument in arguments], mp), mp)
        case Number() | Constant():
            pass
    raise NotMine("no value")


def bounded(value: Any, mp: Any) -> Any:
    if not mp.isfinite(value):
        raise Undefined("is undefined")
    if value and abs(mp.mag(value)) > MAX_APPROX_EXPONENT * 3.33:
        raise TooLarge(f"a value past 10^±{MAX_APPROX_EXPONENT}")
    return value


def binary(operator: str, left: Any, right: Any, mp: Any) -> Any:
    if operator == "+":
        return left + right
    if operator == "-":
        return left - right
    if operator == "*":
        return left * right
    if operator == "/":
        if right == 0 or tiny(right, mp):
            raise NotMine("a division by a value that cancels")
        return left / right
    if operator == "^":
        if left <= 0:
            raise NotMine("an irrational power of a number that is not positive")
        return exponential(right * mp.log(left), mp)
    raise NotMine(operator)


def exponential(exponent: Any, mp: Any) -> Any:
    if abs(exponent) > MAX_APPROX_EXPONENT * 2.31:
        raise TooLarge(f"a value past 10^±{MAX_APPROX_EXPONENT}")
    return mp.exp(exponent)


def tiny(value: Any, mp: Any) -> bool:
    """Whether a computed value may really be zero: then its sign and its inverse mean nothing."""
    return abs(value) < mp.mpf(10) ** -(WORKING_DIGITS[0] // 2)


def call(name: str, values: list[Any], mp: Any) -> Any:
    value = values[0]
    if name in ("sqrt", "cbrt", "root", "ln", "log10", "log2", "log") and tiny(value, mp):
        raise NotMine("a value that cancels")
    if name in ("sqrt", "ln", "log10", "log2", "log") and value < 0:
        raise Undefined("has no real value")
    if name in ("asin", "acos") and abs(value) > 1:
        raise Undefined("has no real value")
    if name in ("sin", "cos", "tan") and abs(value) > mp.mpf(10) ** 30:
        raise TooLarge(f"{name} of a huge angle")
    match name:
        case "sqrt":
            return mp.sqrt(value)
        case "cbrt":
            return mp.sign(value) * mp.cbrt(abs(value))
        case "root":
            degree = int(values[1])
            return mp.sign(value) * mp.root(abs(value), degree)
        case "ln":
            return mp.log(value)
        case "log10":
            return mp.log(value) / mp.log(10)
        case "log2":
            return mp.log(value) / mp.log(2)
        case "log":
            base = values[1]
            if base <= 0 or tiny(base - 1, mp):
                raise NotMine("a base that is not positive, or 1")
            return mp.log(value) / mp.log(base)
        case "exp":
            return exponential(value, mp)
        case "sin" | "cos" | "tan" | "asin" | "acos" | "atan":
            return getattr(mp, name)(value)
        case "abs":
            return abs(value)
        case "min":
            return min(values)
        case "max":
            return max(values)
        case "sum":
            return mp.fsum(values)
        case "product":
            return mp.fprod(values)
        case "average":
            return mp.fsum(values) / len(values)
        case "median":
            ordered, half = sorted(values), len(values) // 2
            return ordered[half] if len(values) % 2 else (ordered[half - 1] + ordered[half]) / 2
    raise NotMine(f"{name} of an irrational number")

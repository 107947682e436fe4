"""The exact value of a tree: a fraction, or a rational multiple of pi; None where the value is neither.

Everything that can be exact is: sqrt(16/9), log2(8), sin(pi/6), 27^(1/3). Values that are not (sqrt(2)) are left to
`approximate`. Raises Undefined for what has no real value, TooLarge before a step past the bounds is taken.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from toolset.calculator.bounds import MAX_BITS, MAX_FACTORIAL, check_power, checked
from toolset.calculator.errors import NotMine, TooLarge, Undefined
from toolset.calculator.syntax import Binary, Call, Change, Constant, Degrees, Negative, Node, Number, Of, Percent


@dataclass(frozen=True, slots=True)
class PiTimes:
    """factor · pi, factor not 0."""

    factor: Fraction


Exact = Fraction | PiTimes | None


def exact(node: Node, known: dict[int, Exact] | None = None) -> Exact:
    """The exact value of `node`, or None. `known` keeps the values of subtrees, by id, within one evaluation."""
    if known is None:
        known = {}
    if id(node) not in known:
        known[id(node)] = compute(node, known)
    return known[id(node)]


def compute(node: Node, known: dict[int, Exact]) -> Exact:
    match node:
        case Number(value=value):
            return value
        case Constant(name):
            return {"pi": PiTimes(Fraction(1)), "tau": PiTimes(Fraction(2))}.get(name)
        case Negative(operand):
            return times(Fraction(-1), exact(operand, known))
        case Percent(operand):
            return times(Fraction(1, 100), exact(operand, known))
        case Degrees(operand):
            angle = exact(operand, known)
            return pi_times(angle / 180) if isinstance(angle, Fraction) else None
        case Of(share, whole):
            return times(exact(share, known), exact(whole, known))
        case Change(operator, base, percent):
            share = exact(percent, known)
            if not isinstance(share, Fraction):
                return None
            return times(1 + share if operator == "+" else 1 - share, exact(base, known))
        case Binary(operator, left, right):
            return binary(operator, exact(left, known), exact(right, known))
        case Call("ln", (Constant("e"),)):
            return Fraction(1)
        case Call("ln", (Binary("^", Constant("e"), exponent),)):
            return exact(exponent, known)
        case Call(name, arguments):
            return call(name, [exact(argument, known) for argument in arguments])


def pi_times(factor: Fraction) -> Exact:
    return PiTimes(checked(factor)) if factor else Fraction(0)


def times(left: Exact, right: Exact) -> Exact:
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return checked(left * right)
    if isinstance(left, Fraction) and isinstance(right, PiTimes):
        return pi_times(left * right.factor)
    if isinstance(left, PiTimes) and isinstance(right, Fraction):
        return pi_times(left.factor * right)
    return None


def binary(operator: str, left: Exact, right: Exact) -> Exact:
    if operator in ("/", "mod", "%") and right == 0:
        raise Undefined("is undefined (division by zero)")
    if operator == "^":
        return power(left, right)
    if operator == "*":
        return times(left, right)
    if operator == "/":
        if isinstance(left, PiTimes) and isinstance(right, PiTimes):
            return checked(left.factor / right.factor)
        return times(left, 1 / right) if isinstance(right, Fraction) else None
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        if operator in ("mod", "%"):
            if left < 0 or right < 0:
                raise NotMine("a modulo of negative numbers")  # languages and textbooks differ
            if operator == "%" and left <= right:
                raise NotMine("a modulo that changes nothing, or a percentage")
            return checked(left % right)
        return checked(left + right if operator == "+" else left - right)
    if isinstance(left, PiTimes) and isinstance(right, PiTimes) and operator in "+-":
        return pi_times(left.factor + (right.factor if operator == "+" else -right.factor))
    if left == 0 and operator in "+-":
        return times(Fraction(1 if operator == "+" else -1), right)
    if right == 0 and operator in "+-":
        return left
    if operator in ("mod", "%"):
        raise NotMine("a modulo of irrational numbers")
    return None


def power(base: Exact, exponent: Exact) -> Exact:
    if not isinstance(exponent, Fraction):
        return Fraction(1) if base == 1 and exponent is not None else None
    if exponent == 1:
        return base
    if not isinstance(base, Fraction):
        return Fraction(1) if exponent == 0 and base is not None else None
    if base == 0:
        if exponent == 0:
            raise NotMine("0^0")  # 1 or undefined, depending on whom one asks
        if exponent < 0:
            raise Undefined("is undefined (division by zero)")
        return Fraction(0)
    if exponent.denominator == 1:
        if base in (1, -1):
            return base if exponent % 2 else Fraction(1)
        check_power(base, exponent.numerator)
        return checked(base**exponent.numerator)
    if base < 0:
        raise NotMine("a fractional power of a negative number")  # real root or principal value
    root = rational_root(base, exponent.denominator)
    return None if root is None else power(root, Fraction(exponent.numerator))


def rational_root(value: Fraction, degree: int) -> Fraction | None:
    """The rational number r >= 0 with r^degree = value >= 0, or None."""
    numerator, denominator = integer_root(value.numerator, degree), integer_root(value.denominator, degree)
    if numerator is None or denominator is None:
        return None
    return Fraction(numerator, denominator)


def integer_root(value: int, degree: int) -> int | None:
    if value < 2:
        return value
    if degree == 2:
        root = math.isqrt(value)
        return root if root * root == value else None
    if degree >= value.bit_length():
        return None
    bits = math.log2(value) / degree  # Newton's method from just above the root: a few steps at any size
    shift = max(0, int(bits) - 50)
    root = (int(2 ** (bits - shift) * (1 + 1e-9)) + 1) << shift
    while True:
        better = ((degree - 1) * root + value // root ** (degree - 1)) // degree
        if better >= root:
            break
        root = better
    return root if root**degree == value else None


def call(name: str, arguments: Sequence[Exact]) -> Exact:
    if name in ("sin", "cos", "tan"):
        return trigonometric(name, arguments[0])
    values: list[Fraction] = []
    for argument in arguments:
        if not isinstance(argument, Fraction):
            if name in INTEGER_ONLY or name in ("floor", "ceil"):
                raise NotMine(f"{name} of an irrational number")
            if name == "abs" and isinstance(argument, PiTimes):
                return PiTimes(abs(argument.factor))
            return None
        values.append(argument)
    if name in INTEGER_ONLY:
        if any(value.denominator != 1 for value in values):
            raise NotMine(f"{name} of a number that is not whole")
        return INTEGER_ONLY[name]([value.numerator for value in values])
    return RATIONAL[name](values)


def trigonometric(name: str, angle: Exact) -> Exact:
    """sin, cos and tan are rational only at 0, ±1/2, ±1 (Niven's theorem; tan at 0, ±1) for rational angles/pi."""
    if angle is None:
        return None
    turns = (Fraction(0) if isinstance(angle, Fraction) else angle.factor) / 2 % 1
    if isinstance(angle, Fraction) and angle != 0:
        return None
    sine = {0: 0, 1: Fraction(1, 2), 3: 1, 5: Fraction(1, 2), 6: 0, 7: Fraction(-1, 2), 9: -1, 11: Fraction(-1, 2)}
    if name == "tan":
        if turns in (Fraction(1, 4), Fraction(3, 4)):
            raise Undefined("is undefined")
        return {Fraction(0): Fraction(0), Fraction(1, 8): Fraction(1), Fraction(3, 8): Fraction(-1)}.get(
            turns % Fraction(1, 2)
        )
    twelfths = (turns + (Fraction(1, 4) if name == "cos" else 0)) % 1 * 12
    if twelfths.denominator != 1 or int(twelfths) not in sine:
        return None
    return Fraction(sine[int(twelfths)])


def factorial(values: Sequence[int]) -> Fraction:
    (n,) = values
    if n < 0:
        raise Undefined("is undefined")
    if n > MAX_FACTORIAL:
        raise TooLarge("a factorial past the bounds")
    return checked(Fraction(math.factorial(n)))


def choose(values: Sequence[int]) -> Fraction:
    n, k = values
    if n < 0 or k < 0:
        raise NotMine("combinations of negative numbers")
    if k <= n and min(k, n - k) * n.bit_length() > MAX_BITS:
        raise TooLarge("a binomial coefficient past the bounds")
    return checked(Fraction(math.comb(n, k)))


def permutations(values: Sequence[int]) -> Fraction:
    n, k = values
    if n < 0 or k < 0:
        raise NotMine("permutations of negative numbers")
    if k <= n and k * n.bit_length() > MAX_BITS:
        raise TooLarge("a number of permutations past the bounds")
    return checked(Fraction(math.perm(n, k)))


def common(function):
    def apply(values: Sequence[int]) -> Fraction:
        if any(value <= 0 for value in values):
            raise NotMine("a divisor or multiple of zero or negative numbers")
        return checked(Fraction(function(*values)))

    return apply


def square_root(values: Sequence[Fraction]) -> Fraction | None:
    (value,) = values
    if value < 0:
        raise Undefined("has no real value")
    return rational_root(value, 2)


def cube_root(values: Sequence[Fraction]) -> Fraction | None:
    return nth_root([*values, Fraction(3)])


def nth_root(values: Sequence[Fraction]) -> Fraction | None:
    value, degree = values
    if degree.denominator != 1 or degree < 1:
        raise NotMine("a root of a degree that is not a positive whole number")
    if value < 0 and degree % 2 == 0:
        raise Undefined("has no real value")
    root = rational_root(abs(value), degree.numerator)
    return None if root is None else root if value >= 0 else -root


def logarithm(values: Sequence[Fraction]) -> Fraction | None:
    """log_base(value) = p/q exactly where base^p = value^q, for q up to 6."""
    value, base = values
    if base <= 0 or base == 1 or value <= 0:
        raise Undefined("has no real value")
    if abs(log_of(base)) < 1e-12:
        return None
    estimate = log_of(value) / log_of(base)
    for denominator in range(1, 7):
        numerator = round(estimate * denominator)
        try:
            check_power(base, numerator)
            check_power(value, denominator)
        except TooLarge:
            break
        if base**numerator == value**denominator:
            return Fraction(numerator, denominator)
    return None


def log_of(value: Fraction) -> float:
    return math.log(value.numerator) - math.log(value.denominator)


def natural_logarithm(values: Sequence[Fraction]) -> Fraction | None:
    if values[0] <= 0:
        raise Undefined("has no real value")
    return Fraction(0) if values[0] == 1 else None


def inverse_in_range(values: Sequence[Fraction]) -> Fraction | None:
    if abs(values[0]) > 1:
        raise Undefined("has no real value")
    return None


def median(values: Sequence[Fraction]) -> Fraction:
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(values) % 2 else (ordered[half - 1] + ordered[half]) / 2


def only_zero(result: int):
    return lambda values: Fraction(result) if values[0] == 0 else None


INTEGER_ONLY = {
    "factorial": factorial,
    "choose": choose,
    "permutations": permutations,
    "gcd": common(math.gcd),
    "lcm": common(math.lcm),
}
RATIONAL = {
    "sqrt": square_root,
    "cbrt": cube_root,
    "root": nth_root,
    "ln": natural_logarithm,
    "log10": lambda values: logarithm([*values, Fraction(10)]),
    "log2": lambda values: logarithm([*values, Fraction(2)]),
    "log": logarithm,
    "exp": only_zero(1),
    "asin": lambda values: only_zero(0)(values) if values[0] == 0 else inverse_in_range(values),
    "acos": lambda values: Fraction(0) if values[0] == 1 else inverse_in_range(values),
    "atan": only_zero(0),
    "abs": lambda values: abs(values[0]),
    "floor": lambda values: Fraction(math.floor(values[0])),
    "ceil": lambda values: Fraction(math.ceil(values[0])),
    "min": min,
    "max": max,
    "sum": lambda values: checked(sum(values, Fraction(0))),
    "product": lambda values: checked(product(values)),
    "average": lambda values: checked(sum(values, Fraction(0)) / len(values)),
    "median": median,
}


def product(values: Sequence[Fraction]) -> Fraction:
    result = Fraction(1)
    for value in values:
        result = checked(result * value)
    return result

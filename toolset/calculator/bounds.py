"""The bounds on one query's work: length, nesting, digits. They are what makes a refusal immediate.

Every step of the evaluation checks the size of its result *before* it computes it, so no query, however short
(`9**9**9`), can make the calculator hold the interpreter for long.
"""

from __future__ import annotations

from fractions import Fraction
from math import log2

from toolset.calculator.errors import TooLarge

MAX_CHARS = 400
"""Longest query, in characters."""
MAX_TOKENS = 200
MAX_DEPTH = 40
"""Deepest nesting of parentheses, signs, powers and functions."""
MAX_LITERAL_DIGITS = 60
MAX_BITS = 1 << 14
"""Largest numerator or denominator of an exact value: 16,384 bits, about 4,900 decimal digits."""
MAX_FACTORIAL = 1_000
MAX_APPROX_EXPONENT = 10_000
"""An inexact value v is computed for 10^-10000 < |v| < 10^10000."""


def checked(value: Fraction) -> Fraction:
    """`value`, or TooLarge where its numerator or denominator is past MAX_BITS."""
    if value.numerator.bit_length() > MAX_BITS or value.denominator.bit_length() > MAX_BITS:
        raise TooLarge(f"a value of more than {MAX_BITS} bits")
    return value


def check_power(base: Fraction, exponent: int) -> None:
    """Raise TooLarge where base**exponent would be past MAX_BITS; costs no more than a logarithm."""
    widest = max(abs(base.numerator), base.denominator)
    if widest > 1 and (abs(exponent) > MAX_BITS or log2(widest) * abs(exponent) > MAX_BITS):
        raise TooLarge(f"a power of more than {MAX_BITS} bits")

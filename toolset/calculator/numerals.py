"""Values to text: exact values exactly, others to 10 significant digits behind "≈"."""

from __future__ import annotations

from decimal import Context, Decimal
from fractions import Fraction

SIGNIFICANT = 10
"""Digits of a rounded value."""
MAX_EXACT_DIGITS = 200
"""Longest whole number or decimal written out; a longer one is rounded, and a whole one's length given."""
MAX_DECIMALS = 30
MAX_FRACTION_DIGITS = 7


def is_decimal(value: Fraction) -> bool:
    """Whether the value has a finite decimal expansion."""
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest == 1


def exact_text(value: Fraction) -> str | None:
    """`7856`, `-0.25`; None for a value whose decimal expansion is endless or too long."""
    if value.denominator.bit_length() > 200 or not is_decimal(value):
        return None
    if abs(value.numerator) >= 10**MAX_EXACT_DIGITS * value.denominator:
        return None
    decimals = 0
    while (value * 10**decimals).denominator != 1:
        decimals += 1
        if decimals > MAX_DECIMALS:
            return None
    digits = f"{abs((value * 10**decimals).numerator):0{decimals + 1}d}"
    sign = "-" if value < 0 else ""
    return sign + (f"{digits[:-decimals]}.{digits[-decimals:]}" if decimals else digits)


def fraction_text(value: Fraction) -> str | None:
    """`5/6`, where both numbers are short."""
    short = value.denominator.bit_length() < 30 and value.numerator.bit_length() < 60
    text = f"{value.numerator}/{value.denominator}" if short else ""
    return text if text and len(text) <= 2 * MAX_FRACTION_DIGITS + 2 and value.denominator != 1 else None


def rounded_text(value: Fraction | Decimal, significant: int = SIGNIFICANT) -> str:
    """`1.414213562`, `4.023872601 × 10^2567`: the value to 10 significant digits, trailing zeros dropped."""
    if isinstance(value, Fraction):
        value = divide(value, significant + 25)
    value = Context(prec=significant, Emax=99_999, Emin=-99_999).plus(value)
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    text = "".join(map(str, digits)).rstrip("0") or "0"
    exponent += len(digits) - len(text)
    leading = exponent + len(text) - 1  # the power of ten of the first digit
    mark = "-" if sign else ""
    if not -7 < leading < 16:
        mantissa = text[0] + (f".{text[1:]}" if len(text) > 1 else "")
        return f"{mark}{mantissa} × 10^{leading}"
    return mark + format(Decimal((0, tuple(map(int, text)), exponent)), "f")


def divide(value: Fraction, digits: int) -> Decimal:
    """numerator / denominator to `digits` digits, without building long decimal strings of either."""
    shift = digits - (abs(value.numerator).bit_length() - value.denominator.bit_length()) * 3 // 10
    scaled = (
        value.numerator * 10**shift // value.denominator
        if shift >= 0
        else (value.numerator // (value.denominator * 10**-shift))
    )
    return Decimal(scaled).scaleb(-shift, Context(prec=digits + 30, Emax=99_999, Emin=-99_999))


def describe(value: Fraction) -> tuple[str, bool]:
    """How a rational value is written, and whether that is exact: ("7856", True), ("3.333333333", False)."""
    text = exact_text(value)
    return (text, True) if text is not None else (rounded_text(value), False)


def equals(value: Fraction | Decimal, *, as_fraction: bool = True) -> str:
    """The right-hand side with its sign of equality: `= 12`, `= 5/6 ≈ 0.8333333333`, `≈ 1.414213562`."""
    if isinstance(value, Decimal):
        return f"≈ {rounded_text(value)}"
    text, is_exact = describe(value)
    if is_exact:
        return f"= {text}"
    fraction = fraction_text(value)
    if fraction and as_fraction:
        return f"= {fraction} ≈ {text}"
    if value.denominator == 1:
        significand, _, exponent = text.partition(" × 10^")
        if exponent and Fraction(significand) * Fraction(10) ** int(exponent) == value:
            return f"= {text}"
        return f"≈ {text} ({digit_count(abs(value.numerator))} digits)"
    return f"≈ {text}"


def digit_count(value: int) -> int:
    """Number of decimal digits of a positive integer, without writing it out."""
    estimate = int((value.bit_length() - 1) * 0.30102999566398)
    return estimate + (value >= 10**estimate) + (value >= 10 ** (estimate + 1))

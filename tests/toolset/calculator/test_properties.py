"""Properties against Python's own `fractions`, `decimal` and `math`, on expressions that hypothesis makes up."""

from __future__ import annotations

import math
import re
from datetime import date, timedelta
from decimal import Decimal, localcontext
from fractions import Fraction

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.toolset.calculator.golds import read
from toolset.calculator import Calculator
from toolset.calculator.words import DECADES, SMALL

calculator = Calculator()
Expression = tuple[str, Fraction]


def answer(query: str) -> str:
    results = calculator.run(query)
    assert len(results) == 1, f"{query!r} was left alone"
    return results[0].text


def shown_value(line: str) -> tuple[Fraction, bool]:
    """The value that a line ends with, and whether it claims to be exact."""
    exact = re.search(r" = (-?\d+/\d+)(?: ≈|$)", line)
    if exact:
        return Fraction(exact[1]), True
    return read(re.split(r" [=≈] ", re.sub(r" \(\d+ digits\)", "", line))[-1]), "≈" not in line


def literals() -> st.SearchStrategy[Expression]:
    integers = st.integers(0, 10**12).map(lambda n: (str(n), Fraction(n)))
    decimals = st.decimals(0, 10**6, places=3).map(lambda d: (format(d, "f"), Fraction(d)))
    grouped = st.integers(1_000, 10**9).map(lambda n: (f"{n:,}", Fraction(n)))
    return integers | decimals | grouped


def combined(children: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    @st.composite
    def make(draw: st.DrawFn) -> Expression:
        (left, a), (right, b) = draw(children), draw(children)
        operator = draw(st.sampled_from(["+", "-", "*", "/", "×", "÷", "plus", "minus", "times", "divided by"]))
        if operator in ("/", "÷", "divided by"):
            assume(b != 0)
            value = a / b
        else:
            value = {"+": a + b, "plus": a + b, "-": a - b, "minus": a - b}.get(operator, a * b)
        return f"({left}) {operator} ({right})", value

    return make()


EXPRESSIONS = st.recursive(literals(), combined, max_leaves=8)


@settings(max_examples=400, deadline=None)
@given(EXPRESSIONS)
def test_arithmetic_agrees_with_fractions(expression: Expression) -> None:
    text, value = expression
    assume(re.search(r"[^\d.,]", text))
    shown, exact = shown_value(answer(text))
    assert shown == value if exact else abs(shown - value) <= abs(value) * Fraction(6, 10**10)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.decimals(-(10**6), 10**6, places=4), min_size=2, max_size=8))
def test_sums_agree_with_decimal(terms: list[Decimal]) -> None:
    text = " + ".join(f"({term:f})" for term in terms)
    with localcontext() as context:
        context.prec = 60
        assert shown_value(answer(text)) == (Fraction(sum(terms, Decimal(0))), True)


@settings(max_examples=200, deadline=None)
@given(st.integers(-(10**9), 10**9), st.integers(0, 10**6), st.sampled_from(["of", "+", "-"]))
def test_percentages_agree_with_fractions(base: int, hundredths: int, form: str) -> None:
    percent = Decimal(hundredths).scaleb(-2)
    share = Fraction(percent) / 100
    text, value = (f"{percent:f}% of {base}", share * base)
    if form != "of":
        text, value = f"{base} {form} {percent:f}%", base * (1 + share if form == "+" else 1 - share)
    assert shown_value(answer(text)) == (value, True)


@settings(max_examples=200, deadline=None)
@given(st.decimals("0.0001", 10**8, places=4, allow_nan=False))
def test_roots_logarithms_and_exponentials_agree_with_decimal(number: Decimal) -> None:
    with localcontext() as context:
        context.prec = 50
        for name, value in (("sqrt", number.sqrt()), ("ln", number.ln()), ("log", number.log10())):
            shown, exact = shown_value(answer(f"{name}({number:f})"))
            expected = Fraction(value)
            assert abs(shown - expected) <= (Fraction(1, 10**40) if exact else abs(expected) * Fraction(6, 10**10))
        if number < 1000:
            shown, _ = shown_value(answer(f"exp({number:f})"))
            expected = Fraction(number.exp())
            assert abs(shown - expected) <= abs(expected) * Fraction(6, 10**10)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 360 * 10), st.sampled_from(["sin", "cos", "tan"]))
def test_trigonometry_agrees_with_math(degrees: int, name: str) -> None:
    line = answer(f"{name}({degrees} degrees)")
    if name == "tan" and degrees % 180 == 90:
        assert line.endswith("is undefined")
        return
    shown, _ = shown_value(line)
    assert math.isclose(float(shown), getattr(math, name)(math.radians(degrees)), rel_tol=2e-9, abs_tol=1e-12)


@settings(max_examples=200, deadline=None)
@given(st.integers(-50, 50).filter(bool), st.integers(-60, 60))
def test_whole_powers_are_exact(base: int, exponent: int) -> None:
    shown, exact = shown_value(answer(f"({base})^({exponent})"))
    expected = Fraction(base) ** exponent
    assert shown == expected if exact else abs(shown - expected) <= abs(expected) * Fraction(6, 10**10)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 60), st.integers(0, 60))
def test_combinatorics_agrees_with_math(n: int, k: int) -> None:
    assert answer(f"{n} choose {k}").endswith(f" = {math.comb(n, k)}")
    assert answer(f"nPr({n}, {k})").endswith(f" = {math.perm(n, k)}")
    if n and k:
        assert answer(f"gcd({n}, {k})").endswith(f" = {math.gcd(n, k)}")


def in_words(number: int) -> str:
    if number < 20:
        return SMALL[number]
    if number < 100:
        return DECADES[number // 10 - 2] + (f"-{SMALL[number % 10]}" if number % 10 else "")
    for size, name in ((10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred")):
        if number >= size:
            rest = number % size
            joint = " and " if size == 100 or rest < 100 else " "
            return f"{in_words(number // size)} {name}" + (joint + in_words(rest) if rest else "")
    raise AssertionError(number)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**10), st.integers(0, 10**6))
def test_number_words_are_the_numbers(a: int, b: int) -> None:
    assert answer(f"{in_words(a)} plus {in_words(b)}") == f"{a} + {b} = {a + b}"


@settings(max_examples=200, deadline=None)
@given(st.dates(date(1600, 1, 1), date(2400, 1, 1)), st.integers(0, 100_000))
def test_dates_agree_with_datetime(start: date, days: int) -> None:
    end = start + timedelta(days=days)
    assert answer(f"what day is {days} days after {start}").endswith(f" is {end} ({end:%A})")
    assert answer(f"days between {start:%B} {start.day}, {start.year} and {end}").endswith(
        f" is {days} day{'' if days == 1 else 's'}"
    )


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_answered_or_left_alone(text: str) -> None:
    assert len(calculator.run(text)) <= 1

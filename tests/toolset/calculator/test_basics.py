"""What the calculator answers, leaves alone and refuses, one example of each kind."""

from __future__ import annotations

import math
import time

import pytest

from toolset.calculator import Calculator, currency, integers, units


def answer(query: str) -> str | None:
    results = Calculator().run(query)
    return results[0].text if results else None


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("what is 135 + 7721", "135 + 7721 = 7856"),
        ("What's 15% of 80?", "15% of 80 = 12"),
        ("two hundred and fifty times three", "250 * 3 = 750"),
        ("10 / 3", "10 / 3 ≈ 3.333333333"),
        ("1/0", "1 / 0 is undefined (division by zero)"),
        ("48/2=24", "48 / 2 = 24 is correct"),
    ],
)
def test_answers(query: str, expected: str) -> None:
    assert answer(query) == expected


@pytest.mark.parametrize("query", ["", " ", "Hello", "I have 2 dogs and 3 cats", "24/7", "42", "1,5 + 2", "6/2(1+2)"])
def test_leaves_alone(query: str) -> None:
    assert answer(query) is None


def test_load_leaves_nothing_to_build_for_a_first_conversion() -> None:
    calculator = Calculator().load()
    caches = (units.build_registry, currency.load_rates)
    before = [cache.cache_info() for cache in caches]
    assert [info.currsize for info in before] == [1, 1]
    assert calculator.run("3 acres in m2")
    assert calculator.run("3 JPY in CHF")
    assert [cache.cache_info().misses for cache in caches] == [info.misses for info in before]


@pytest.mark.parametrize("query", ["9**9**9", "9^9^9^9", "99999999!", "2^20000", "(" * 199 + "1" + ")" * 199 + "+1"])
def test_refuses_at_once(query: str) -> None:
    calculator = Calculator()
    seconds = []
    for _ in range(20):
        started = time.thread_time()
        assert calculator.run(query) == []
        seconds.append(time.thread_time() - started)
    assert sorted(seconds)[10] < 0.010


def test_a_number_without_small_factors_is_taken_apart_in_milliseconds() -> None:
    calculator = Calculator()
    started = time.thread_time()
    (result,) = calculator.run("factorize 999962000357")
    assert time.thread_time() - started < 0.1
    assert result.text == "999962000357 = 999979 * 999983"


@pytest.mark.parametrize("number", [1009**2, 1009**3, 999983**2, 1013 * 9973 * 31607, 2 * 997**3, 999_999_999_989])
def test_prime_factors_multiply_to_the_number(number: int) -> None:
    found = integers.factors(number)
    assert math.prod(prime**power for prime, power in found.items()) == number
    assert all(all(prime % divisor for divisor in range(2, math.isqrt(prime) + 1)) for prime in found)

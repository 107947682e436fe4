"""What the calculator answers, leaves alone and refuses, one example of each kind."""

from __future__ import annotations

import time

import pytest

from toolset.calculator import Calculator, currency, units


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

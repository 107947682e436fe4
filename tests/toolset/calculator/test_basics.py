"""What the calculator answers, leaves alone and refuses, one example of each kind."""

from __future__ import annotations

import time

import pytest

from toolset.calculator import Calculator


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


@pytest.mark.parametrize("query", ["9**9**9", "9^9^9^9", "99999999!", "2^20000", "(" * 199 + "1" + ")" * 199 + "+1"])
def test_refuses_at_once(query: str) -> None:
    calculator = Calculator()
    seconds = []
    for _ in range(20):
        started = time.thread_time()
        assert calculator.run(query) == []
        seconds.append(time.thread_time() - started)
    assert sorted(seconds)[10] < 0.010

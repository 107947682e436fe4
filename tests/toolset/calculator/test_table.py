"""The table of queries: every line as written there, and every answer equal to its independent value."""

from __future__ import annotations

import gc
import time

import pytest

from tests.toolset.calculator.golds import agrees, value
from tests.toolset.calculator.table import NOW, TABLE
from toolset.calculator import Calculator

ROWS = [row for rows in TABLE.values() for row in rows]
ANSWERED = [(query, result, gold) for query, result, gold in ROWS if result is not None]
LEFT_ALONE = [query for query, result, _ in ROWS if result is None]


@pytest.fixture(scope="module")
def calculator() -> Calculator:
    return Calculator(now=lambda: NOW)


def test_the_table_is_large_enough() -> None:
    assert len(ANSWERED) >= 150
    assert len(LEFT_ALONE) >= 100
    assert len({query for query, _, _ in ROWS}) == len(ROWS)


@pytest.mark.parametrize(("query", "expected", "gold"), ANSWERED, ids=[query for query, _, _ in ANSWERED])
def test_answers_as_written_and_rightly(calculator: Calculator, query: str, expected: str, gold: str) -> None:
    (result,) = calculator.run(query)
    assert result.text == expected
    assert agrees(result.text, value(gold)), f"{result.text!r} against {value(gold)!r}"


@pytest.mark.parametrize("query", LEFT_ALONE, ids=[query[:40] for query in LEFT_ALONE])
def test_leaves_alone(calculator: Calculator, query: str) -> None:
    assert calculator.run(query) == []


def test_a_refusal_is_immediate(calculator: Calculator, request: pytest.FixtureRequest) -> None:
    """Median under 10 ms each, of the processor's time and without the garbage collector's pauses: neither a busy
    machine nor what other tests left in memory counts against it.
    """
    gc.collect()
    gc.disable()
    request.addfinalizer(gc.enable)
    for query in LEFT_ALONE:
        calculator.run(query)
        seconds = []
        for _ in range(5):
            started = time.thread_time()
            calculator.run(query)
            seconds.append(time.thread_time() - started)
        assert sorted(seconds)[2] < 0.010, query
        assert max(seconds) < 0.100, query


@pytest.mark.parametrize(
    "query", ["what is {}?", "What's {}", "calculate {}", "please tell me what {} is", "{} =", "{} = ?"]
)
def test_openings_do_not_matter(calculator: Calculator, query: str) -> None:
    for expression in ("135 + 7721", "15% of 80", "sqrt(16)"):
        assert calculator.run(query.format(expression)) == calculator.run(expression)

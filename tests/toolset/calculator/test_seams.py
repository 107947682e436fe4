"""The rules of `seams` know a wrong reading from a right one, and the table breaks none of them."""

from __future__ import annotations

import pytest

from tests.toolset.calculator.seams import misread
from tests.toolset.calculator.table import TABLE


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("2024-12-25 + 30", "2024 - 12 - 25 + 30 = 2017"),
        ("12/25/2024 + 30", "12 / 25 / 2024 + 30 = 379503/12650 ≈ 30.00023715"),
        ("555-123-4567 + 1", "555 - 123 - 4567 + 1 = -4134"),
        ("solve 2x - 3 = 7", "2 * -3 = -6, not 7"),
        ("6 divided by 1/2", "6 / 1 / 2 = 3"),
        ("2 to the power of 1/2", "2^1 / 2 = 1"),
        ("3/4 squared", "3 / 4^2 = 0.1875"),
        ("100 + 1/2%", "100 + 1 / 2% = 150"),
        ("2²³", "(2^2)^3 = 64"),
    ],
)
def test_a_wrong_reading_is_named(query: str, wrong: str) -> None:
    assert misread(query, wrong) is not None


def test_the_table_reads_nothing_wrong() -> None:
    rows = [(query, result) for rows in TABLE.values() for query, result, _ in rows if result is not None]
    assert [complaint for query, result in rows if (complaint := misread(query, result))] == []

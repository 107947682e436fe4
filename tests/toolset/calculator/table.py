"""Queries across all forms, what the calculator says to each, and an independent value for it (table.jsonl).

A row's `result` is the whole line, or null for a query that is left alone; its `gold` is a Python expression, evaluated
with Python's own numbers and dates (see `golds`), that the line must agree with. The clock stands at NOW. The page
docs/query-forms.md is made from these rows.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

Row = tuple[str, str | None, str | None]


def read_table() -> dict[str, list[Row]]:
    """The rows (query, result, gold) by form, in the file's order."""
    table: dict[str, list[Row]] = {}
    with Path(__file__).with_name("table.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            table.setdefault(row["form"], []).append((row["query"], row["result"], row.get("gold")))
    return table


TABLE = read_table()

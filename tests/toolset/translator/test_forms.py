"""The query forms: what is read as a translation and what is left alone, one row of `forms.jsonl` each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from toolset.translator.forms import parse

FORMS = [json.loads(line) for line in (Path(__file__).parent / "forms.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("row", FORMS, ids=lambda row: row["query"][:60])
def test_a_query_is_read_as_the_table_says(row: dict) -> None:
    request = parse(row["query"])
    if row["text"] is None:
        assert request is None
        return
    assert request is not None
    assert (request.text, request.target) == (row["text"], row["target"])
    if "source" in row:
        assert request.source == row["source"]

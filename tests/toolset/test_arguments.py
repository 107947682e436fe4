"""Which parameter of another system's tool takes the query."""

from __future__ import annotations

from typing import Any

import pytest

from toolset.arguments import only_argument

TEXT, NUMBER = {"type": "string"}, {"type": "integer"}
MAYBE_TEXT = {"anyOf": [{"type": "string"}, {"type": "null"}]}
MAYBE_NUMBER = {"anyOf": [{"type": "integer"}, {"type": "null"}]}
UNIT = {"type": "string", "enum": ["c", "f"]}


def schema(required: str = "", **properties: Any) -> dict[str, Any]:
    definitions = {"Filter": {"type": "object"}, "Name": TEXT, "Loop": {"$ref": "#/$defs/Loop"}}
    return {"type": "object", "properties": properties, "required": required.split(), "$defs": definitions}


@pytest.mark.parametrize(
    ("given", "argument"),
    [
        (schema("q", q=TEXT), "q"),
        (schema(q=TEXT), "q"),
        (schema("q", q=TEXT, limit=NUMBER, style=TEXT), "q"),
        (schema(limit=MAYBE_NUMBER), None),
        (schema(q=MAYBE_TEXT, limit=MAYBE_NUMBER), "q"),
        (schema(q={"type": ["string", "null"]}, limit=NUMBER), "q"),
        (schema("where q", where={"$ref": "#/$defs/Filter"}, q=TEXT), None),
        (schema("name", name={"$ref": "#/$defs/Name"}, limit=NUMBER), "name"),
        (schema(q={"$ref": "#/$defs/Loop"}), None),
        (schema(q={"$ref": "https://example.org/other.json"}), None),
        (schema("city", city=TEXT, unit=UNIT), "city"),
        (schema("city unit", city=TEXT, unit=UNIT), None),
        (schema("a b", a=TEXT, b=TEXT), None),
        (schema(query=TEXT, style=TEXT), "query"),
        (schema("style", query=TEXT, style=TEXT), "style"),
        (schema(q={"description": "Anything."}), "q"),
        (schema(), None),
        ({}, None),
    ],
)
def test_the_parameter_that_a_query_fits(given: dict[str, Any], argument: str | None):
    assert only_argument(given) == argument


def test_what_has_its_value_already_is_left_out():
    assert only_argument(schema("text to", text=TEXT, to=TEXT), given=["to"]) == "text"
    assert only_argument(schema("city unit", city=TEXT, unit=UNIT), given={"unit": "c"}) == "city"

"""The reference part of docs/api.md, generated from the application and its settings so that it cannot drift.

python -m tests.serve.api.reference      # writes it
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from serve.api.app import create_app
from serve.api.document import MEANINGS
from serve.settings import Settings, load_settings

PAGE = Path(__file__).resolve().parents[3] / "docs" / "api.md"
BEGIN, END = "<!-- generated: begin -->", "<!-- generated: end -->"

Schema = dict[str, Any]


def render() -> str:
    """Settings, errors, every operation with what it takes and gives, and the types of both."""
    document = create_app(load_settings(database="sqlite:////tmp/never-opened.db", page=False)).openapi()
    lines = [BEGIN, "## Settings", "", "| setting | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "`serve.db` in Groundling's folder" if name == "database" else f"`{field.default}`"
        lines.append(f"| `{name}` | {default} | {_cell(field.description or 'Of the log.')} |")
    lines += ["", "## Errors", "", "| status | meaning |", "|---|---|"]
    lines += [f"| {code} | {meaning} |" for code, meaning in MEANINGS.items()]
    told: set[str] = set()
    for tag in ("OpenAI", "Native", "Operations"):
        lines += ["", f"## {tag}"]
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                if operation["tags"][0] == tag:
                    lines += ["", f"### {method.upper()} {path}", "", *_operation(operation, document, told)]
    lines += ["", "## Types", "", "What the fields above are made of."]
    for name in _reached(document, told):
        schema = document["components"]["schemas"][name]
        lines += ["", f"### {name}", "", *_text(schema), *_table("field", _fields(schema))]
    return "\n".join([*lines, END])


def _operation(operation: Schema, document: Schema, told: set[str]) -> Iterator[str]:
    """What an operation says of itself; the schemas whose fields it lists are noted in `told`."""
    yield " ".join(operation["description"].split())
    rows = [
        (f"{p['name']} ({p['in']})", _kind(p["schema"]), p.get("description") or p["schema"].get("description", ""))
        for p in operation.get("parameters", [])
        if p["in"] != "path"
    ]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if body is not None:
        rows += _fields(_resolve(body, document, told), required=True)
    yield from _blank(_table("takes", rows))
    statuses = list(operation["responses"])
    own = [status for status in statuses if status < "400"]
    kinds = {status: _content(operation["responses"][status]) for status in own}
    said = [f"{status} {_kinds(kinds[status])}".strip() for status in own]
    yield from _blank([f"Answers {', '.join(said)}. Errors: {', '.join(s for s in statuses if s not in own)}."])
    for status in own:
        schema = kinds[status].get("application/json", {}).get("schema", {})
        if "$ref" in schema and _name(schema) not in told:
            yield from _blank(_table("gives", _fields(_resolve(schema, document, told))))


def _content(answer: Schema) -> Schema:
    return answer.get("content", {})


def _kinds(content: Schema) -> str:
    shown = [_kind(media["schema"]) if kind == "application/json" else kind for kind, media in content.items()]
    return " or ".join(f"`{kind}`" for kind in shown)


def _fields(schema: Schema, *, required: bool = False) -> list[tuple[str, str, str]]:
    needed = schema.get("required", []) if required else []
    return [
        (f"{name}{' *' if name in needed else ''}", _kind(field), field.get("description", ""))
        for name, field in schema.get("properties", {}).items()
    ]


def _table(title: str, rows: list[tuple[str, str, str]]) -> list[str]:
    if not rows:
        return []
    head = [f"| {title} | type | meaning |", "|---|---|---|"]
    return head + [f"| `{name}` | {kind} | {_cell(meaning)} |" for name, kind, meaning in rows]


def _blank(lines: list[str]) -> list[str]:
    return ["", *lines] if lines else []


def _text(schema: Schema) -> list[str]:
    return [" ".join(schema["description"].split()), ""] if schema.get("description") else []


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _name(schema: Schema) -> str:
    return schema["$ref"].rsplit("/", 1)[1]


def _resolve(schema: Schema, document: Schema, told: set[str]) -> Schema:
    """The schema that a body or an answer refers to, whose fields are about to be told."""
    schema = next((choice for choice in schema.get("anyOf", []) if "$ref" in choice), schema)
    if "$ref" not in schema:
        return schema
    told.add(_name(schema))
    return document["components"]["schemas"][_name(schema)]


def _reached(document: Schema, told: set[str]) -> list[str]:
    """The schemas that those in `told` refer to, directly or not, by name."""
    schemas, found, left = document["components"]["schemas"], set[str](), [*told]
    while left:
        for name in _references(schemas[left.pop()]):
            if name not in found:
                found.add(name)
                left.append(name)
    return sorted(found - told)


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if "$ref" in part:
            yield _name(part)
        for value in part.values():
            yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)


def _kind(schema: Schema) -> str:
    if "$ref" in schema:
        return _name(schema)
    for choices in ("anyOf", "oneOf"):
        if choices in schema:
            return ", ".join(
                dict.fromkeys(_kind(choice) for choice in schema[choices] if choice.get("type") != "null")
            )  # fmt: skip
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_kind(schema['additionalProperties'])}"
    return schema.get("type", "any")


if __name__ == "__main__":
    text = PAGE.read_text()
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    PAGE.write_text(before + render() + after)

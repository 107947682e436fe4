"""The reference part of docs/api.md, generated from the application and its settings so that it cannot drift.

python -m tests.serve.api.reference      # writes it
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from serve.api.app import create_app
from serve.settings import Settings, load_settings

PAGE = Path(__file__).resolve().parents[3] / "docs" / "api.md"
BEGIN, END = "<!-- generated: begin -->", "<!-- generated: end -->"


def render() -> str:
    """Settings, then every operation with its parameters and body."""
    app = create_app(load_settings(database="sqlite:////tmp/never-opened.db", page=False))
    document = app.openapi()
    lines = [BEGIN, "## Settings", "", "| setting | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "`serve.db` in Groundling's folder" if name == "database" else f"`{field.default}`"
        meaning = (field.description or "").replace("|", "\\|") or "Of the log."
        lines.append(f"| `{name}` | {default} | {meaning} |")
    for tag in ("OpenAI", "Native", "Operations"):
        lines += ["", f"## {tag}"]
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                if operation["tags"][0] == tag:
                    lines += ["", f"### {method.upper()} {path}", "", *_operation(operation, document)]
    return "\n".join([*lines, END])


def _operation(operation: dict[str, Any], document: dict[str, Any]) -> list[str]:
    lines = [" ".join(operation["description"].split())]
    rows = [
        (f"{p['name']} ({p['in']})", _kind(p["schema"]), p.get("description") or p["schema"].get("description", ""))
        for p in operation.get("parameters", [])
        if p["in"] != "path"
    ]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if body is not None:
        schema = _resolve(body, document)
        required = schema.get("required", [])
        for name, field in schema.get("properties", {}).items():
            rows.append((f"{name}{' *' if name in required else ''}", _kind(field), field.get("description", "")))
    if rows:
        lines += ["", "| field | type | meaning |", "|---|---|---|"]
        lines += [f"| `{name}` | {kind} | {' '.join(meaning.split())} |" for name, kind, meaning in rows]
    return lines


def _resolve(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    for choice in schema.get("anyOf", []):
        if "$ref" in choice:
            schema = choice
    if "$ref" in schema:
        return document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return schema


def _kind(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return schema["$ref"].rsplit("/", 1)[1]
    if "anyOf" in schema:
        return ", ".join(dict.fromkeys(_kind(choice) for choice in schema["anyOf"] if choice.get("type") != "null"))
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return schema.get("type", "any")


if __name__ == "__main__":
    text = PAGE.read_text()
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    PAGE.write_text(before + render() + after)

"""Which parameter of another system's tool takes the query, by the tool's JSON Schema.

LangChain's tools and those of MCP servers both describe their input so. Boundary: it reads a schema; saying how to
name a parameter where none is plain is the caller's.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

MAX_DEPTH = 20
"""References within references that are followed; a schema may refer to itself."""


def only_argument(schema: Mapping[str, Any], given: Collection[str] = ()) -> str | None:
    """The parameter that a query fits: the only one that is required, the only text, or `query`.

    `schema` is that of an object; parameters in `given` have their values already. None where no parameter is plain,
    and where another one is required that a query cannot give.
    """
    properties = schema.get("properties") or {}
    texts = [name for name, about in properties.items() if name not in given and takes_text(about, schema)]
    required = [name for name in schema.get("required") or [] if name not in given]
    if not set(required) <= set(texts):
        return None
    for candidates in (required, texts):
        if len(candidates) == 1:
            return candidates[0]
    return "query" if "query" in texts and not required else None


def takes_text(about: Any, root: Mapping[str, Any], depth: int = 0) -> bool:
    """Whether a parameter's schema allows any text; references are looked up in `root`. One of a few words is not."""
    if not isinstance(about, Mapping):
        return about is not False  # true allows everything
    if depth > MAX_DEPTH or "enum" in about or "const" in about:
        return False
    kinds = about.get("type")
    if kinds is not None and "string" not in ([kinds] if isinstance(kinds, str) else kinds):
        return False
    if "$ref" in about and not takes_text(_found(about["$ref"], root), root, depth + 1):
        return False
    if not all(takes_text(part, root, depth + 1) for part in about.get("allOf") or ()):
        return False
    return all(
        any(takes_text(part, root, depth + 1) for part in about[choice])
        for choice in ("anyOf", "oneOf")
        if about.get(choice)
    )


def _found(reference: object, root: Mapping[str, Any]) -> Any:
    """What `#/$defs/NAME` points to; false, which allows nothing, where it leads nowhere or out of the schema."""
    if not isinstance(reference, str) or not reference.startswith("#"):
        return False
    found: Any = root
    for key in filter(None, reference[1:].split("/")):
        found = found.get(key.replace("~1", "/").replace("~0", "~"), False) if isinstance(found, Mapping) else False
    return found

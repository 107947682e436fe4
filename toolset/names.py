"""Names for tools that come from elsewhere: other systems allow almost any string, a turn's trace does not."""

from __future__ import annotations

import re

from toolset.tool import NAME

LONGEST = 40


def tool_name(*parts: str) -> str:
    """A valid tool name made of `parts`: `tool_name("papers", "getAbstract")` is `papers-get_abstract`.

    What is not a letter, digit, `_` or `-` becomes `_`; a name that holds nothing usable becomes `tool`.
    """
    cleaned = []
    for part in parts:
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", part)  # camelCase
        plain = re.sub(r"[^a-z0-9_-]+", "_", words.lower())
        cleaned.append(re.sub(r"_{2,}", "_", plain).strip("_-"))
    name = "-".join(part for part in cleaned if part)[:LONGEST].rstrip("_-")
    name = re.sub(r"^[^a-z]+", "", name)
    return name if NAME.fullmatch(name) else "tool"

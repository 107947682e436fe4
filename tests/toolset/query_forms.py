"""Makes docs/query-forms.md, the page of what the calculator and the translator understand, from their test tables.

    python tests/toolset/query_forms.py            # writes the page
    python tests/toolset/query_forms.py --check    # says whether it is up to date

Every row of the page is a row of a table that the tests run, so the page cannot promise what does not work.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent.parent / "docs" / "query-forms.md"
HEAD = """# Query forms

What the calculator and the translator read, and what they leave alone. A query that is left alone gets no result from
that tool: another tool, or the model, answers it. This page is made from the tables that the tests run
(`python tests/toolset/query_forms.py`); do not edit it by hand.
"""
TRANSLATOR = """## Translator

How a query is read; what it is translated to depends on the backends that are installed (`groundling tools list`).
Greetings and courtesies come from a phrase table that is always there.
Every language of ISO 639-1 is known by its English name and, where it has one, by its own.
"""


def read_rows(path: Path) -> dict[str, list[dict]]:
    """The rows of a table by form, in the file's order."""
    forms: dict[str, list[dict]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        forms.setdefault(row["form"], []).append(row)
    return forms


def cell(text: str) -> str:
    """`text` as code in a table's cell."""
    text = text.replace("\n", " ").replace("|", "\\|")
    fence = "``" if "`" in text else "`"
    return f"{fence}{text}{fence}" if text.strip() else "(nothing)"


def section(forms: dict[str, list[dict]], answer: str, read) -> list[str]:
    """A heading for each form, a table of its queries that are read, and a list of those that are left alone."""
    lines = []
    for form, rows in forms.items():
        lines += [f"### {form[0].upper()}{form[1:]}", ""]
        found = [f"| {cell(row['query'])} | {read(row)} |" for row in rows if row[answer] is not None]
        if found:
            lines += ["| query | read as |", "|---|---|", *found, ""]
        alone = [cell(row["query"]) for row in rows if row[answer] is None and row["query"].strip()]
        if alone:
            lines += [*(["Left alone:", ""] if found else []), *(f"- {query}" for query in alone), ""]
    return lines


def translation(row: dict) -> str:
    from toolset.translator.languages import name_of

    source = f" from {name_of(row['source'])}" if row.get("source") else ""
    return f"{cell(row['text'])}{source} to {name_of(row['target'])}"


def page() -> str:
    """The whole page."""
    calculator = section(read_rows(HERE / "calculator" / "table.jsonl"), "result", lambda row: cell(row["result"]))
    translator = section(read_rows(HERE / "translator" / "forms.jsonl"), "text", translation)
    return "\n".join([HEAD, "## Calculator", "", *calculator, TRANSLATOR, *translator]).rstrip() + "\n"


def main(arguments: list[str]) -> int:
    if "--check" in arguments:
        current = PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page()
        print(
            f"{PAGE.name} is {'up to date' if current else 'not up to date; run python tests/toolset/query_forms.py'}"
        )
        return 0 if current else 1
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent.parent))
    sys.exit(main(sys.argv[1:]))

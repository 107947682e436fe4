"""Names and codes of languages: every language of ISO 639-1 and some others, as people write them.

`languages.jsonl` has one language a line: its code (ISO 639-1 where there is one), its ISO 639-3 and 639-2/B
codes, its English names, its own name, and its name in each language that a question may be asked in
(names after ISO 639 and Unicode CLDR). Boundary: knows nothing of queries or of translating.
"""

from __future__ import annotations

import json
import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

ASKING = ("en", "es", "fr", "de", "it", "pt", "ca", "gl")
"""The languages in which a language's name is known, and so in which a translation can be asked for."""


@dataclass(frozen=True)
class Language:
    """One language: `code` identifies it everywhere in this package."""

    code: str
    iso3: str
    iso3b: str | None
    english: tuple[str, ...]
    native: str | None
    names: dict[str, str]
    """Its name in the languages of `ASKING` other than English."""

    @property
    def name(self) -> str:
        return self.english[0]


def fold(name: str) -> str:
    """A name as it is compared: no case, no accents (people leave them out), single spaces."""
    decomposed = unicodedata.normalize("NFKD", name.casefold())
    return " ".join("".join(c for c in decomposed if not "\u0300" <= c <= "\u036f").replace("’", "'").split())


@cache
def languages() -> dict[str, Language]:
    """All languages by code."""
    table = {}
    for line in (files("toolset.translator") / "languages.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        names = {asking: row[asking] for asking in ASKING[1:] if asking in row}
        table[row["code"]] = Language(
            row["code"], row["iso3"], row.get("iso3b"), tuple(row["en"]), row.get("native"), names
        )
    return table


@cache
def _by_code() -> dict[str, str]:
    codes = {}
    for language in languages().values():
        for code in (language.code, language.iso3, language.iso3b):
            if code:
                codes[code] = language.code
    return codes


@cache
def _by_name(asking: str) -> dict[str, str]:
    """Folded name to code: the asking language's names win, then English ones, then the languages' own."""
    names: dict[str, str] = {}
    every = list(languages().values())
    english = [entry.english for entry in every]
    asked = [(entry.names.get(asking, ""),) for entry in every]
    for group in (english if asking == "en" else asked, english, [(entry.native or "",) for entry in every]):
        for language, spellings in zip(every, group, strict=True):
            for spelling in spellings:
                names.setdefault(fold(spelling), language.code)
    names.pop("", None)
    return names


def code_of(code: str) -> str | None:
    """Our code of an ISO 639 code of two or three letters ("eng" is "en", "ger" is "de"), or None."""
    return _by_code().get(code.lower())


def find(name: str, asking: str = "en") -> str | None:
    """The code of the language that `name` names when asked in language `asking`, or None."""
    return _by_name(asking if asking in ASKING else "en").get(fold(name))


def name_of(code: str) -> str:
    """The English name of a language; the code itself where it is not known."""
    language = languages().get(code)
    return language.name if language else code

"""A phrase table: greetings and courtesies as people say them, from `phrases.jsonl`, written for this project.

Word by word they go wrong: "how are you" becomes "cómo eres", and a dictionary's first "hello" may be the one said on
the telephone. A line of the table is one thing to say, for each language in one or more forms, the usual one first.
`not_from` names languages, or single forms, that mean more than that (Spanish "salud" is health, too): they are only
translated into. `en_too` are English variants that are read and not offered.
Boundary: phrases as they stand, or several with punctuation between; anything else is left alone.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from toolset.translator.backend import Translation
from toolset.translator.languages import fold
from toolset.translator.request import Request

NAME = "Groundling phrase table"
KIND = "greetings and courtesies, a list written for this project"
CONFIDENCE = 0.95
GUESSED = ("en", "es", "fr", "de", "it", "pt", "ca")
"""Languages that a phrase is looked for in first, where a query does not say which it is of."""
MAX_PARTS = 3
"""Phrases in one text: "hello, how are you?" is two."""
MIN_LETTERS = 4
"""Shorter words mean too many things in too many languages to be taken for one that nobody named."""
MARKS = re.compile(r"[.,!?;:¿¡…。！？，、；]+")


class Phrase(NamedTuple):
    """One thing to say: its forms by language."""

    forms: dict[str, tuple[str, ...]]


class Table(NamedTuple):
    """Phrases by (language, key of a form), as written and without accents."""

    exact: dict[tuple[str, str], list[Phrase]]
    folded: dict[tuple[str, str], list[Phrase]]
    languages: tuple[str, ...]

    def phrases(self, text: str, language: str) -> list[Phrase]:
        """What `text` says in `language`, likeliest first."""
        form = key(text)
        return self.exact.get((language, form)) or self.folded.get((language, fold(form)), [])


@cache
def table() -> Table:
    """The table, read once."""
    made = Table({}, {}, ())
    names: set[str] = set()
    for line in (files("toolset.translator") / "phrases.jsonl").read_text(encoding="utf-8").splitlines():
        row: dict[str, list[str]] = json.loads(line)
        closed, variants = row.pop("not_from", []), row.pop("en_too", [])
        phrase = Phrase({language: tuple(forms) for language, forms in row.items()})
        names |= set(row)
        read = [(language, form) for language, forms in row.items() for form in forms]
        for language, form in [*read, *(("en", variant) for variant in variants)]:
            if language in closed or f"{language}:{form}" in closed:
                continue
            made.exact.setdefault((language, key(form)), []).append(phrase)
            if len(key(form)) >= MIN_LETTERS:  # "sí" without its accent is another word
                made.folded.setdefault((language, fold(key(form))), []).append(phrase)
    return made._replace(languages=tuple(sorted(names)))


def key(text: str) -> str:
    """A phrase as it is looked up: no case, no punctuation, single spaces."""
    plain = unicodedata.normalize("NFC", text).casefold().replace("’", "'").replace("-", " ")
    return " ".join(MARKS.sub(" ", plain).split())


def answer(request: Request) -> Translation | None:
    """The translation of a greeting or courtesy; None for any other text, and where its language is in doubt."""
    text, target, asking = request.text, request.target, request.asking
    if request.source:
        return translate(text, request.source, target)
    if request.either_way and (back := translate(text, target, asking)) and key(back.text) != key(text):
        return back
    if asking != target and (found := translate(text, asking, target)):
        return found
    form = key(text)
    if not request.certain and (len(form) < MIN_LETTERS or table().phrases(text, asking)):
        return None
    # A rare language's short word may be a common one of another: Finnish "moi" (hi) is French for "me".
    telling = " " in form or not form.isascii() or (target == asking and len(form) >= MIN_LETTERS)
    others = [code for code in table().languages if code not in GUESSED] if telling else []
    for group in (GUESSED, others):
        if found := _agreed(text, (code for code in group if code not in (asking, target)), target):
            return found
    return None


def _agreed(text: str, sources: Iterable[str], target: str) -> Translation | None:
    """The translation from whichever of `sources` it is of; None where they differ, or it comes back as it went."""
    found = [made for source in sources if (made := translate(text, source, target))]
    same = {key(made.text) for made in found}
    return found[0] if len(same) == 1 and same != {key(text)} else None


def translate(text: str, source: str, target: str) -> Translation | None:
    """Look up one phrase, or up to `MAX_PARTS` with punctuation between. None where one of them is not in the table."""
    parts = [part.strip() for part in MARKS.split(text) if part.strip()]
    if not parts or len(parts) > MAX_PARTS or source == target:
        return None
    choices = [_forms(part, source, target) for part in parts]
    if not all(choices):
        return None
    best, *others = choices[0]
    return Translation(
        text=_capital(text, ", ".join([best, *(forms[0] for forms in choices[1:])])),
        source=source,
        target=target,
        backend=NAME,
        kind=KIND,
        confidence=CONFIDENCE,
        alternatives=tuple(others[:3]) if len(parts) == 1 else (),
    )


def _forms(text: str, source: str, target: str) -> list[str]:
    """What `text` is in language `target`, the usual form first; where it says several things, those of each."""
    phrases = [phrase.forms[target] for phrase in table().phrases(text, source) if target in phrase.forms]
    if len(phrases) > 1:
        phrases = [(forms[0],) for forms in phrases]
    return list(dict.fromkeys(form for forms in phrases for form in forms))


def _capital(text: str, made: str) -> str:
    """`made` with a capital where `text` begins with one, other than the English "I"."""
    if not text[:1].isupper() or re.match(r"I\b", text):
        return made
    return re.sub(r"\w", lambda letter: letter[0].upper(), made, count=1)


def status() -> str:
    return f"{NAME} (greetings and courtesies): between any of {', '.join(table().languages)}"

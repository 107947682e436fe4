"""Reads a query: is a translation asked for, of what, into which language?

Each language a question may be asked in has a small `Grammar`: how a question starts, which prepositions stand
before a language's name. A query is a translation only where a language's name stands in its place at the end
("hello in French"), after the verb ("translate to French: hello") or inside the question ("the French word for
hello"), or where a word's meaning is asked for; all else is left alone (None). Everything works on at most
`MAX_QUERY` characters with anchored patterns, so hostile text costs no more than honest text.
Boundary: words only; whether a text can be translated is the backends' business.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from toolset.translator.grammars import ENGLISH, GRAMMARS, NOT_AFTER_FOR, SAYINGS, Grammar
from toolset.translator.languages import find, fold
from toolset.translator.request import MAX_QUERY, MAX_TEXT, Request

QUOTES = {
    '"': '"',
    "'": "'",
    "“": "”",
    "‘": "’",
    "«": "»",
    "„": "“",
    "`": "`",
    "”": "”",
    "’": "’",
    "「": "」",
    "‹": "›",
}
LONGEST_NAME = 4
"""Most words in a language's name."""


def parse(query: str) -> Request | None:
    """The translation that `query` asks for, or None where it asks for none."""
    if len(query) > MAX_QUERY:
        return None
    text = clean(query)
    if not any(c.isalpha() for c in text):
        return None
    for grammar in GRAMMARS:
        body = _strip_politeness(text, grammar)
        for read in (_read_translate, _read_say, _read_mean, _read_word_for):
            request = read(body, grammar)
            if request:
                return request
    return _read_terse(_strip_politeness(text, ENGLISH))


def clean(text: str) -> str:
    """`text` on one line: control and format characters become spaces, spaces are single."""
    text = unicodedata.normalize("NFC", text)
    kept = (" " if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp", "Cn", "Co") else c for c in text)
    kept = ("" if unicodedata.category(c) == "Cf" and c not in "\u200c\u200d" else c for c in kept)
    return " ".join("".join(kept).split())


def _strip_politeness(text: str, grammar: Grammar) -> str:
    text = text.strip().lstrip("¿¡").strip()
    while match := grammar.polite.match(text):
        if not match.end():
            break
        text = text[match.end() :].lstrip(" ,¿¡")
    while match := grammar.polite_end.search(text):
        text = text[: match.start()].rstrip(" ,")
    return text


def _bare(text: str) -> tuple[str, bool]:
    """`text` without the quotes around it, and whether it had them."""
    text = text.strip().strip(",;: ").strip()
    stripped = text.rstrip("?!.。？ ")
    for candidate in (text, stripped):
        close = QUOTES.get(candidate[:1])
        if close and len(candidate) > 2 and candidate.endswith((close, candidate[0])):
            inner = candidate[1:-1].strip()
            if candidate[0] not in inner:
                return inner, True
    return text, False


def _subject(text: str, grammar: Grammar) -> tuple[str, bool] | None:
    """The text to translate out of its slot in a question, and whether it was quoted; None for none or too much."""
    text = text.strip().lstrip(",;: ").rstrip(",;: ")
    bare, quoted = _bare(text)
    if not quoted and (match := grammar.noun.match(bare)):
        rest, rest_quoted = _bare(bare[match.end() :])
        if rest_quoted or " " not in rest:
            bare, quoted = rest, rest_quoted
    if not any(c.isalpha() for c in bare) or len(bare) > MAX_TEXT:
        return None
    return bare, quoted


def _language(words: Iterable[str], grammar: Grammar) -> str | None:
    name = " ".join(words).strip("?!.,;:¿¡。？\"'“”‘’ ")
    name = grammar.article.sub("", name)
    name = grammar.language_word.sub("", name)
    return find(name, grammar.code) or (find(name.removesuffix("e"), grammar.code) if grammar.code == "de" else None)


def _end(text: str, prepositions: frozenset[str], grammar: Grammar) -> tuple[str, str] | None:
    """Split "X in French" into ("X", "fr"); None where `text` does not end in a preposition and a language."""
    words = text.rstrip("?!.。？ ").split(" ")
    for count in range(min(LONGEST_NAME + 1, len(words) - 1), 0, -1):
        before, name = words[:-count], words[-count:]
        if (
            grammar.code == "ca"
            and len(before)
            and fold(before[-1]) in prepositions
            and name[0].startswith(("l'", "l’"))
        ):
            name = [name[0][2:], *name[1:]]
        if fold(before[-1]) in prepositions and (code := _language(name, grammar)):
            return " ".join(before[:-1]), code
    return None


def _start(text: str, prepositions: frozenset[str], grammar: Grammar) -> tuple[str, str, str] | None:
    """Split "to French: X" into ("fr", ":", "X"); or None."""
    words = text.split(" ")
    if len(words) < 2 or fold(words[0]) not in prepositions:
        return None
    for count in range(min(LONGEST_NAME + 1, len(words) - 1), 0, -1):
        name = words[1 : 1 + count]
        if code := _language(name, grammar):
            mark = name[-1][-1] if name[-1][-1] in ":,;" else ""
            rest = " ".join(words[1 + count :])
            if rest[:1] in (":", "-", "–", "—"):
                mark, rest = ":", rest[1:].lstrip()
            return code, mark, rest
    return None


def _ends(text: str, grammar: Grammar, *, into: frozenset[str]) -> tuple[str, str | None, str | None]:
    """Take "into L" and "from S" off the end, in either order: (what is left, L, S)."""
    target = source = None
    if found := _end(text, grammar.out_of, grammar):
        text, source = found
    if found := _end(text, into, grammar):
        text, target = found
    if source is None and (found := _end(text, grammar.out_of, grammar)):
        text, source = found
    return text, target, source


def _make(
    text: str, grammar: Grammar, target: str, source: str | None = None, *, certain: bool = True, either: bool = False
) -> Request | None:
    subject = _subject(text, grammar)
    if subject is None or source == target:
        return None
    return Request(subject[0], target, source, grammar.code, certain, either)


def _read_translate(text: str, grammar: Grammar) -> Request | None:
    """translate X to L, translate from S to L: X, translation of X in L"""
    match = grammar.translate.match(text)
    if not match:
        return None
    body, source, target = text[match.end() :].strip(), None, None
    into = grammar.into | grammar.in_
    if this := grammar.this.match(body):  # "translate the following sentence to L: X"
        body = body[this.end() :]
    for _ in range(2):  # "from S to L: X" in either order
        if not source and (found := _start(body, grammar.out_of, grammar)):
            source, _mark, body = found
        elif not target and (found := _start(body, into, grammar)):
            target, _mark, body = found
    if target is None:
        body, target, last = _ends(body, grammar, into=into)
        source = source or last
    body = body.lstrip(":").strip()
    if match_of := grammar.of.match(body):
        body = body[match_of.end() :]
    if target is None:  # a bare "translate 'hola'": into the language of the question
        quoted = _bare(body)[1] or text[match.end() :].lstrip().startswith(":") or source
        return _make(body, grammar, grammar.code, source) if quoted else None
    return _make(body, grammar, target, source)


def _read_say(text: str, grammar: Grammar) -> Request | None:
    """how do you say X in L"""
    match = grammar.say.match(text)
    if not match:
        return None
    body, target, source = _ends(text[match.end() :], grammar, into=grammar.in_)
    if target is None:
        found = _start(text[match.end() :].strip(), grammar.in_, grammar)  # "how do you say in French: hello"
        if not found or not (found[1] or _bare(found[2])[1]):
            return None
        target, _mark, body = found
    if match_said := grammar.said.search(body):
        body = body[: match_said.start()]
    if fold(body.strip()) in grammar.pronouns:
        return None  # "how do you say that in French": what was said before is not here
    return _make(body, grammar, target, source)


def _read_mean(text: str, grammar: Grammar) -> Request | None:
    """what does X mean (in L)"""
    match = grammar.mean.match(text)
    if not match:
        return None
    body = text[match.end() :].strip()
    body, target, source = _ends(body, grammar, into=grammar.in_)
    if grammar.mean_end:
        ending = grammar.mean_end.search(body.rstrip("?!. "))
        if ending:
            body = body.rstrip("?!. ")[: ending.start()]
        elif grammar.mean_open.match(match.group()):
            return None  # "what would be best?"
    words = body.split(" ")
    if named := grammar.named_word.search(" ".join(words[: LONGEST_NAME + 2])):  # "the Spanish word X"
        code = _language([named[1]], grammar)
        if code and (source is None or source == code):
            source, body = code, body[named.end() :]
    words = body.strip("?!. ").split(" ")
    if len(words) == 1 and fold(words[0]) in grammar.pronouns:
        return None
    if not _bare(body)[1] and (len(words) > 6 or fold(words[0]) in grammar.determiners):
        return None
    if target is None and not _bare(body)[1] and any(fold(word) in grammar.function_words for word in words):
        return None  # "what does aa on a license plate mean"
    if target is None:
        return _make(body.rstrip("?!. "), grammar, grammar.code, source, certain=source is not None)
    either = source is None and target != grammar.code
    return _make(body, grammar, target, source, either=either)


def _read_word_for(text: str, grammar: Grammar) -> Request | None:
    """what is the French word for X, the word for X in L, what is X in L; English only"""
    if grammar is not ENGLISH:
        return None
    lead = grammar.what_is.match(text)
    body = text[lead.end() :] if lead else text
    the_word = re.match(r"(?:the )?(?:word|term|phrase|expression|equivalent) (?:for|of) ", body, re.I)
    if the_word and (found := _end(body[the_word.end() :], grammar.in_, grammar)):
        return _make(found[0], grammar, found[1])
    words = body.removeprefix("the ").split(" ")
    for count in range(min(LONGEST_NAME, len(words) - 1), 0, -1):  # "Spanish (word) for X"
        code = _language(words[:count], grammar)
        if not code:
            continue
        rest = " ".join(words[count:])
        noun = re.match(r"(?:(?:word|term|phrase|name|translation|equivalent|expression) (?:for|of)|for) ", rest, re.I)
        if not noun:
            break
        subject, quoted = _bare(rest[noun.end() :])
        plain = noun.group().lower() == "for "
        if (
            plain
            and not quoted
            and (fold(subject.strip("?. ").split(" ")[0]) in NOT_AFTER_FOR or subject.count(" ") > 3)
        ):
            return None
        return _make(rest[noun.end() :].rstrip("?. ") if not quoted else rest[noun.end() :], grammar, code)
    if lead and (found := _end(body, grammar.in_, grammar)):
        head = grammar.said.sub("", found[0])
        if _bare(head)[1] or _plain(head, grammar):
            return _make(head, grammar, found[1])
    return None


def _plain(text: str, grammar: Grammar) -> bool:
    """Whether unquoted `text` can be a phrase to translate rather than a question about something."""
    words = [fold(word) for word in text.strip("?!. ").split(" ")]
    if fold(text.strip("?!. ")) in SAYINGS:
        return True
    if len(words) > 6 or words[0] in grammar.not_first:
        return False
    return not any(word in grammar.not_inside for word in words)


def _read_terse(text: str) -> Request | None:
    """hello in French, 'hello' to French, hello from English to French"""
    for grammar in GRAMMARS:
        body, target, source = _ends(text, grammar, into=grammar.in_)
        if target is None and (found := _end(body, grammar.into, grammar)):
            body, target = found
            if source is None and (before := _end(body, grammar.out_of, grammar)):
                body, source = before
            if not source and not _bare(body)[1]:  # "welcome to English": too little to tell
                continue
        if target is None:
            continue
        if _bare(body)[1] or (grammar is ENGLISH and _plain(body, grammar)):
            return _make(body, grammar, target, source)
    return None

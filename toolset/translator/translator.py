"""The translator: a tool that answers queries which ask for a translation, and leaves all others alone.

Backends are asked in order, best first; each result names what made it and how sure that is. Without any backend
the translator answers nothing, and `status` says how to get one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from toolset.tool import Result, Source, Tool
from toolset.translator import identify
from toolset.translator.apertium import Apertium
from toolset.translator.backend import Backend, BackendError, Translation
from toolset.translator.forms import clean, parse
from toolset.translator.languages import fold, name_of
from toolset.translator.request import MAX_TEXT, Request

logger = logging.getLogger(__name__)
MIN_CONFIDENCE = 0.25
"""Below this a translation is more unknown words than known ones, and is no answer."""
UNSURE = 0.15
"""Below this an identified language is the model's prior rather than a finding."""
COMMON = ("es", "fr", "de", "it", "pt", "ca")
"""Languages tried, in this order, for a text that could not be identified."""
MAX_TRIES = 6
"""Most source languages tried for one text."""


class Translator(Tool):
    """Translates words and sentences: "hello in French", "translate 'good morning' to Spanish"."""

    name = "translator"
    description = (
        "Translates a word or sentence between languages. Ask: hello in French; translate 'good morning' to Spanish; "
        "how do you say thank you in Italian; what does Schadenfreude mean in English."
    )
    timeout = 10.0

    def __init__(self, backends: Sequence[Backend] | None = None) -> None:
        self.backends: list[Backend] = list(backends) if backends is not None else [Apertium()]

    def run(self, query: str) -> list[Result]:
        request = parse(query)
        if request is None:
            return []
        translation = self.answer(request)
        if translation is None:
            logger.info(
                "translator: no translation of %r into %s. %s",
                request.text[:80],
                name_of(request.target),
                self.status(),
            )
            return []
        return [as_result(request.text, translation)]

    def answer(self, request: Request) -> Translation | None:
        """The best translation for `request`, or None."""
        if request.either_way:
            back = self._best(request.text, [request.target], request.asking)
            if back and not back.unknown and not _same(back.text, request.text):
                return back
        if not request.certain and not self._foreign(request):
            return None
        best = self._best(request.text, self._sources(request), request.target)
        if best and _same(best.text, request.text) and best.source not in (request.source, request.asking):
            return None  # a word that comes back as it went, from a language that was only guessed, says nothing
        return best

    def translate(self, text: str, target: str, source: str | None = None) -> Translation | None:
        """Translate `text` into language `target` (a code); without `source`, the language is identified."""
        text = clean(text)[:MAX_TEXT]
        return self.answer(Request(text, target, source, asking=target)) if text else None

    def _best(self, text: str, sources: Iterable[str], target: str) -> Translation | None:
        best = None
        for source in sources:
            for backend in self.backends:
                if not backend.supports(source, target):
                    continue
                try:
                    found = backend.translate(text, source, target)
                except BackendError as error:
                    logger.warning("translator: %s", error)
                    continue
                if found is None or found.confidence < MIN_CONFIDENCE:
                    continue
                if not found.unknown:
                    return found
                if best is None or found.confidence > best.confidence:
                    best = found
        return best

    def _sources(self, request: Request) -> list[str]:
        """The source languages to try, likeliest first."""
        if request.source:
            return [request.source]
        ranking = identify.rank(request.text)
        order = [code for code, score in ranking if score >= UNSURE] + list(COMMON)
        if request.asking != request.target:  # "how do you say X in French" is asked in X's language, mostly
            sure = ranking and ranking[0][1] >= identify.SURE and len(request.text) >= 12
            order.insert(1 if sure else 0, request.asking)
        for backend in self.backends:
            order += backend.sources(request.target)
        unique = list(dict.fromkeys(code for code in order if code != request.target))
        return [code for code in unique if any(b.supports(code, request.target) for b in self.backends)][:MAX_TRIES]

    def _foreign(self, request: Request) -> bool:
        """Whether the text is in another language than the question: identified so, and no known word of the latter."""
        ranking = identify.rank(request.text)
        if not ranking or ranking[0][0] == request.asking or ranking[0][1] < 0.5:
            return False
        for backend in self.backends:
            for other in ("es", "en", "de", "fr"):
                if other != request.asking and backend.supports(request.asking, other):
                    try:
                        known = backend.translate(request.text, request.asking, other)
                    except BackendError:
                        continue
                    return known is None or bool(known.unknown)
        return True

    def status(self) -> str:
        """What the translator can do here, a line for each backend, and how to get what is missing."""
        return "\n".join(backend.status() for backend in self.backends) or "The translator has no backend."

    def close(self) -> None:
        for backend in self.backends:
            backend.close()


def _same(a: str, b: str) -> bool:
    return fold(a).strip(".!?¿¡ ") == fold(b).strip(".!?¿¡ ")


def as_result(text: str, translation: Translation) -> Result:
    """A translation as evidence that also reads as an answer."""
    notes = [translation.backend, translation.note]
    if translation.unknown:
        notes.append("not known: " + ", ".join(translation.unknown))
    made_by = "; ".join(note for note in notes if note)
    also = f"; also: {', '.join(translation.alternatives)}" if translation.alternatives else ""
    between = f"{name_of(translation.source)} to {name_of(translation.target)}"
    return Result(
        text=f'"{text}" in {name_of(translation.target)}: "{translation.text}"{also} ({made_by})',
        source=Source(
            title=f"{translation.backend} ({translation.kind}, {between})",
            id=f"translator:{translation.backend.replace(' ', '-').lower()}",
            score=round(translation.confidence, 3),
        ),
    )

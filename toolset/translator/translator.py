"""The translator: a tool that answers queries which ask for a translation, and leaves all others alone.

Greetings and courtesies come from a phrase table. For all else backends are asked in order: a neural model where one is
configured, Apertium's direct pairs, FreeDict's words, and last Apertium by way of another language. Each result names
what made it and how sure that is. Without any backend there are only the greetings, and `status` says how to get one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from toolset.tool import Result, Source, Tool
from toolset.translator import identify, phrases
from toolset.translator.apertium import Apertium, Pivot, run_subprocess
from toolset.translator.apy import ApyServer
from toolset.translator.backend import Backend, BackendError, Translation
from toolset.translator.forms import clean, parse
from toolset.translator.freedict import FreeDict
from toolset.translator.languages import fold, name_of
from toolset.translator.neural import Neural
from toolset.translator.request import MAX_TEXT, Request

logger = logging.getLogger(__name__)
MIN_CONFIDENCE = 0.25
"""Below this a translation is no answer: the next backend is asked."""
COMMON = ("es", "fr", "de", "it", "pt", "ca")
"""Languages tried, in this order, for a text that could not be identified."""
MAX_TRIES = 8
"""Most source languages tried for one text."""


@dataclass(frozen=True)
class _Origin:
    """A language to translate from; `guessed` where only a backend that knows its words can confirm it."""

    code: str
    guessed: bool


class Translator(Tool):
    """Translates words and sentences: "hello in French", "translate 'good morning' to Spanish".

    Args:
        model: folder or Hugging Face id of a seq2seq translation model; None for the installed packages alone.
        pair: (source, target) of a model for one pair that does not say its languages itself.
        beams, batch_size, device: how the model runs.
        server: keep one `apertium-apy` running, where it is installed, instead of a process a text.
        backends: these instead of all others, the phrase table included.

    Raises:
        ToolConfigError: for a model or setting that is not usable as given.
    """

    name = "translator"
    description = (
        "Translates a word or sentence between languages. Ask: hello in French; translate 'good morning' to Spanish; "
        "how do you say thank you in Italian; what does Schadenfreude mean in English."
    )
    timeout = 20.0

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        pair: Sequence[str] | None = None,
        beams: int = 4,
        batch_size: int = 8,
        device: str = "cpu",
        server: bool = True,
        backends: Sequence[Backend] | None = None,
    ) -> None:
        self.backends: list[Backend] = list(backends or ())
        self.greets = backends is None
        if backends is None:
            if model is not None:
                self.backends.append(Neural(model, pair=pair, beams=beams, batch_size=batch_size, device=device))
            apertium = Apertium(ApyServer() if server else run_subprocess)
            self.backends += [apertium, FreeDict(), Pivot(apertium)]
        if any(isinstance(backend, Neural) for backend in self.backends):
            self.needs = frozenset({"model"})
            self.timeout = 30.0

    def run(self, query: str) -> list[Result]:
        """The translation that `query` asks for, as one result; empty where it asks for none or none can be given."""
        request = parse(query)
        if request is None:
            return []
        translation = self.answer(request)
        if translation is None:
            logger.info("translator: %s", self._why_not(request))
            return []
        return [as_result(request.text, translation)]

    def answer(self, request: Request) -> Translation | None:
        """The best translation for `request`, or None."""
        if not request.certain and not self._foreign(request):
            return None
        if self.greets and (greeting := phrases.answer(request)):
            return greeting
        if request.either_way:
            back = self._best(request.text, [_Origin(request.target, guessed=True)], request.asking)
            if back and not back.unknown and not _same(back.text, request.text):
                return back
        best = self._best(request.text, self._origins(request), request.target)
        if best and _same(best.text, request.text) and best.source not in (request.source, request.asking):
            return None  # a word that comes back as it went, from a language that was only guessed, says nothing
        return best

    def translate(self, text: str, target: str, source: str | None = None) -> Translation | None:
        """Translate `text` into language `target` (a code); without `source`, the language is identified."""
        text = clean(text)[:MAX_TEXT]
        return self.answer(Request(text, target, source, asking=target)) if text else None

    def explain(self, query: str) -> str:
        """Why `query` gets no answer, or that it gets one; for people, not for a turn."""
        request = parse(query)
        if request is None:
            return "Not read as a request for a translation. Try: hello in French; translate 'good morning' to Spanish."
        found = self.answer(request)
        return f"Answered by {found.backend}." if found else self._why_not(request)

    def _why_not(self, request: Request) -> str:
        target = name_of(request.target)
        known = [
            f"{b.name} from {', '.join(map(name_of, codes))}"
            for b in self.backends
            if (codes := b.sources(request.target))
        ]
        here = f"Into {target} there is {'; '.join(known)}." if known else f"Nothing here translates into {target}."
        if self.greets and request.target in phrases.table().languages:
            here += " Greetings and courtesies are known."
        german = " German without a model is single words only." if "de" in (request.target, request.source) else ""
        return (
            f"No translation of {request.text[:80]!r}. {here}{german} A model configured for the translator does more."
        )

    def _best(self, text: str, origins: Iterable[_Origin], target: str) -> Translation | None:
        best = None
        for origin in origins:
            for backend in self.backends:
                if (origin.guessed and not backend.knows_words) or not backend.supports(origin.code, target):
                    continue
                try:
                    found = backend.translate(text, origin.code, target)
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

    def _origins(self, request: Request) -> list[_Origin]:
        """The languages to translate from, likeliest first."""
        if request.source:
            return [_Origin(request.source, guessed=False)]
        ranking = identify.rank(request.text)
        top, score = ranking[0] if ranking else ("", 0.0)
        sure = score >= identify.SURE and (len(request.text) >= 12 or not request.text.isascii())
        if sure and top == request.target:
            return []
        order = [_Origin(code, guessed=p < 0.5) for code, p in ranking if p >= identify.UNSURE]
        if request.asking != request.target:  # "how do you say X in French" is asked in X's language, mostly
            order.insert(1 if sure else 0, _Origin(request.asking, guessed=sure and top != request.asking))
        rest = [*COMMON, *(code for backend in self.backends for code in backend.sources(request.target))]
        order += [_Origin(code, guessed=True) for code in rest]
        first = {origin.code: origin for origin in reversed(order)}  # the likeliest mention of each
        unique = [first[code] for code in dict.fromkeys(origin.code for origin in order) if code != request.target]
        usable = (o for o in unique if any(b.supports(o.code, request.target) for b in self.backends))
        return list(usable)[:MAX_TRIES]

    def _foreign(self, request: Request) -> bool:
        """Whether the text is in another language than the question: no known word of that, or identified so."""
        ranking = identify.rank(request.text)
        top, score = ranking[0] if ranking else ("", 0.0)
        if top == request.asking and score >= 0.5:
            return False
        for backend in self.backends:
            for other in (*COMMON, "en"):
                if backend.knows_words and other != request.asking and backend.supports(request.asking, other):
                    try:
                        known = backend.translate(request.text, request.asking, other)
                    except BackendError:
                        continue
                    return known is None or bool(known.unknown)
        return top != request.asking and score >= identify.SURE

    def status(self) -> str:
        """What the translator can do here, a line for each backend, and how to get what is missing."""
        lines = [line for backend in self.backends if (line := backend.status())]
        return "\n".join([phrases.status(), *lines] if self.greets else lines) or "The translator has no backend."

    def close(self) -> None:
        """Stop what runs (the Apertium server) and free the model."""
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
    also = f", also {', '.join(translation.alternatives)}" if translation.alternatives else ""
    between = f"{name_of(translation.source)} to {name_of(translation.target)}"
    return Result(
        text=f'"{text}" in {name_of(translation.target)}: "{translation.text}"{also} ({made_by})',
        source=Source(
            title=f"{translation.backend} ({translation.kind}, {between})",
            id=f"translator:{translation.backend.replace(' ', '-').lower()}",
            score=round(translation.confidence, 3),
        ),
    )

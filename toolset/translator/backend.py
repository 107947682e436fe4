"""What every translation backend is to the translator: a protocol, its result and its error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from toolset.errors import ToolsetError


class BackendError(ToolsetError):
    """A backend could not translate (not installed, failed, too slow); the next one is asked."""


@dataclass(frozen=True)
class Translation:
    """One translation, with what made it."""

    text: str
    source: str
    target: str
    backend: str
    """What made it, as it is cited: "Apertium eng-spa"."""
    kind: str
    """What that is: "machine translation by rules", "neural machine translation", "dictionary"."""
    confidence: float
    """0 to 1, the backend's own measure; not comparable as a probability between backends."""
    unknown: tuple[str, ...] = ()
    """Words that stand untranslated."""
    note: str = ""
    """What a reader must know: "rough, by way of Spanish"."""
    alternatives: tuple[str, ...] = ()
    """Other translations, best first."""


class Backend(Protocol):
    """A way to translate. Thread-safe."""

    name: str
    knows_words: bool
    """Whether it notices words that are not of the source language; if not, a guessed language is not tried."""

    def supports(self, source: str, target: str) -> bool: ...

    def sources(self, target: str) -> list[str]:
        """Languages that can be tried where the source is not known."""
        ...

    def translate(self, text: str, source: str, target: str) -> Translation | None:
        """Translate one line of text; None where this backend has no translation. Raises BackendError."""
        ...

    def status(self) -> str:
        """One line: what it can do here, or why not and how to get it."""
        ...

    def close(self) -> None: ...

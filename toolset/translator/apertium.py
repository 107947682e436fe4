"""Apertium: rule-based translation, with the pairs that are installed on this machine.

Which pairs there are is read from the installed mode files; nothing of a query ever reaches a command line: the
text goes by standard input, a pair's name comes from the directory listing. Where no direct pair is installed,
`Pivot` chains two and labels the result rough. Apertium marks each word that it does not know (`*`), has no
transfer for (`@`) or cannot inflect (`#`); the share of unmarked words is the confidence.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from toolset.translator.backend import BackendError, Translation
from toolset.translator.languages import code_of, name_of

MODE = re.compile(r"([a-z]{2,3})-([a-z]{2,3})((?:_[A-Za-z0-9_]+)?)")
MARK = re.compile(r"(?<![^\W_])([*@#])(?=\w)")
PIVOTS = ("es", "ca", "en", "fr")
"""Languages to go through, best first, where no direct pair is installed."""
MIN_KNOWN = 0.5
"""Where fewer of the words are known, the output is mostly the input, and no translation."""
ROUGH = 0.6
"""What a chain of two pairs takes from the confidence: each pair adds its own mistakes, unmarked."""

TIMEOUT = 8.0
"""Longest translation of one text, in seconds: a pair's first one reads its data, seconds on a busy machine."""

HOW_TO_GET = (
    "Apertium is not installed. On Debian or Ubuntu: apt-get install --no-install-recommends apertium apertium-apy "
    "apertium-eng-spa apertium-eng-cat apertium-en-gl apertium-eo-en apertium-fr-es apertium-es-pt apertium-spa-ita "
    "apertium-fra-cat apertium-spa-cat apertium-es-gl"
)


class Runner(Protocol):
    """What runs one mode over one line of text and returns it with Apertium's marks. Raises BackendError."""

    def __call__(self, mode: str, text: str) -> str: ...


@dataclass(frozen=True)
class Marked:
    """Apertium's output taken apart."""

    text: str
    unknown: tuple[str, ...]
    """Words that it did not know or had no translation for; they stand untranslated."""
    confidence: float
    """Share of words that are not marked, a mark of inflection (`#`) counting half; 0 to 1."""


def safe_input(text: str) -> str:
    """`text` without anything that Apertium would read as its own marks."""
    text = text.replace("*", " ")
    return " ".join(re.sub(r"(?<!\w)[@#]+(?=\w)", " ", text).split())


def read_marks(output: str) -> Marked:
    """Take the marks out of Apertium's output and count them."""
    unknown, cost = [], 0.0
    for match in MARK.finditer(output):
        if match[1] == "#":
            cost += 0.5
        else:
            cost += 1
            word = re.match(r"[\w'’-]+", output[match.end() :])
            unknown.append(word[0] if word else "")
    text = MARK.sub("", output).strip()
    words = len(re.findall(r"\w+(?:['’-]\w+)*", text))
    return Marked(text, tuple(unknown), max(0.0, 1 - cost / words) if words else 0.0)


def _same_case(text: str, translated: str) -> str:
    """`translated` with a small first letter where `text` has one: some pairs start every sentence with a capital."""
    if text[:1].islower() and translated[:1].isupper() and not translated[1:2].isupper():
        return translated[0].lower() + translated[1:]
    return translated


def installed_pairs(data: Path | None = None) -> dict[tuple[str, str], str]:
    """The installed pairs, (source, target) to mode name; the plain mode before a variant."""
    data = data or Path(os.environ.get("APERTIUM_DATADIR") or "/usr/share/apertium")
    pairs: dict[tuple[str, str], str] = {}
    try:
        modes = sorted(path.stem for path in (data / "modes").glob("*.mode"))
    except OSError:
        return {}
    for mode in sorted(modes, key=len):
        match = MODE.fullmatch(mode)
        source, target = (code_of(match[1]), code_of(match[2])) if match else (None, None)
        if source and target and source != target:
            pairs.setdefault((source, target), mode)
    return pairs


def run_subprocess(mode: str, text: str, *, timeout: float = TIMEOUT) -> str:
    """Run one `apertium` process over `text`. Raises BackendError when it fails or takes longer than `timeout` s."""
    command = shutil.which("apertium")
    if not command:
        raise BackendError(HOW_TO_GET)
    process = subprocess.Popen(
        [command, "-f", "txt", mode],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
        start_new_session=True,  # a pipeline of a dozen programs: they are ended together
    )
    try:
        output, _ = process.communicate(text.encode(), timeout=timeout)
    except subprocess.TimeoutExpired:
        raise BackendError(f"apertium {mode} took longer than {timeout:g} s on {len(text)} characters.") from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    if process.returncode:
        raise BackendError(f"apertium {mode} ended with status {process.returncode}.")
    return output.decode("utf-8", "replace").strip()


class Apertium:
    """The installed pairs as a backend. `run` is how a mode is run; by default one process a text."""

    name = "Apertium"
    knows_words = True

    def __init__(self, run: Runner = run_subprocess, *, data: Path | None = None) -> None:
        self._run = run
        self.pairs = installed_pairs(data) if shutil.which("apertium") else {}

    def supports(self, source: str, target: str) -> bool:
        return (source, target) in self.pairs

    def sources(self, target: str) -> list[str]:
        return [source for source, into in self.pairs if into == target]

    def translate(self, text: str, source: str, target: str) -> Translation | None:
        """Translate one line. None where the pair is not installed or most words are unknown. Raises BackendError."""
        text = safe_input(text)
        mode = self.pairs.get((source, target))
        if not mode or not text:
            return None
        marked = read_marks(self._run(mode, text))
        if not marked.text or marked.confidence < MIN_KNOWN:
            return None
        return Translation(
            text=_same_case(text, marked.text),
            source=source,
            target=target,
            backend=f"Apertium {mode}",
            kind="machine translation by rules",
            confidence=marked.confidence,
            unknown=marked.unknown,
        )

    def status(self) -> str:
        if not self.pairs:
            return HOW_TO_GET if not shutil.which("apertium") else f"Apertium has no language pair. {HOW_TO_GET}"
        return f"Apertium (sentences): {', '.join(sorted(f'{a}→{b}' for a, b in self.pairs))}"

    def close(self) -> None:
        close = getattr(self._run, "close", None)
        if close:
            close()


class Pivot:
    """Two Apertium pairs, one after the other, where no pair goes directly: "rough, by way of Spanish"."""

    name = "Apertium by way of another language"
    knows_words = True

    def __init__(self, direct: Apertium) -> None:
        self.direct = direct

    def route(self, source: str, target: str) -> str | None:
        """The language to go through; None where there is a direct pair, or no way."""
        if source == target or self.direct.supports(source, target):
            return None
        ways = (way for way in PIVOTS if self.direct.supports(source, way) and self.direct.supports(way, target))
        return next(ways, None)

    def supports(self, source: str, target: str) -> bool:
        return self.route(source, target) is not None

    def sources(self, target: str) -> list[str]:
        return []

    def translate(self, text: str, source: str, target: str) -> Translation | None:
        """Translate twice. None where either half has no translation. Raises BackendError."""
        way = self.route(source, target)
        first = self.direct.translate(text, source, way) if way else None
        second = self.direct.translate(first.text, way, target) if first and way else None
        if not first or not second or not way:
            return None
        unknown = dict.fromkeys((*first.unknown, *second.unknown))
        return Translation(
            text=second.text,
            source=source,
            target=target,
            backend=f"{first.backend} and {second.backend.removeprefix('Apertium ')}",
            kind=first.kind,
            confidence=ROUGH * first.confidence * second.confidence,
            unknown=tuple(unknown),
            note=f"rough, by way of {name_of(way)}",
        )

    def status(self) -> str:
        found: dict[str, list[str]] = {}
        codes = sorted({code for pair in self.direct.pairs for code in pair})
        for source in codes:
            for target in codes:
                if way := self.route(source, target):
                    found.setdefault(way, []).append(f"{source}→{target}")
        return "; ".join(f"Rough, by way of {name_of(way)}: {', '.join(pairs)}" for way, pairs in found.items())

    def close(self) -> None:
        return None

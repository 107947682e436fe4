"""FreeDict: dictionaries for single words and set phrases, read from the files that Debian's packages install.

A dictionary is two files of the DICT format: an `.index` of headwords with offsets, and the articles in a `.dict`,
plain or compressed by `dictzip` (gzip in independent chunks, so that an article is read without the rest). Both are
only mapped into memory. Boundary: looks words up as they stand; no inflection, no sentences.
"""

from __future__ import annotations

import mmap
import os
import re
import struct
import threading
import zlib
from dataclasses import dataclass
from pathlib import Path

from toolset.translator.backend import BackendError, Translation
from toolset.translator.languages import code_of

FOLDERS = (Path("/usr/share/dictd"), Path("/usr/local/share/dictd"))
FILE = re.compile(r"freedict-([a-z]{3})-([a-z]{3})")
HOW_TO_GET = (
    "FreeDict is not installed (single words, German among them). On Debian or Ubuntu: apt-get install "
    "dict-freedict-eng-deu dict-freedict-deu-eng dict-freedict-eng-fra dict-freedict-fra-eng"
)
DIGITS = {c: i for i, c in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")}
MAX_WORDS = 5
MAX_ENTRIES = 40
MAX_ARTICLE = 20_000
LEADING = {
    "en": ("the ", "a ", "an ", "to "),
    "de": ("der ", "die ", "das ", "ein ", "eine "),
    "fr": ("le ", "la ", "les ", "l'", "un ", "une "),
    "es": ("el ", "la ", "los ", "las ", "un ", "una "),
    "it": ("il ", "lo ", "la ", "l'", "i ", "gli ", "le ", "un ", "una "),
    "pt": ("o ", "a ", "os ", "as ", "um ", "uma "),
}
"""Articles and particles that a question may put before a headword."""


def _number(digits: str) -> int:
    """An offset or length of the index: base 64, most significant digit first."""
    value = 0
    for digit in digits:
        value = value * 64 + DIGITS[digit]
    return value


class DictFile:
    """The articles: random access to a `.dict` or a `.dict.dz`. Thread-safe. Raises BackendError when damaged."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._data = path.read_bytes() if path.stat().st_size == 0 else _map(path)
        self._chunk, self._offsets = 0, []
        if path.suffix == ".dz":
            self._read_header()

    def _read_header(self) -> None:
        """gzip header with the field `RA`: version, chunk length, then each chunk's compressed length (16 bits)."""
        data = self._data
        try:
            if data[:3] != b"\x1f\x8b\x08":
                raise ValueError("no gzip header")
            flags = data[3]
            position = 10
            sizes: tuple[int, ...] = ()
            if flags & 4:
                (extra,) = struct.unpack_from("<H", data, position)
                position, end = position + 2, position + 2 + extra
                while position < end:
                    name, length = data[position : position + 2], struct.unpack_from("<H", data, position + 2)[0]
                    if name == b"RA":
                        _version, self._chunk, count = struct.unpack_from("<HHH", data, position + 4)
                        sizes = struct.unpack_from(f"<{count}H", data, position + 10)
                    position += 4 + length
                position = end
            if not sizes or not self._chunk:
                raise ValueError("not made by dictzip")
            for flag in (8, 16):  # file name, comment
                if flags & flag:
                    position = data.index(b"\0", position) + 1 if isinstance(data, bytes) else data.find(b"\0", position) + 1
            position += 2 if flags & 2 else 0
        except (ValueError, struct.error, IndexError) as error:
            raise BackendError(f"{self.path} is not a dictzip file ({error}); reinstall the dictionary.") from error
        for size in sizes:
            self._offsets.append((position, size))
            position += size

    def read(self, offset: int, length: int) -> str:
        """The `length` bytes at `offset` of the uncompressed text."""
        if not self._offsets:
            return bytes(self._data[offset : offset + length]).decode("utf-8", "replace")
        first, last = offset // self._chunk, (offset + length - 1) // self._chunk
        try:
            parts = []
            for position, size in self._offsets[first : last + 1]:
                # each chunk ends in a full flush, so it can be inflated alone
                parts.append(zlib.decompressobj(-zlib.MAX_WBITS).decompress(self._data[position : position + size], self._chunk))
        except zlib.error as error:
            raise BackendError(f"{self.path} is damaged ({error}); reinstall the dictionary.") from error
        start = offset - first * self._chunk
        return b"".join(parts)[start : start + length].decode("utf-8", "replace")


def _map(path: Path) -> mmap.mmap:
    with open(path, "rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


class Index:
    """The headwords: `lookup` gives the places of a word's articles."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._data = _map(path)

    def lookup(self, word: str) -> list[tuple[int, int]]:
        """(offset, length) of each article of `word`, at most `MAX_ENTRIES`."""
        key = index_key(word)
        if not key.strip():
            return []
        needle = b"\n" + key.encode() + b"\t"
        places = []
        at = self._data.find(needle)
        while at >= 0 and len(places) < MAX_ENTRIES:
            end = self._data.find(b"\n", at + 1)
            line = self._data[at + 1 : end if end >= 0 else len(self._data)].decode("utf-8", "replace")
            fields = line.split("\t")
            try:
                places.append((_number(fields[1]), min(_number(fields[2].strip()), MAX_ARTICLE)))
            except (KeyError, IndexError) as error:
                raise BackendError(f"{self.path} is damaged at {line[:40]!r}; reinstall the dictionary.") from error
            at = self._data.find(needle, at + 1)
        return places


def index_key(word: str) -> str:
    """A headword as indexes have it: lower case, letters, digits and spaces only."""
    return "".join(c for c in word.lower() if c.isalnum() or c == " ")


@dataclass(frozen=True)
class Sense:
    """One article: its headword, its translations, and how much is said about it (a proxy of how common it is)."""

    headword: str
    translations: tuple[str, ...]
    weight: float


PRONUNCIATION = re.compile(r"\s/[^/]*/")
LABEL = re.compile(r"<[^>]*>|\[[^\]]*\]|\([^)]*\)")
NOTE = re.compile(r"\s{2,}|\s*(?:see:|Synonyms?:|Note:)")


def read_article(article: str, word: str) -> Sense | None:
    """Read one article of FreeDict's layout; None where it holds no translation of `word` itself."""
    lines = [line for line in article.splitlines() if line.strip()]
    if len(lines) < 2:
        return None
    headword = LABEL.sub("", PRONUNCIATION.sub("", lines[0])).strip()
    if "(" in lines[0] and index_key(headword) != index_key(word):
        return None  # the word is only an abbreviation in this entry
    translations: list[str] = []
    for line in lines[1:]:
        if NOTE.match(line) and not line.startswith(" ["):
            continue
        text = re.sub(r"^\s*\d+\.\s*", "", LABEL.sub("", PRONUNCIATION.sub("", line)))
        translations += [part.strip() for part in text.split(",") if any(c.isalpha() for c in part)]
    if not translations:
        return None
    examples = sum(line.lstrip().startswith('"') for line in lines)
    weight = 1 + examples + 0.2 * article.count("{")
    if headword.rstrip("!") != word and headword.rstrip("!").lower() != word.lower():
        weight *= 0.3  # "Haus…" in compounds, "Hello?" on the telephone
    return Sense(headword, tuple(dict.fromkeys(translations)), weight)


class Dictionary:
    """One direction of one dictionary."""

    def __init__(self, index: Path, articles: Path) -> None:
        self.index = Index(index)
        self.articles = DictFile(articles)

    def lookup(self, word: str) -> list[Sense]:
        """The senses of `word`, likeliest first."""
        senses = (read_article(self.articles.read(*place), word) for place in self.index.lookup(word))
        return sorted((sense for sense in senses if sense), key=lambda sense: -sense.weight)


class FreeDict:
    """The installed dictionaries as a backend."""

    name = "FreeDict"

    def __init__(self, folders: tuple[Path, ...] | None = None) -> None:
        self._lock = threading.Lock()
        self._open: dict[tuple[str, str], Dictionary] = {}
        self._files: dict[tuple[str, str], tuple[Path, Path]] = {}
        chosen = os.environ.get("GROUNDLING_FREEDICT")
        for folder in folders if folders is not None else ((Path(chosen),) if chosen else FOLDERS):
            for index in sorted(folder.glob("freedict-*.index")):
                match = FILE.fullmatch(index.stem)
                source, target = (code_of(match[1]), code_of(match[2])) if match else (None, None)
                articles = [path for path in (index.with_suffix(".dict.dz"), index.with_suffix(".dict")) if path.is_file()]
                if source and target and articles:
                    self._files.setdefault((source, target), (index, articles[0]))

    @property
    def pairs(self) -> list[tuple[str, str]]:
        return sorted(self._files)

    def supports(self, source: str, target: str) -> bool:
        return (source, target) in self._files

    def sources(self, target: str) -> list[str]:
        return [source for source, into in self._files if into == target]

    def translate(self, text: str, source: str, target: str) -> Translation | None:
        """Look `text` up, with and without a leading article. None for what is no headword. Raises BackendError."""
        word = text.strip(" .!?¿¡,;")
        if (source, target) not in self._files or not word or word.count(" ") >= MAX_WORDS:
            return None
        dictionary = self._dictionary(source, target)
        tries = [word] + [word[len(a) :] for a in LEADING.get(source, ()) if word.lower().startswith(a)]
        senses = next((found for form in tries if (found := dictionary.lookup(form))), None)
        if not senses:
            return None
        first, total = senses[0], sum(sense.weight for sense in senses)
        others = [t for sense in senses for t in sense.translations if t != first.translations[0]]
        return Translation(
            text=first.translations[0],
            source=source,
            target=target,
            backend=f"FreeDict {'-'.join(self._files[source, target][0].stem.split('-')[1:])}",
            kind="dictionary",
            confidence=0.4 + 0.5 * first.weight / total,
            alternatives=tuple(dict.fromkeys(others))[:3],
        )

    def _dictionary(self, source: str, target: str) -> Dictionary:
        with self._lock:
            if (source, target) not in self._open:
                try:
                    self._open[source, target] = Dictionary(*self._files[source, target])
                except (OSError, ValueError) as error:
                    raise BackendError(f"{self._files[source, target][0]} cannot be read: {error}.") from error
            return self._open[source, target]

    def status(self) -> str:
        if not self._files:
            return HOW_TO_GET
        return f"FreeDict (single words): {', '.join(f'{a}→{b}' for a, b in self.pairs)}"

    def close(self) -> None:
        with self._lock:
            self._open.clear()

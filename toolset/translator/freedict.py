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
MAX_CANDIDATES = 8
NO_WAY_BACK = 2
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
                    position = (
                        data.index(b"\0", position) + 1 if isinstance(data, bytes) else data.find(b"\0", position) + 1
                    )
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
                parts.append(
                    zlib.decompressobj(-zlib.MAX_WBITS).decompress(self._data[position : position + size], self._chunk)
                )
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
    """One meaning of a headword: its translations, and how much is said about it (a proxy of how common it is)."""

    translations: tuple[str, ...]
    weight: float


PRONUNCIATION = re.compile(r"\s/[^/]*/")
LABEL = re.compile(r"<[^>]*>|\[[^\]]*\]|\([^)]*\)")
NOTE = re.compile(r"\s{2,}|\s*(?:see:|Synonyms?:|Note:)")


def read_article(article: str, word: str) -> list[Sense]:
    """The senses in one article of FreeDict's layout; none where it does not translate `word` itself."""
    lines = [line for line in article.splitlines() if line.strip()]
    if len(lines) < 2:
        return []
    headword = LABEL.sub("", PRONUNCIATION.sub("", lines[0])).strip()
    if "(" in lines[0] and index_key(headword) != index_key(word):
        return []  # the word is only an abbreviation in this entry
    meanings: list[list[str]] = []
    for line in lines[1:]:
        if NOTE.match(line) and not line.startswith(" ["):
            continue
        text, numbered = re.subn(r"^\s*\d+\.\s*", "", LABEL.sub("", PRONUNCIATION.sub("", line)))
        if numbered or not meanings:
            meanings.append([])
        meanings[-1] += [part.strip().split("  ")[0] for part in text.split(",") if any(c.isalpha() for c in part)]
    meanings = [meaning for meaning in meanings if meaning]
    weight = 1 + sum(line.lstrip().startswith('"') for line in lines) + 0.2 * article.count("{")
    if headword.rstrip("!").lower() != word.rstrip("!").lower():
        weight *= 0.3  # "Haus…" in compounds, "Hello?" on the telephone
    return [Sense(tuple(dict.fromkeys(meaning)), weight / len(meanings)) for meaning in meanings]


class Dictionary:
    """One direction of one dictionary."""

    def __init__(self, index: Path, articles: Path) -> None:
        self.index = Index(index)
        self.articles = DictFile(articles)

    def lookup(self, word: str) -> list[Sense]:
        """The senses of `word`, likeliest first."""
        senses = [s for place in self.index.lookup(word) for s in read_article(self.articles.read(*place), word)]
        return sorted(senses, key=lambda sense: -sense.weight)


class FreeDict:
    """The installed dictionaries as a backend."""

    name = "FreeDict"
    knows_words = True

    def __init__(self, folders: tuple[Path, ...] | None = None) -> None:
        self._lock = threading.Lock()
        self._open: dict[tuple[str, str], Dictionary] = {}
        self._files: dict[tuple[str, str], tuple[Path, Path]] = {}
        chosen = os.environ.get("GROUNDLING_FREEDICT")
        for folder in folders if folders is not None else ((Path(chosen),) if chosen else FOLDERS):
            for index in sorted(folder.glob("freedict-*.index")):
                match = FILE.fullmatch(index.stem)
                source, target = (code_of(match[1]), code_of(match[2])) if match else (None, None)
                articles = [
                    path for path in (index.with_suffix(".dict.dz"), index.with_suffix(".dict")) if path.is_file()
                ]
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
        form, senses = next(((form, found) for form in tries if (found := dictionary.lookup(form))), (word, []))
        if not senses:
            return None
        total = sum(sense.weight for sense in senses)
        share = {t: sense.weight / total for sense in reversed(senses) for t in sense.translations}
        found = list(dict.fromkeys(t for sense in senses for t in sense.translations))[:MAX_CANDIDATES]
        back = {t: self._way_back(t, form, source, target) for t in found}
        found.sort(key=lambda t: back[t])  # stable: where the way back says nothing, the senses' order stays
        plain = (lambda t: t) if text.rstrip().endswith(("!", "?")) else (lambda t: t.rstrip("!?"))
        return Translation(
            text=plain(found[0]),
            source=source,
            target=target,
            backend=f"FreeDict {'-'.join(self._files[source, target][0].stem.split('-')[1:])}",
            kind="dictionary",
            confidence=0.4 + 0.4 * share[found[0]] + (0.1 if back[found[0]] == 0 else 0.0),
            alternatives=tuple(dict.fromkeys(plain(t) for t in found[1:]))[:3],
        )

    def _way_back(self, translation: str, word: str, source: str, target: str) -> int:
        """The place of `word` among the translations of `translation` in the reverse dictionary, 0 to `NO_WAY_BACK`.

        A rare translation of a common word has others before it on the way back, so it goes behind.
        """
        if (target, source) not in self._files:
            return NO_WAY_BACK
        senses = self._dictionary(target, source).lookup(translation)
        words = [index_key(t) for sense in senses for t in sense.translations]
        key = index_key(word)
        return min(words.index(key), NO_WAY_BACK) if key in words else NO_WAY_BACK

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

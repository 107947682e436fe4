"""FreeDict: the DICT format read from small dictionaries written here, and from Debian's where they are installed."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import pytest

from toolset.translator import Translator
from toolset.translator.backend import BackendError
from toolset.translator.freedict import FOLDERS, DictFile, FreeDict, read_article

BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def number(value: int) -> str:
    digits = BASE64[value % 64]
    while value := value // 64:
        digits = BASE64[value % 64] + digits
    return digits


def dictzip(data: bytes, chunk: int = 40) -> bytes:
    """The dictzip format, from its description: gzip whose extra field names chunks that inflate alone."""
    parts = []
    for start in range(0, len(data), chunk):
        deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        parts.append(deflate.compress(data[start : start + chunk]) + deflate.flush(zlib.Z_FULL_FLUSH))
    table = struct.pack(f"<HHH{len(parts)}H", 1, chunk, len(parts), *map(len, parts))
    extra = b"RA" + struct.pack("<H", len(table)) + table
    header = b"\x1f\x8b\x08\x0c" + b"\0" * 6 + struct.pack("<H", len(extra)) + extra + b"name.dict\0"
    end = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS).flush()
    return header + b"".join(parts) + end + struct.pack("<II", zlib.crc32(data), len(data))


def write_dictionary(folder: Path, pair: str, articles: dict[str, str], *, compressed: bool = True) -> None:
    text, lines = b"", ["00databaseutf8\tA\tB"]
    for headword, article in articles.items():
        body = article.encode()
        lines.append(f"{headword}\t{number(len(text))}\t{number(len(body))}")
        text += body
    folder.mkdir(exist_ok=True)
    (folder / f"freedict-{pair}.index").write_text("\n".join(sorted(lines)) + "\n", encoding="utf-8")
    if compressed:
        (folder / f"freedict-{pair}.dict.dz").write_bytes(dictzip(text))
    else:
        (folder / f"freedict-{pair}.dict").write_bytes(text)


ENGLISH = {
    "dog": "dog /dɔg/\nHund <masc> [zool.]\n      \"train a dog\"  - einen Hund abrichten\n see: {dogs}\n\n",
    "good morning": "Good morning! /x/\nGuten Morgen!, Guten Tag!\n         Note: greeting\n",
    "cat": "cat /kat/\n1. Drachen, Megäre\n2. Katze\n",
    "light": "computed light (light /x/)\nRechenlicht <neut>\n",
}  # fmt: skip
GERMAN = {
    "katze": "Katze /x/ <fem, n, sg>\ncat <n>\n",
    "drachen": "Drachen /x/ <masc>\nkite <n>, dragon <n>, shrew <n>, cat <n>\n",
    "megäre": "Megäre /x/ <fem>\nshrew <n>, virago <n>, cat <n>\n",
}


@pytest.fixture(params=[True, False], ids=["dictzip", "plain"])
def dictionaries(tmp_path: Path, request: pytest.FixtureRequest) -> FreeDict:
    write_dictionary(tmp_path / "d", "eng-deu", ENGLISH, compressed=request.param)
    write_dictionary(tmp_path / "d", "deu-eng", GERMAN, compressed=request.param)
    return FreeDict((tmp_path / "d",))


@pytest.mark.parametrize(
    ("text", "translation", "alternatives"),
    [
        ("dog", "Hund", ()),
        ("the dog", "Hund", ()),
        ("DOG", "Hund", ()),
        ("Good morning", "Guten Morgen", ("Guten Tag",)),
        ("good morning!", "Guten Morgen!", ("Guten Tag!",)),
        ("cat", "Katze", ("Drachen", "Megäre")),  # the other two lead back to other words first
    ],
)
def test_a_headword_is_translated(
    dictionaries: FreeDict, text: str, translation: str, alternatives: tuple[str, ...]
) -> None:
    found = dictionaries.translate(text, "en", "de")
    assert found is not None
    assert (found.text, found.alternatives) == (translation, alternatives)
    assert found.backend == "FreeDict eng-deu"
    assert 0.4 <= found.confidence <= 0.9


@pytest.mark.parametrize(
    "text", ["", "!!!", "dogs bark at the moon every single night", "light", "do", "dog\tA\tB", "katze"]
)
def test_what_is_no_headword_has_no_translation(dictionaries: FreeDict, text: str) -> None:
    assert dictionaries.translate(text, "en", "de") is None


def test_a_pair_that_is_not_installed_has_no_translation(dictionaries: FreeDict) -> None:
    assert dictionaries.translate("dog", "en", "fr") is None
    assert dictionaries.supports("en", "de")
    assert not dictionaries.supports("en", "fr")


def test_dictzip_is_read_at_every_place_and_by_gzip(tmp_path: Path) -> None:
    text = "".join(f"line {i} äöü\n" for i in range(40)).encode()
    (tmp_path / "x.dict.dz").write_bytes(dictzip(text))
    assert gzip.decompress((tmp_path / "x.dict.dz").read_bytes()) == text  # the writer above follows the format
    file = DictFile(tmp_path / "x.dict.dz")
    for start in range(0, len(text), 7):
        assert file.read(start, 90) == text[start : start + 90].decode("utf-8", "replace")


@pytest.mark.parametrize("damage", [b"", b"not gzip at all", gzip.compress(b"no chunks")])
def test_a_damaged_dictionary_is_named(tmp_path: Path, damage: bytes) -> None:
    write_dictionary(tmp_path, "eng-deu", ENGLISH)
    (tmp_path / "freedict-eng-deu.dict.dz").write_bytes(damage)
    backend = FreeDict((tmp_path,))
    with pytest.raises(BackendError, match=r"freedict-eng-deu"):
        backend.translate("dog", "en", "de")
    assert Translator(backends=[backend]).run("dog in German") == []


def test_an_article_that_only_abbreviates_is_not_a_translation() -> None:
    assert read_article("computed axial tomography /x/ (CAT /y/)\nSchichtröntgen <neut>\n", "cat") == []


def test_without_dictionaries_it_says_how_to_get_them(tmp_path: Path) -> None:
    assert "apt-get install dict-freedict-eng-deu" in FreeDict((tmp_path,)).status()
    assert FreeDict((tmp_path / "missing",)).translate("dog", "en", "de") is None


@pytest.mark.skipif(
    not any((folder / "freedict-eng-deu.index").is_file() for folder in FOLDERS),
    reason="skipped: Debian's English-German dictionary (apt-get install dict-freedict-eng-deu dict-freedict-deu-eng)",
)
@pytest.mark.parametrize(
    ("word", "translation"),
    [
        ("dog", "Hund"),
        ("house", "Haus"),
        ("water", "Wasser"),
        ("good morning", "Guten Morgen"),
        ("butterfly", "Schmetterling"),
    ],
)
def test_the_installed_dictionary_translates_common_words(word: str, translation: str) -> None:
    (result,) = Translator(backends=[FreeDict()]).run(f"{word} in German")
    assert result.text.startswith(f'"{word}" in German: "{translation}"')
    assert result.source is not None
    assert result.source.title == "FreeDict eng-deu (dictionary, English to German)"

"""Files into documents: .txt .md .html .pdf .docx .jsonl, found in a folder.

A file that cannot be read is one problem, in one line, and the others are read all the same. Nothing in a file is
run or fetched. Boundary: knows nothing of corpora or vectors.
"""

from __future__ import annotations

import io
import json
import os
import re
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import ValidationError

from toolset.retrieval.errors import DocumentError
from toolset.retrieval.store import Document

MAX_BYTES = 32 << 20
"""The largest file read by default; JSONL, which holds many documents, may be ten times that."""
MAX_UNPACKED = 256 << 20
"""The most that a compressed document may unpack to."""


def printable(path: Path | str) -> str:
    """A path as text that can be stored and printed: bytes of a name that are no UTF-8 are escaped, as in `\\xff`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def absolute(path: Path | str) -> str:
    """The one name of a file or folder in a corpus: absolute, without `..`, printable; links stay as they are."""
    return printable(os.path.abspath(path))


def find_files(path: Path, trouble: Callable[[str, Path | None], None] | None = None) -> Iterator[Path]:
    """`path` itself, or all files below it, sorted; hidden ones left out, links followed, loops entered once.

    `trouble` hears of every folder and link that is left out: a line, and its place where what it holds is not known.

    Raises DocumentError for a path that does not exist.
    """
    tell = trouble or (lambda line, place: None)
    if not path.exists():
        raise DocumentError(f"{printable(path)} does not exist. Give a file or a folder of documents.")
    if path.is_file():
        yield path
        return

    def unreadable(error: OSError) -> None:
        place = Path(error.filename or path)
        tell(f"{printable(place)}: cannot be listed: {error.strerror or error}. Check its permissions.", place)

    seen: dict[str, str] = {}
    for folder, names, files in os.walk(path, onerror=unreadable, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # a link back up, or a second way to the same folder
            tell(f"{printable(folder)}: leads to {printable(seen[real])} again, read once. Remove the link.", None)
            names.clear()
            continue
        seen[real] = folder
        names[:] = sorted(name for name in names if not name.startswith("."))
        for name in sorted(files):
            file = Path(folder, name)
            if name.startswith("."):
                continue
            try:
                if stat.S_ISREG(file.stat().st_mode):
                    yield file
            except OSError as error:
                what = "a link that leads nowhere" if os.path.islink(file) else "cannot be read"
                tell(f"{printable(file)}: {what}: {error.strerror or error}. Mend or remove it.", file)


def read_file(
    path: Path, root: Path | None = None, max_bytes: int = MAX_BYTES, problem: Callable[[str], None] | None = None
) -> list[Document]:
    """The documents in one file: one, or for JSONL one a line; `problem` hears of single lines that are left out.

    A document's id is its path below `root`, or the record's own `id`. Raises DocumentError, naming the file.
    """
    shown = printable(path)
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        kind = Path(shown).suffix or "files without a suffix"
        raise DocumentError(f"{shown}: no reader for {kind}. Readable: {suffixes()}.")
    limit = max_bytes * (10 if reader is read_jsonl else 1)
    try:
        size = path.stat().st_size
        if size > limit:
            raise DocumentError(
                f"{shown}: {size / 2**20:.0f} MB is over the limit of {limit / 2**20:.0f} MB. "
                "Split it, or raise --max-mb."
            )
        data = path.read_bytes()
    except OSError as error:
        raise DocumentError(f"{shown}: cannot be read: {error.strerror or error}. Check its permissions.") from error
    name = printable(path.relative_to(root).as_posix() if root and path.is_relative_to(root) else path.name)
    origin = absolute(path)
    try:
        if reader is read_jsonl:
            return read_jsonl(data, name, origin, problem or (lambda line: None))
        title, text = (tidy(part) for part in reader(data))
        if not text:
            raise DocumentError("holds no text. A scanned document needs text recognition (OCR) first.")
        return [Document(id=name, title=title or Path(name).stem.replace("_", " "), text=text, origin=origin)]
    except DocumentError as error:
        raise DocumentError(f"{shown}: {error}") from error
    except Exception as error:  # a parser's own failure on a broken file
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DocumentError(
            f"{shown}: not a readable {path.suffix[1:].lower()} file: {reason}. Save it again."
        ) from error


def suffixes() -> str:
    return " ".join(sorted(READERS))


def decode(data: bytes) -> str:
    """Text of bytes: UTF-8, UTF-16 with its mark, or the encoding that fits best. Raises DocumentError for binary."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    if b"\0" in data:
        raise DocumentError("is binary, not text. Remove it, or convert it to text.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        from charset_normalizer import from_bytes

        guesses = list(from_bytes(data[: 1 << 20]))
        if not guesses:
            raise DocumentError("is in no encoding that can be recognised. Save it as UTF-8.") from None
        good = {guess.encoding for guess in guesses if guess.chaos <= guesses[0].chaos}
        return data.decode("cp1252" if "cp1252" in good else guesses[0].encoding, "replace")


def tidy(text: str) -> str:
    """Without control characters, with plain spaces, and at most one blank line in a row."""
    text = re.sub(
        r"[\x00-\x08\x0b-\x1f\x7f\ufeff]|[\ud800-\udfff]", " ", text.replace("\r\n", "\n").replace("\r", "\n")
    )
    text = re.sub(r"[^\S\n]+", " ", text)
    return re.sub(r" ?\n(?: ?\n)+ ?", "\n\n", text).strip()


def read_text(data: bytes) -> tuple[str, str]:
    return "", decode(data)


def read_markdown(data: bytes) -> tuple[str, str]:
    """Headings, emphasis and links become plain text; the first heading is the title."""
    text = re.sub(r"\A---\n.*?\n---\n", "", decode(data).replace("\r\n", "\n"), flags=re.DOTALL)
    heading = re.search(r"^#{1,6}\s+(.+?)\s*#*$", text, re.MULTILINE)
    text = re.sub(r"!?\[([^\]]*)\]\([^)\s]*(?:\s[^)]*)?\)", r"\1", text)
    text = re.sub(r"^#{1,6}\s+(.+?)\s*#*$", r"\n\1\n", text, flags=re.MULTILINE)
    text = re.sub(r"(\*\*|__|`{1,3})(.+?)\1", r"\2", text)
    return heading.group(1) if heading else "", text


def read_html(data: bytes) -> tuple[str, str]:
    from bs4 import BeautifulSoup

    page = BeautifulSoup(decode(data), "lxml")
    title = page.title.get_text(" ", strip=True) if page.title else ""
    for element in page(
        ["script", "style", "noscript", "template", "nav", "header", "footer", "aside", "form", "title"]
    ):
        element.decompose()
    for element in page(["p", "div", "li", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "section", "article", "br"]):
        element.append("\n\n" if element.name in {"p", "h1", "h2", "h3", "h4", "h5", "h6"} else "\n")
    return title, page.get_text()


def read_pdf(data: bytes) -> tuple[str, str]:
    import logging

    from pypdf import PdfReader

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it warns about every oddity of a file
    reader = PdfReader(io.BytesIO(data))
    if reader.is_encrypted and not reader.decrypt(""):
        raise DocumentError("is encrypted. Save it without a password.")
    pages = [page.extract_text() for page in reader.pages]
    text = "\n\n".join(re.sub(r"(\w)-\n(\w)", r"\1\2", page) for page in pages)
    title = reader.metadata.title if reader.metadata else ""
    return title or "", re.sub(r"(?<![.!?:\n])\n(?!\n)", " ", text)


def read_docx(data: bytes) -> tuple[str, str]:
    from docx import Document as Open

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if sum(item.file_size for item in archive.infolist()) > MAX_UNPACKED:
            raise DocumentError(f"unpacks to more than {MAX_UNPACKED >> 20} MB. Split it.")
    document = Open(io.BytesIO(data))
    parts = [paragraph.text for paragraph in document.paragraphs]
    parts += [" | ".join(cell.text for cell in row.cells) for table in document.tables for row in table.rows]
    return document.core_properties.title or "", "\n\n".join(part for part in parts if part.strip())


def read_jsonl(data: bytes, name: str, origin: str, problem: Callable[[str], None]) -> list[Document]:
    """`{"id"?, "title"?, "text", "url"?}` a line; a line that is none is left out and told to `problem`."""
    documents = []
    for number, line in enumerate(decode(data).split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            given = record.get("id")
            id_ = f"{name}#{number}" if given is None or given == "" else str(given)  # 0 is an id
            text = tidy(record["text"])
            if not text:
                raise ValueError("its text is empty")
            title = tidy(str(record.get("title") or ""))
            url = record.get("url") or None
            documents.append(Document(id=id_, title=title, text=text, url=url, origin=origin, line=number))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ValidationError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())[:120]
            problem(f'{name}, line {number}: left out, {reason}. A line is {{"id", "title", "text", "url"?}}.')
    if not documents:
        raise DocumentError('holds no record of the form {"id", "title", "text", "url"?}.')
    return documents


READERS: dict[str, Callable] = {
    ".txt": read_text,
    ".md": read_markdown,
    ".markdown": read_markdown,
    ".html": read_html,
    ".htm": read_html,
    ".pdf": read_pdf,
    ".docx": read_docx,
    ".jsonl": read_jsonl,
}

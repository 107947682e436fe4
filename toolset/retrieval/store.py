"""A corpus on disk: documents, their passages and vectors, in one SQLite file.

Every batch of documents is one transaction, so a killed process loses nothing that was committed and leaves nothing
half-made. What can be derived (search structures) is not stored. Each document carries a seal, a hash over its text
and vectors; the corpus's hash is the sum of the seals and changes in the same transaction, so damage is noticed.

Boundary: knows nothing of models or of search; vectors come and go as arrays.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field

from toolset.english.sentences import Span
from toolset.retrieval.embedder import Embedding
from toolset.retrieval.errors import CorpusError, DamagedCorpusError

FORMAT = "2"
"""Changes with the tables, and with what `english.words.terms` makes of a text."""
FILE = "corpus.sqlite"
BUSY_SECONDS = 30.0
"""Longest wait for another process's transaction."""
MODULUS = 1 << 256

SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS documents (
  id TEXT PRIMARY KEY, title TEXT NOT NULL, url TEXT, text TEXT NOT NULL,
  origin TEXT, digest BLOB NOT NULL, seal BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS documents_origin ON documents (origin);
CREATE TABLE IF NOT EXISTS passages (
  key INTEGER PRIMARY KEY, document TEXT NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
  spans BLOB NOT NULL, terms TEXT NOT NULL, vectors BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS passages_document ON passages (document);
"""


class Document(BaseModel):
    """One text with its identity; `id` is what citations are scored by."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str = Field(min_length=1)
    title: str = ""
    text: str
    url: str | None = None
    origin: str | None = Field(default=None, description="The file it came from; a vanished file takes its documents.")
    line: int | None = Field(default=None, exclude=True, description="Its line in that file, from 1; it is not stored.")

    @property
    def place(self) -> str:
        """Where it came from, for people: the file, and the line where the file holds several."""
        return f"{self.origin}, line {self.line}" if self.line else self.origin or f"document {self.id!r}"

    @property
    def digest(self) -> bytes:
        """SHA-256 of all that is indexed; an unchanged document is not embedded again."""
        fields = (self.id, self.title, self.text, self.url or "", self.origin or "")
        return hashlib.sha256("\0".join(fields).encode("utf-8", "surrogatepass")).digest()


class Passage(NamedTuple):
    """A run of sentences (`spans` of the document's text), its search terms and its vectors."""

    spans: Sequence[Span]
    terms: Sequence[str]
    embedding: Embedding


class Row(NamedTuple):
    """A stored passage: `vectors` float16 [1 + sentences, dimension], the passage's own first."""

    key: int
    document: str
    terms: str
    spans: np.ndarray
    vectors: np.ndarray


class CorpusInfo(BaseModel):
    """What a corpus says of itself."""

    folder: Path
    documents: int
    passages: int
    attribution: str
    embedder: str
    hash: str

    def __str__(self) -> str:
        """For people: how much it holds, and who made it."""
        return f"{self.documents:,} documents in {self.passages:,} passages. {self.attribution}".strip()


class Store:
    """The SQLite file of one corpus. One writer at a time (a lock file), any number of readers. Thread-safe."""

    def __init__(self, folder: Path | str, *, create: bool = False) -> None:
        self.folder = Path(folder)
        self.path = self.folder / FILE
        if not self.path.is_file() and not create:
            raise CorpusError(f"no corpus at {self.folder}. Build one with: groundling index PATH --name NAME.")
        if create:
            self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self.connection = sqlite3.connect(
                self.path, timeout=BUSY_SECONDS, check_same_thread=False, isolation_level=None
            )
        except sqlite3.DatabaseError as error:
            raise self.trouble(error) from error
        try:
            self.set_up(create)
        except BaseException as error:
            self.connection.close()
            if isinstance(error, sqlite3.DatabaseError):
                raise self.trouble(error) from error
            raise

    def set_up(self, create: bool) -> None:
        """Make the tables of a new corpus, or check an existing one's format, which writes nothing."""
        self.connection.execute("PRAGMA foreign_keys = ON")
        made = self.connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'meta'").fetchone()[0]
        found = self.meta("format") if made or not create else ""
        if create and not found:
            self.connection.execute("PRAGMA journal_mode = WAL")
            self.connection.executescript(SCHEMA)
            self.connection.execute("INSERT OR IGNORE INTO meta VALUES ('format', ?)", (FORMAT,))
            found = self.meta("format")
        if found != FORMAT:
            raise DamagedCorpusError(
                f"corpus {self.folder} has format {found}, this version reads {FORMAT}. Index it again."
            )

    def damaged(self, what: str) -> DamagedCorpusError:
        return DamagedCorpusError(f"corpus {self.folder} is damaged: {what}. Delete the folder and index it again.")

    def trouble(self, error: sqlite3.DatabaseError) -> CorpusError:
        """What an error of SQLite means: a file that cannot be read for now (locked, rights, disk), or damage."""
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF  # SQLITE_ERROR: "no such table"
        if isinstance(error, sqlite3.OperationalError) and code != sqlite3.SQLITE_ERROR:
            return CorpusError(
                f"corpus {self.folder} cannot be opened now: {error}. "
                "Wait for other programs that write it, or check who may read there and the disk's space."
            )
        return self.damaged(str(error))

    def close(self) -> None:
        self.connection.close()

    def meta(self, key: str, default: str = "") -> str:
        row = self.connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else default

    @contextmanager
    def writing(self, wait: float = 600.0) -> Iterator[None]:
        """Hold the writer's lock. Raises CorpusError where another process holds it longer than `wait` seconds."""
        try:
            with FileLock(self.folder / ".lock", timeout=wait):
                yield
        except Timeout:
            raise CorpusError(f"corpus {self.folder} is being written by another process. Try again later.") from None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing. Raises CorpusError where the disk is full or the file cannot be written."""
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.connection.execute(
                    "INSERT INTO meta VALUES ('generation', '1') ON CONFLICT DO UPDATE SET value = value + 1"
                )
                self.connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self.connection.execute("ROLLBACK")
                raise
        except sqlite3.OperationalError as error:
            raise CorpusError(
                f"cannot write corpus {self.folder}: {error}. Free some space or check who may write there; "
                "what was indexed before is kept."
            ) from error
        except sqlite3.DatabaseError as error:
            raise self.damaged(str(error)) from error

    def set_meta(self, values: Mapping[str, str]) -> None:
        with self.transaction():
            self.connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", list(values.items()))

    def digests(self) -> dict[str, bytes]:
        """The digest of every document, by id."""
        return dict(self.connection.execute("SELECT id, digest FROM documents"))

    def origins(self) -> list[tuple[str, str]]:
        """(id, file) of every document that came from a file."""
        return self.connection.execute("SELECT id, origin FROM documents WHERE origin IS NOT NULL").fetchall()

    def put(self, batch: Iterable[tuple[Document, Sequence[Passage]]]) -> None:
        """Add or replace documents, in one transaction."""
        with self.transaction():
            change = 0
            for document, made in batch:
                change -= self.remove(document.id)
                rows = [
                    (
                        document.id,
                        np.asarray(passage.spans, np.int32).tobytes(),
                        " ".join(passage.terms),
                        np.vstack([passage.embedding.passage, passage.embedding.sentences])
                        .astype(np.float16)
                        .tobytes(),
                    )
                    for passage in made
                ]
                seal = sealed(
                    document.id, document.title, document.url, document.text, [passage_digest(*row[1:]) for row in rows]
                )
                self.connection.execute(
                    "INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (*(getattr(document, k) for k in ("id", "title", "url", "text", "origin")), document.digest, seal),
                )
                self.connection.executemany(
                    "INSERT INTO passages (document, spans, terms, vectors) VALUES (?, ?, ?, ?)", rows
                )
                change += int.from_bytes(seal)
            self.shift_hash(change)

    def delete(self, ids: Iterable[str]) -> int:
        """Delete documents, in one transaction. Returns how many there were; unknown ids are no error."""
        gone = 0
        with self.transaction():
            change = 0
            for id_ in ids:
                seal = self.remove(id_)
                gone += seal != 0
                change -= seal
            self.shift_hash(change)
        return gone

    def remove(self, id_: str) -> int:
        row = self.connection.execute("DELETE FROM documents WHERE id = ? RETURNING seal", (id_,)).fetchone()
        return int.from_bytes(row[0]) if row else 0

    def shift_hash(self, change: int) -> None:
        value = (int(self.meta("hash", "0"), 16) + change) % MODULUS
        self.connection.execute("INSERT OR REPLACE INTO meta VALUES ('hash', ?)", (f"{value:x}",))

    def rows(self, dimension: int) -> Iterator[Row]:
        """Every passage, in order of its key, checked against the corpus's hash once all are read."""
        try:
            with self.snapshot():
                digests: dict[str, list[bytes]] = {}
                for key, document, spans, terms, vectors in self.connection.execute(
                    "SELECT key, document, spans, terms, vectors FROM passages ORDER BY key"
                ):
                    digests.setdefault(document, []).append(passage_digest(spans, terms, vectors))
                    yield Row(
                        key, document, terms, np.frombuffer(spans, np.int32).reshape(-1, 2),
                        np.frombuffer(vectors, np.float16).reshape(-1, dimension),
                    )  # fmt: skip
                total = 0
                for id_, title, url, text, seal in self.connection.execute(
                    "SELECT id, title, url, text, seal FROM documents"
                ):
                    if sealed(id_, title, url, text, digests.get(id_, [])) != seal:
                        raise self.damaged(f"document {id_!r} does not match its seal")
                    total += int.from_bytes(seal)
                if total % MODULUS != int(self.meta("hash", "0"), 16):
                    raise self.damaged("its documents do not add up to its hash")
        except sqlite3.DatabaseError as error:
            raise self.trouble(error) from error
        except ValueError as error:
            raise self.damaged(str(error)) from error

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Reads inside see one generation, whatever a writer commits meanwhile."""
        self.connection.execute("BEGIN")
        try:
            yield
        finally:
            with contextlib.suppress(sqlite3.Error):
                self.connection.execute("COMMIT")

    def document(self, id_: str) -> Document | None:
        row = self.connection.execute(
            "SELECT id, title, text, url, origin FROM documents WHERE id = ?", (id_,)
        ).fetchone()
        return Document(id=row[0], title=row[1], text=row[2], url=row[3], origin=row[4]) if row else None

    def info(self) -> CorpusInfo:
        documents, passages = self.count()
        return CorpusInfo(
            folder=self.folder, documents=documents, passages=passages, embedder=self.meta("embedder"),
            attribution=self.meta("attribution"), hash=self.meta("hash", "0"),
        )  # fmt: skip

    def count(self) -> tuple[int, int]:
        """How many documents and passages there are."""
        query = "SELECT (SELECT count(*) FROM documents), (SELECT count(*) FROM passages)"
        return self.connection.execute(query).fetchone()


def sealed(id_: str, title: str, url: str | None, text: str, passages: Iterable[bytes]) -> bytes:
    """SHA-256 over a stored document and the digests of its passages."""
    digest = hashlib.sha256("\0".join((id_, title, url or "", text)).encode("utf-8", "surrogatepass"))
    for each in passages:
        digest.update(each)
    return digest.digest()


def passage_digest(spans: bytes, terms: str, vectors: bytes) -> bytes:
    """SHA-256 over one passage as stored."""
    return hashlib.sha256(spans + terms.encode("utf-8", "surrogatepass") + b"\0" + vectors).digest()

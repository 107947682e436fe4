"""A retrieval corpus: documents in, ranked passages out.

    corpus = Corpus(folder, Embedder(model_folder), create=True)
    corpus.add([Document(id="1", title="Mona Lisa", text="...")])
    corpus.search("Who painted the Mona Lisa?", k=3)

Adding is incremental (an unchanged document costs a hash) and survives being killed: what was committed stays.
A corpus remembers which embedding model made it; another one is an error, never a wrong answer.
Boundary: knows nothing of files (`documents`) nor of when evidence is too weak to show (`abstain`).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from toolset.english.sentences import Span
from toolset.english.words import terms
from toolset.retrieval.embedder import MAX_TOKENS, Embedder
from toolset.retrieval.errors import DamagedCorpusError
from toolset.retrieval.index import Hit, Index
from toolset.retrieval.store import CorpusInfo, Document, Passage, Store
from toolset.retrieval.text import passages

BATCH = 64
"""Documents embedded and committed together."""


class Found(BaseModel):
    """A passage found. `score` is the fused score; `sentence` is the passage's best sentence."""

    model_config = ConfigDict(frozen=True)

    document: Document
    text: str
    sentence: str
    score: float
    whole: float
    best: float
    lexical: float


class Changes(BaseModel):
    """What `add` or `delete` did, in documents."""

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0


class Corpus:
    """The corpus in `folder`. Thread-safe; other processes may read and write it meanwhile.

    Two locks, always taken in this order: the writer's lock file, between processes, then `lock`, on the connection.
    Raises CorpusError where it is missing (unless `create`) or cannot be opened now, DamagedCorpusError where it is
    damaged, of another format, or made with another embedding model.
    """

    def __init__(self, folder: Path | str, embedder: Embedder, *, create: bool = False) -> None:
        self.embedder = embedder
        self.store = Store(folder, create=create)
        self.lock = threading.RLock()
        self.loaded: tuple[str, Index] | None = None
        try:
            self.check_embedder(create)
        except BaseException:
            self.store.close()
            raise

    def check_embedder(self, create: bool) -> None:
        """Note the embedding model in a new corpus. Raises DamagedCorpusError where another one made this corpus."""
        embedder, made_with = self.embedder, self.store.meta("embedder")
        if not made_with and create:
            self.store.set_meta({"embedder": embedder.fingerprint})
        elif made_with != embedder.fingerprint:
            raise DamagedCorpusError(
                f"corpus {self.store.folder} was made with embedding model {made_with[:12] or 'unknown'}, not with "
                f"{embedder.fingerprint[:12]} in {embedder.folder}. Use that model, or index the documents again."
            )

    def close(self) -> None:
        with self.lock:
            self.store.close()

    def info(self) -> CorpusInfo:
        with self.lock:
            return self.store.info()

    def add(
        self,
        documents: Iterable[Document],
        done: Callable[[int], None] | None = None,
        max_tokens: int = MAX_TOKENS,
    ) -> Changes:
        """Add or update documents, in committed batches; `done` is told how many are safe on disk so far.

        Of two documents with one id the later wins. Tokens of a passage past `max_tokens` are searched by their words
        only: it makes indexing faster where the first sentences say what a text is about.
        """
        changes = Changes()
        with self.store.writing():
            with self.lock:
                known = self.store.digests()
            stream: Iterator[Document] = iter(documents)
            safe = 0
            while chunk := list(islice(stream, BATCH)):
                fresh = {document.id: document for document in chunk}
                work = [document for document in fresh.values() if known.get(document.id) != document.digest]
                if work:
                    ready = self.prepare(work, max_tokens)
                    with self.lock:  # not while embedding: searches go on
                        self.store.put(ready)
                changes.added += sum(document.id not in known for document in work)
                changes.updated += sum(document.id in known for document in work)
                changes.unchanged += len(chunk) - len(work)
                known |= {document.id: document.digest for document in work}
                safe += len(chunk)
                if done:
                    done(safe)
        return changes

    def delete(self, ids: Iterable[str]) -> Changes:
        """Delete documents by id; unknown ids are no error."""
        with self.store.writing(), self.lock:
            return Changes(deleted=self.store.delete(ids))

    def forget(self, root: str, present: Collection[str], unread: Collection[str] = ()) -> list[str]:
        """Delete the documents that came from files below `root` other than those `present`; returns their ids.

        Nothing below the folders `unread` is deleted: what they hold is not known. All are absolute paths.
        """
        below = os.path.join(root, "")
        kept = tuple(os.path.join(folder, "") for folder in unread)
        return self.delete_from(
            lambda i, file: file.startswith(below) and file not in present and not file.startswith(kept)
        )

    def holds(self, root: str) -> bool:
        """Whether any document came from a file below `root`."""
        below = os.path.join(root, "")
        with self.lock:
            return any(file.startswith(below) for _, file in self.store.origins())

    def prune(self, files: Collection[str], kept: Collection[str]) -> list[str]:
        """Delete the documents of `files` (absolute paths, read whole) whose id is not `kept`; returns their ids."""
        return self.delete_from(lambda i, file: file in files and i not in kept)

    def delete_from(self, gone: Callable[[str, str], bool]) -> list[str]:
        """Delete the documents of whose id and file `gone` says so; returns their ids."""
        with self.store.writing(), self.lock:
            ids = [i for i, file in self.store.origins() if gone(i, file)]
            if ids:
                self.store.delete(ids)
            return ids

    def origin(self, id_: str) -> str | None:
        """The file that document `id_` came from; None where there is none."""
        with self.lock:
            document = self.store.document(id_)
            return document.origin if document else None

    def set_attribution(self, text: str) -> None:
        """Record who made the texts and under what licence."""
        with self.store.writing(), self.lock:
            self.store.set_meta({"attribution": text})

    def prepare(self, documents: list[Document], max_tokens: int) -> list[tuple[Document, list[Passage]]]:
        """Split and embed documents."""
        split = [passages(document.text) for document in documents]
        jobs = []
        for document, parts in zip(documents, split, strict=True):
            for part in parts:
                start, end = part[0].start, part[-1].end
                spans = [Span(span.start - start, span.end - start) for span in part]
                jobs.append((heading(document.title), document.text[start:end], spans))
        embeddings = iter(self.embedder.passages(jobs, max_tokens))
        ready = []
        for document, parts in zip(documents, split, strict=True):
            made = []
            for part in parts:
                text = heading(document.title) + document.text[part[0].start : part[-1].end]
                made.append(Passage(part, terms(text), next(embeddings)))
            ready.append((document, made))
        return ready

    def index(self) -> Index:
        """The search structures of what is committed now; read again when another process has written."""
        with self.lock:
            generation = self.store.meta("generation", "0")
            if self.loaded is None or self.loaded[0] != generation:
                dimension = self.embedder.dimension
                self.loaded = (generation, Index(self.store.rows(dimension), dimension))
            return self.loaded[1]

    def search(self, query: str, k: int = 5) -> list[Found]:
        """The `k` best passages for `query`, best first, at most one for each document."""
        vector = self.embedder.queries([query])[0]
        found: list[Found] = []
        for _ in range(RETRIES):
            index = self.index()
            found = self.matches(index, vector, query, k)
            if self.index() is index:  # else another process wrote meanwhile: places in the old text are not in the new
                break
        return found

    def matches(self, index: Index, vector: NDArray[np.float32], query: str, k: int) -> list[Found]:
        """What `index` holds for a query, with the documents' texts of now."""
        found: dict[str, Found] = {}
        for hit in index.search(vector, terms(query), 4 * k):
            if len(found) < k and index.documents[hit.row] not in found and (made := self.found(index, hit)):
                found[made.document.id] = made
        return list(found.values())

    def found(self, index: Index, hit: Hit) -> Found | None:
        """A hit with its text; None where the document was deleted since the index was read."""
        with self.lock:
            document = self.store.document(index.documents[hit.row])
        if document is None:
            return None
        spans = index.spans[hit.row]
        best = spans[hit.best] if len(spans) else (0, 0)
        return Found(
            document=document,
            text=document.text[spans[0][0] : spans[-1][1]],
            sentence=document.text[best[0] : best[1]],
            score=hit.score,
            whole=hit.whole,
            best=hit.sentence,
            lexical=hit.lexical,
        )


RETRIES = 5
"""Searches of a corpus that is being written; each starts anew where a write came between."""


def heading(title: str) -> str:
    """What stands before a passage when it is embedded and searched, so that titles weigh."""
    return f"{title}. " if title else ""

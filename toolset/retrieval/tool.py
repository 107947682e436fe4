"""Retrieval as a tool: a question in, up to k cited passages out, nothing where nothing fits.

Boundary: joins the corpus's search with abstention; holds no logic of either.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from toolset.english.question import answerable
from toolset.english.superlative import claim, wanted
from toolset.retrieval.abstain import confidence, features, supported
from toolset.retrieval.corpus import Corpus, Found
from toolset.retrieval.embedder import Embedder
from toolset.retrieval.errors import DamagedCorpusError
from toolset.tool import Result, Source, Tool

MAX_QUERY = 1000
"""Characters of a query that are read: more is a document, not a question."""

SUPERLATIVE_POOL = 24
"""Passages among which the one is sought that says "the largest" of what is asked for: others say it of much else."""


class Retrieval(Tool):
    """Passages from the corpus in `corpus_folder` that answer a query, each with its source.

    `k` is the most passages an answer holds. The corpus is read on the first query, or by `load`; where it is found
    damaged then, `remake` makes it again. Raises CorpusError or EmbedderError where the corpus or the model cannot be
    used.
    """

    name = "retrieval"
    description = "Finds passages that answer a question in a corpus of documents, and cites them."
    timeout = 10.0
    needs = frozenset({"model"})
    open_domain = True

    def __init__(
        self, corpus_folder: Path | str, embedder: Embedder, *, k: int = 3, remake: Callable[[], object] | None = None
    ) -> None:
        self.corpus = Corpus(corpus_folder, embedder)
        self.k, self.remake = k, remake
        self.lock = threading.Lock()

    def load(self) -> Retrieval:
        """Read the corpus and the weights now, so that the first query is as fast as the others."""
        with self.lock:
            self.corpus.embedder.load()
            try:
                self.corpus.index()
            except DamagedCorpusError:
                if self.remake is None:
                    raise
                folder, embedder = self.corpus.store.folder, self.corpus.embedder
                self.corpus.close()
                self.remake()
                self.corpus = Corpus(folder, embedder)
                self.corpus.index()
        return self

    def run(self, query: str) -> list[Result]:
        """Up to `k` passages, best first; empty where the corpus does not seem to hold an answer."""
        query = " ".join(query[:MAX_QUERY].split())
        if not query:
            return []
        self.load()
        asked = wanted(query)
        pool = self.k if asked is None else max(self.k, SUPERLATIVE_POOL)
        found = supported(query, self.corpus.search(query, pool), self.corpus.index().lexicon)
        if asked is not None:
            found.sort(key=lambda one: -claim(one.document.title, one.text, asked))
        return [result(one) for one in found[: self.k]]

    def status(self) -> str:
        """What the corpus holds and who made it, for people."""
        return str(self.corpus.info())

    def explain(self, query: str) -> str:
        """Why `query` gets nothing, for people."""
        query = " ".join(query[:MAX_QUERY].split())
        if not answerable(query):
            return "It asks for nothing that a corpus could hold."
        found = self.corpus.search(query, 1)
        if not found:
            return "The corpus is empty."
        sure = confidence(features(query, found[0], self.corpus.index().lexicon))
        title = found[0].document.title or found[0].document.id
        return f"The nearest passage is from {title!r}; that it holds the answer is not likely enough ({sure:.2f})."

    def close(self) -> None:
        self.corpus.close()


def result(found: Found) -> Result:
    document = found.document
    return Result(
        text=found.text,
        source=Source(
            title=document.title or document.id, url=document.url, id=document.id, score=round(found.score, 4)
        ),
    )

"""Search over a corpus's passages, in memory: dense candidates, BM25 candidates, and their fusion by score.

    score = 0.5 * cos(query, passage) + 0.5 * max over its sentences cos(query, sentence) + 0.25 * BM25 / best BM25
            + 0.1 * longest run of neighbouring words that the query holds in this order / its words

Fusion by score beat reciprocal-rank fusion, and both signals alone, on every set measured (`groundling bench
retrieval`). Passage vectors are searched one by one up to `EXACT_LIMIT`, by a graph (HNSW) beyond it.

Boundary: rows in, scored rows out; knows nothing of files, models or whether a hit is good enough to show.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import NamedTuple

import numpy as np

from toolset.english.words import alike
from toolset.retrieval.store import Row

EXACT_LIMIT = 100_000
"""Passages up to which the search is exact."""
CANDIDATES = 50
"""Passages that each of the two searches hands to the fusion."""
CHUNK = 4096
"""Vectors that are handed to FAISS at a time."""
WHOLE, SENTENCE, LEXICAL, PHRASE = 0.5, 0.5, 0.25, 0.1


class Hit(NamedTuple):
    """A passage found: its row number, fused score, the parts of the score, and its best sentence's number."""

    row: int
    score: float
    whole: float
    sentence: float
    lexical: float
    best: int


class Index:
    """`rows` of one corpus, ready for search. Immutable, hence safe to share between threads."""

    def __init__(self, rows: Iterable[Row], dimension: int) -> None:
        self.documents: list[str] = []
        self.spans: list[np.ndarray] = []
        self.vectors: list[np.ndarray] = []
        terms: list[list[str]] = []
        for row in rows:
            self.documents.append(row.document)
            self.spans.append(row.spans)
            self.vectors.append(row.vectors)  # as read from disk: no copy, half precision
            terms.append([sys.intern(term) for term in row.terms.split()])
        self.lexicon = Lexicon(terms)
        exact = len(self.vectors) <= EXACT_LIMIT
        self.dense = dense_index((each[0] for each in self.vectors), dimension, exact=exact)

    def __len__(self) -> int:
        return len(self.documents)

    def search(self, vector: np.ndarray, terms: Sequence[str], k: int) -> list[Hit]:
        """The `k` best passages for a query's vector [dimension] and terms, best first."""
        if not len(self):
            return []
        same = {term: (term, *alike().get(term, ())) for term in terms}
        lexical = self.lexicon.scores([other for term in terms for other in same[term]])
        with one_thread():
            _, near = self.dense.search(vector[None, :], min(CANDIDATES, len(self)))
        rows = np.union1d(near[0][near[0] >= 0], top(lexical, CANDIDATES)).tolist()
        best = float(lexical.max()) or 1.0
        places = {other: place for place, term in enumerate(terms) for other in same[term]}
        known = self.lexicon.vocabulary
        asked = {known[term]: place for term, place in places.items() if term in known}
        cosines = np.concatenate([self.vectors[row] for row in rows]).astype(np.float32) @ vector
        hits = []
        end = 0
        for row in rows:
            start, end = end, end + len(self.vectors[row])
            whole, each = float(cosines[start]), cosines[start + 1 : end]
            at = int(each.argmax()) if len(each) else 0
            sentence = float(each[at]) if len(each) else whole
            share = float(lexical[row]) / best
            phrase = self.lexicon.phrase(row, asked) / max(len(same), 1)
            score = WHOLE * whole + SENTENCE * sentence + LEXICAL * share + PHRASE * phrase
            hits.append(Hit(row, score, whole, sentence, share, at))
        return sorted(hits, key=lambda hit: -hit.score)[:k]


def top(scores: np.ndarray, k: int) -> np.ndarray:
    """Row numbers of the `k` highest scores above zero."""
    rows = np.argpartition(-scores, k)[:k] if len(scores) > k else np.arange(len(scores))
    return rows[scores[rows] > 0]


def dense_index(vectors: Iterable[np.ndarray], dimension: int, *, exact: bool):
    """A FAISS index over unit vectors [dimension] by inner product: exact, or a graph (HNSW).

    The exact one keeps half precision, as the corpus on disk does: nothing is lost, and a search reads half the memory.
    """
    import faiss

    if exact:
        index = faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    else:
        index = faiss.IndexHNSWFlat(dimension, 32, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction, index.hnsw.efSearch = 80, 128
    stream = iter(vectors)
    while chunk := list(islice(stream, CHUNK)):
        index.add(np.array(chunk, np.float32))
    return index


@contextmanager
def one_thread() -> Iterator[None]:
    """FAISS with one thread: a single query has no work for a second one, which only makes the first wait for it."""
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


class Lexicon:
    """BM25 over the passages' terms, and how rare each term is."""

    def __init__(self, terms: Sequence[Sequence[str]]) -> None:
        import bm25s

        logging.getLogger("bm25s").setLevel(logging.WARNING)  # it logs each build at debug level
        self.size = len(terms)
        self.vocabulary: dict[str, int] = {}
        ids = [[self.vocabulary.setdefault(term, len(self.vocabulary)) for term in each] for each in terms]
        frequency = np.zeros(len(self.vocabulary), np.int64)
        for each in ids:
            frequency[list(set(each))] += 1
        self.frequency = frequency
        self.ids = [np.array(each, np.int32) for each in ids]
        self.bm25 = None
        if self.vocabulary:
            self.bm25 = bm25s.BM25(k1=1.2, b=0.75)
            self.bm25.index((ids, self.vocabulary), show_progress=False, create_empty_token=False)

    def scores(self, terms: Sequence[str]) -> np.ndarray:
        """BM25 of every passage: [n], zero where no term occurs."""
        known = [self.vocabulary[term] for term in terms if term in self.vocabulary]
        if not known or self.bm25 is None:
            return np.zeros(self.size, np.float32)
        return self.bm25.get_scores_from_ids(known)

    def phrase(self, row: int, asked: Mapping[int, int]) -> int:
        """The longest run of neighbouring terms in a passage that stand in the query in this order: "longest river in
        Africa" fits better than "longest east-flowing river in Africa". `asked`: term to place."""
        longest = length = 0
        last = -1
        for term in self.ids[row].tolist():
            place = asked.get(term, -1)
            if place < 0:
                length = 0
            else:
                length = length + 1 if length and place > last else 1
                longest = max(longest, length)
            last = place
        return longest

    def rarity(self, term: str) -> float:
        """Inverse document frequency, nats: log(1 + (N - n + 0.5) / (n + 0.5)); the highest for an unknown term."""
        n = int(self.frequency[self.vocabulary[term]]) if term in self.vocabulary else 0
        return float(np.log1p((self.size - n + 0.5) / (n + 0.5)))

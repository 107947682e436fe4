"""The search structures: exact up to a number of passages, a graph (HNSW) beyond it, measured against the former."""

from __future__ import annotations

import numpy as np
import pytest

from toolset.retrieval import index as module
from toolset.retrieval.index import Index
from toolset.retrieval.store import Row

DIMENSION = 64
PASSAGES = 4_000
QUERIES = 100


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    """Unit vectors in 80 clusters, as texts on 80 subjects have them: [passages and queries, dimension]."""
    draw = np.random.default_rng(7)
    centres = draw.normal(size=(80, DIMENSION))
    return unit(
        centres[draw.integers(80, size=PASSAGES + QUERIES)] + 0.6 * draw.normal(size=(PASSAGES + QUERIES, DIMENSION))
    )


def build(vectors: np.ndarray) -> Index:
    """A corpus of one-sentence documents that have a number as their only word."""
    spans = np.array([[0, 4]], np.int32)
    halves = vectors[:PASSAGES].astype(np.float16)
    return Index((Row(n, f"d{n}", f"w{n}", spans, np.stack([half, half])) for n, half in enumerate(halves)), DIMENSION)


def test_beyond_the_limit_a_graph_finds_what_the_exact_search_finds(vectors, monkeypatch):
    assert module.EXACT_LIMIT == 100_000
    exact = build(vectors)
    monkeypatch.setattr(module, "EXACT_LIMIT", PASSAGES - 1)
    graph = build(vectors)
    assert (type(exact.dense).__name__, type(graph.dense).__name__) == ("IndexScalarQuantizer", "IndexHNSWFlat")
    queries = vectors[PASSAGES:].astype(np.float32)

    nearest = np.argsort(-queries @ vectors[:PASSAGES].T, axis=1)[:, :10]  # by numpy, beside both
    for made, least in ((exact, 0.99), (graph, 0.95)):
        _, found = made.dense.search(queries, 10)
        recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(nearest, found, strict=True)])
        assert recall >= least

    same = [
        [hit.row for hit in exact.search(query, [], 5)] == [hit.row for hit in graph.search(query, [], 5)]
        for query in queries
    ]
    assert np.mean(same) >= 0.95
    hits = graph.search(vectors[17].astype(np.float32), ["w99"], 100)
    documents = [graph.documents[hit.row] for hit in hits]
    assert documents[0] == "d17"  # by its vector
    assert "d99" in documents  # by its word, which the graph knows nothing of

"""What retrieval costs and how good it is, beside what it is compared to; `groundling bench retrieval`."""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import click
import numpy as np

if TYPE_CHECKING:
    from toolset.retrieval import Document, Embedder
    from toolset.retrieval.evaluate import Question
    from toolset.retrieval.index import Index
    from toolset.retrieval.store import Row

QUESTIONS = (
    "Who painted the Mona Lisa?",
    "Which planet is the largest in the solar system?",
    "What is the capital of France?",
    "When did World War II end?",
    "How high is Mount Everest?",
    "What is photosynthesis?",
    "Who wrote Pride and Prejudice?",
    "Which metal is liquid at room temperature?",
)
REPEATS = 10


@click.command()
@click.option("--corpus", default="default", show_default=True, help="The corpus whose passages are used, by name.")
@click.option(
    "--passages", default=100_000, show_default=True, type=click.IntRange(1000), help="Size of the large index."
)
@click.option(
    "--documents", type=click.Path(path_type=Path), help='Compare methods on these: {"id", "title", "text"} a line'
)
@click.option(
    "--data", type=click.Path(path_type=Path), help='with these: {"question", "answers", "source_ids"} a line.'
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(corpus: str, passages: int, documents: Path | None, data: Path | None, as_json: bool) -> None:
    """Median time of a query on a corpus, and on an index of 100,000 passages with its memory and recall.

    The large index holds the corpus's own passages, and variations of their vectors (a third noise) up to its size.
    With --documents and --data, hit rates of this retrieval, of BM25 alone (bm25s) and of plain FAISS over whole
    documents with the same embedding model.

    \b
    Example:
      groundling bench retrieval --documents articles.jsonl --data questions.jsonl
    """
    from serve.tools import corpus_folder, embedder
    from toolset.retrieval import Corpus

    model = embedder().load()
    opened = Corpus(corpus_folder(corpus), model)
    small = opened.index()
    rows = list(opened.store.rows(model.dimension))
    figures: dict = {"corpus": corpus, "corpus_passages": len(small)}
    figures["corpus_median_ms"] = timed(model, small)
    figures |= large(model, rows, passages)
    if documents and data:
        from toolset.retrieval.documents import read_file
        from toolset.retrieval.evaluate import read_questions

        figures["methods"] = compare(model, read_file(documents), read_questions(data))
    opened.close()
    if as_json:
        click.echo(json.dumps(figures))
    else:
        show(figures)


def timed(model: Embedder, index: Index) -> float:
    """Median milliseconds of embedding a question and searching for it, after a warm-up round."""
    from toolset.retrieval.text import terms

    def ask(question: str) -> float:
        start = time.perf_counter()
        index.search(model.queries([question])[0], terms(question), 5)
        return 1000 * (time.perf_counter() - start)

    for question in QUESTIONS:
        ask(question)
    return round(median(ask(question) for _ in range(REPEATS) for question in QUESTIONS), 2)


def large(model: Embedder, rows: Sequence[Row], size: int) -> dict:
    """An index of `size` passages: query time, memory, and what its approximate sibling finds of the exact best."""
    from toolset.retrieval import index as module

    made = module.Index(varied(rows, size), model.dimension)
    figures = {"passages": size, "median_ms": timed(model, made), "rss_mb": resident_mb()}
    vectors = np.stack([made.dense.reconstruct(row) for row in range(0, size, max(1, size // 20_000))])
    exact = module.dense_index(vectors)
    limit, module.EXACT_LIMIT = module.EXACT_LIMIT, 0
    try:
        graph = module.dense_index(vectors)
    finally:
        module.EXACT_LIMIT = limit
    asked = model.queries(QUESTIONS)
    best, found = exact.search(asked, 10)[1], graph.search(asked, 10)[1]
    shared = [len(set(a) & set(b)) / 10 for a, b in zip(best, found, strict=True)]
    return {
        **figures,
        "approximate_passages": len(vectors),
        "approximate_recall_at_10": round(float(np.mean(shared)), 4),
    }


def varied(rows: Sequence[Row], size: int) -> Iterator[Row]:
    """`size` rows: the given ones, then variations of their vectors."""
    generator = np.random.default_rng(0)
    for number in range(size):
        row = rows[number % len(rows)]
        if number >= len(rows):
            noise = generator.standard_normal(row.vectors.shape).astype(np.float32)
            noise /= np.linalg.norm(noise, axis=1, keepdims=True)
            mixed = row.vectors.astype(np.float32) + 0.5 * noise
            mixed /= np.linalg.norm(mixed, axis=1, keepdims=True)
            row = row._replace(vectors=mixed.astype(np.float16), document=f"{row.document} {number}", key=number)
        yield row


def resident_mb() -> int:
    """Memory of this process now, in MiB; its highest so far where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize() >> 20
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak >> (20 if sys.platform == "darwin" else 10)


def compare(model: Embedder, documents: Sequence[Document], questions: Sequence[Question]) -> dict[str, dict]:
    """hit@1 and hit@5 of this retrieval and of what it is compared to."""
    from toolset.retrieval import Corpus
    from toolset.retrieval.evaluate import right

    def rates(ranked: Callable[[str], Sequence[Document]]) -> dict[str, float]:
        first = within = 0
        asked = [each for each in questions if each.source_ids is None or each.source_ids]
        for each in asked:
            hits = [right(each, document.id, document.text) for document in ranked(each.question)]
            first += any(hits[:1])
            within += any(hits[:5])
        return {"n": len(asked), "hit_at_1": round(first / len(asked), 4), "hit_at_5": round(within / len(asked), 4)}

    with tempfile.TemporaryDirectory() as folder:
        corpus = Corpus(folder, model, create=True)
        corpus.add(documents)
        figures = {"groundling": rates(lambda question: [each.document for each in corpus.search(question, 5)])}
        corpus.close()
    return figures | {
        "bm25s alone": rates(bm25_alone(documents)),
        "faiss + minilm": rates(plain_faiss(model, documents)),
    }


def bm25_alone(documents: Sequence[Document]) -> Callable[[str], list[Document]]:
    """bm25s as its own documentation sets it up: English stop words and stemming."""
    import bm25s
    import Stemmer

    stemmer = Stemmer.Stemmer("english")

    def tokens(texts: Sequence[str], ids: bool = True):
        return bm25s.tokenize(list(texts), stopwords="en", stemmer=stemmer, show_progress=False, return_ids=ids)

    index = bm25s.BM25()
    index.index(tokens([each.text for each in documents]), show_progress=False)

    def ranked(question: str) -> list[Document]:
        scores = index.get_scores(tokens([question], ids=False)[0])
        return [documents[row] for row in np.argsort(-scores)[:5]]

    return ranked


def plain_faiss(model: Embedder, documents: Sequence[Document]) -> Callable[[str], list[Document]]:
    """One vector for each whole document (cut at 256 word pieces, as the model is published), inner product."""
    import faiss

    index = faiss.IndexFlatIP(model.dimension)
    index.add(np.stack([each.passage for each in model.passages([("", each.text, ()) for each in documents], 256)]))
    return lambda question: [documents[row] for row in index.search(model.queries([question]), 5)[1][0] if row >= 0]


def show(figures: dict) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("index", "passages", "median ms", "limit ms", "memory MiB", "limit MiB")
    table.add_row(figures["corpus"], str(figures["corpus_passages"]), str(figures["corpus_median_ms"]), "15", "", "")
    table.add_row("large", str(figures["passages"]), str(figures["median_ms"]), "30", str(figures["rss_mb"]), "2048")
    console = Console()
    console.print(table)
    console.print(
        f"HNSW on {figures['approximate_passages']} of them finds {figures['approximate_recall_at_10']:.1%} "
        "of the exact ten best."
    )
    if methods := figures.get("methods"):
        table = Table("method", "n", "hit@1", "hit@5")
        for name, rates in methods.items():
            table.add_row(name, *(str(value) for value in rates.values()))
        console.print(table)


if __name__ == "__main__":
    command()

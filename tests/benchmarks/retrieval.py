"""What retrieval costs and how good it is, beside what it is compared to; `groundling bench retrieval`."""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

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
    "--data",
    type=click.Path(exists=True, path_type=Path),
    help="Compare methods on these questions: a folder of evaluation data (its grounding/xquad_parallel.jsonl), or "
    'a file with {"question", "answers", "source_ids"} a line and --documents.',
)
@click.option(
    "--documents", type=click.Path(path_type=Path), help='The documents of --data: {"id", "title", "text"} a line.'
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(corpus: str, passages: int, documents: Path | None, data: Path | None, as_json: bool) -> None:
    """Median time of a query on a corpus and on an index of 100,000 passages, with its memory and recall.

    Beside both stand bm25s alone and plain FAISS (IndexFlatIP over the passages' vectors), with the same embedding
    model. The large index holds the corpus's own passages and, up to its size, variations of their vectors (a third
    noise). With --data, hit rates of the three methods, plain FAISS over whole documents.

    \b
    Examples:
      groundling bench retrieval
      groundling bench retrieval --data ../shared/data
      groundling bench retrieval --documents articles.jsonl --data questions.jsonl
    """
    from serve.tools import corpus_folder, embedder
    from toolset.retrieval import Corpus
    from toolset.retrieval.index import Index

    asked = read(documents, data) if data else None
    model = embedder().load()
    opened = Corpus(corpus_folder(corpus), model)
    rows = list(opened.store.rows(model.dimension))
    opened.close()
    figures: dict = large(model, rows, passages)
    small = Index(rows, model.dimension)
    figures |= {
        "corpus": corpus,
        "corpus_passages": len(small),
        "corpus_median_ms": timed(searching(model, small)),
        "corpus_baselines_ms": baselines(model, small, rows),
    }
    if asked:
        figures["methods"] = compare(model, *asked)
    if as_json:
        click.echo(json.dumps(figures))
    else:
        show(figures)


def read(documents: Path | None, data: Path) -> tuple[list[Document], list[Question]]:
    """Documents and questions to compare methods on."""
    from tests.benchmarks.abstention import paragraphs, questions_of
    from toolset.retrieval.documents import read_file
    from toolset.retrieval.evaluate import read_questions

    if data.is_dir():
        if not (data / "grounding" / "xquad_parallel.jsonl").is_file():
            raise click.ClickException(f"{data} holds no grounding/xquad_parallel.jsonl. Name the folder that does.")
        return paragraphs(data), questions_of(data)
    if documents is None:
        raise click.ClickException(f"{data} holds questions; give the documents that answer them with --documents.")
    return read_file(documents), read_questions(data)


def timed(ask: Callable[[str], object]) -> float:
    """Median milliseconds of answering a question, after a warm-up round."""

    def once(question: str) -> float:
        start = time.perf_counter()
        ask(question)
        return 1000 * (time.perf_counter() - start)

    for question in QUESTIONS:
        ask(question)
    return round(median(once(question) for _ in range(REPEATS) for question in QUESTIONS), 2)


def searching(model: Embedder, index: Index) -> Callable[[str], object]:
    """This retrieval: embed the question, search, fuse."""
    from toolset.english.words import terms

    return lambda question: index.search(model.queries([question])[0], terms(question), 5)


def baselines(model: Embedder, index: Index, rows: Iterable[Row]) -> dict[str, float]:
    """Median milliseconds of what the search is compared to, over the same passages."""
    import faiss

    flat = faiss.IndexFlatIP(model.dimension)
    for vectors in index.vectors:
        flat.add(vectors[:1].astype(np.float32))
    ranked = bm25_alone([row.terms for row in rows])
    return {
        "bm25s alone": timed(ranked),
        "faiss + minilm": timed(lambda question: flat.search(model.queries([question]), 5)),
    }


def large(model: Embedder, rows: Sequence[Row], size: int) -> dict:
    """An index of `size` passages: query time, memory, and what its approximate sibling finds of the exact best."""
    from toolset.retrieval.index import Index, dense_index

    made = Index(varied(rows, size), model.dimension)
    figures = {"passages": size, "median_ms": timed(searching(model, made)), "peak_rss_mb": peak_mb()}
    some = made.vectors[:: max(1, size // 20_000)]
    exact, graph = (dense_index((each[0] for each in some), model.dimension, exact=exact) for exact in (True, False))
    asked = np.array([each[-1] for each in some[:: max(1, len(some) // 200)]], np.float32)  # sentences
    best, found = exact.search(asked, 10)[1], graph.search(asked, 10)[1]
    shared = [len(set(a) & set(b)) / 10 for a, b in zip(best, found, strict=True)]
    return {
        **figures,
        "baselines_ms": baselines(model, made, varied(rows, size)),
        "approximate_passages": len(some),
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


def peak_mb() -> int:
    """The most memory this process has held so far, in MiB."""
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
        "bm25s alone": rates(picking(documents, bm25_alone([each.text for each in documents]))),
        "faiss + minilm": rates(picking(documents, plain_faiss(model, documents))),
    }


def picking(documents: Sequence[Document], ranked: Callable[[str], Iterable[int]]) -> Callable[[str], list[Document]]:
    return lambda question: [documents[row] for row in ranked(question)]


def bm25_alone(texts: Sequence[str]) -> Callable[[str], list[int]]:
    """bm25s as its own documentation sets it up: English stop words and stemming. Ranks rows of `texts`."""
    import bm25s
    import Stemmer

    stemmer = Stemmer.Stemmer("english")

    def tokens(texts: Sequence[str], ids: bool = True):
        return bm25s.tokenize(list(texts), stopwords="en", stemmer=stemmer, show_progress=False, return_ids=ids)

    index = bm25s.BM25()
    index.index(tokens(texts), show_progress=False)

    def ranked(question: str) -> list[int]:
        asked = tokens([question], ids=False)
        found: Any = index.retrieve(asked, k=min(5, len(texts)), show_progress=False)
        return found.documents[0].tolist()

    return ranked


def plain_faiss(model: Embedder, documents: Sequence[Document]) -> Callable[[str], list[int]]:
    """One vector for each whole document (cut at 256 word pieces, as the model is published), inner product."""
    import faiss

    index = faiss.IndexFlatIP(model.dimension)
    index.add(np.stack([each.passage for each in model.passages([("", each.text, ()) for each in documents], 256)]))
    return lambda question: [row for row in index.search(model.queries([question]), 5)[1][0].tolist() if row >= 0]


def show(figures: dict) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table("index", "passages", "median ms", "limit", "bm25s alone", "FAISS + MiniLM", "peak MiB", "limit")
    for name, prefix, limit, memory in (
        (figures["corpus"], "corpus_", "15", ("", "")),
        ("large", "", "30", (str(figures["peak_rss_mb"]), "2048")),
    ):
        others = (str(each) for each in figures[f"{prefix}baselines_ms"].values())
        table.add_row(
            name, str(figures[f"{prefix}passages"]), str(figures[f"{prefix}median_ms"]), limit, *others, *memory
        )
    console.print(table)
    console.print(
        f"A query is embedded and searched for; medians of {REPEATS * len(QUESTIONS)}, on a busy machine upper bounds. "
        f"HNSW over {figures['approximate_passages']} of the passages finds "
        f"{figures['approximate_recall_at_10']:.1%} of the exact ten best."
    )
    if methods := figures.get("methods"):
        table = Table("method", "n", "hit@1", "hit@5")
        for name, rates in methods.items():
            table.add_row(name, *(str(value) for value in rates.values()))
        console.print(table)


if __name__ == "__main__":
    command()

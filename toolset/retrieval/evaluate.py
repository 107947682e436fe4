"""How good retrieval is on questions whose answering documents are known.

Boundary: figures only; where questions come from and how figures are shown is the caller's.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from pydantic import BaseModel, ConfigDict, ValidationError

from toolset.retrieval.abstain import supported
from toolset.retrieval.corpus import Corpus
from toolset.retrieval.documents import read_file
from toolset.retrieval.embedder import Embedder
from toolset.retrieval.errors import DocumentError

WARM_UP = 5


class Question(BaseModel):
    """A question and the ids of the documents that answer it: none known (None), or known to be none (empty)."""

    model_config = ConfigDict(extra="ignore")

    question: str
    answers: list[str] = []
    source_ids: list[str] | None = None


def read_questions(path: Path) -> list[Question]:
    """The questions in a JSONL file. Raises DocumentError, naming the line."""
    questions = []
    number = 0
    try:
        for line in path.read_text("utf-8").splitlines():
            number += 1
            if line.strip():
                questions.append(Question.model_validate(json.loads(line)))
    except OSError as error:
        raise DocumentError(f"{path}: cannot be read: {error.strerror or error}. Give a JSONL file.") from error
    except (ValueError, ValidationError) as error:
        reason = " ".join(str(error).split())[:150]
        raise DocumentError(
            f'{path}, line {number}: {reason}. A line is {{"question", "answers", "source_ids"?}}.'
        ) from error
    if not questions:
        raise DocumentError(f"{path} holds no question. Give one JSON object a line.")
    return questions


@contextmanager
def temporary_corpus(
    path: Path, embedder: Embedder, done: Callable[[int, int], None] | None = None
) -> Iterator[Corpus]:
    """A corpus of the documents in a file, gone afterwards. Raises DocumentError."""
    documents = read_file(path)
    with tempfile.TemporaryDirectory(prefix="groundling-") as folder:
        corpus = Corpus(folder, embedder, create=True)
        try:
            corpus.add(documents, (lambda n: done(n, len(documents))) if done else None)
            yield corpus
        finally:
            corpus.close()


def evaluate(
    corpus: Corpus, questions: Sequence[Question], done: Callable[[int, int], None] | None = None
) -> dict[str, float | int | None]:
    """Hit rates, abstention and the median time of a query. A question without answering documents known is matched
    by text: a document answers where its text holds one of the answers."""
    lexicon = corpus.index().lexicon
    for each in questions[:WARM_UP]:
        corpus.search(each.question, 5)
    first, within, false, true, seconds = [], [], [], [], []
    for number, each in enumerate(questions, 1):
        start = time.perf_counter()
        found = corpus.search(each.question, 5)
        shown = supported(each.question, found, lexicon)
        seconds.append(time.perf_counter() - start)
        if each.source_ids is not None and not each.source_ids:
            true.append(not shown)
        else:
            hits = [right(each, hit.document.id, hit.document.text) for hit in found]
            first.append(any(hits[:1]))
            within.append(any(hits))
            false.append(not shown)
        if done:
            done(number, len(questions))
    documents, passages = corpus.store.count()
    return {
        "n": len(questions),
        "hit_at_1": share(first),
        "hit_at_5": share(within),
        "median_ms": round(1000 * median(seconds), 2),
        "false_abstention": share(false),
        "off_corpus_abstention": share(true),
        "documents": documents,
        "passages": passages,
    }


def right(question: Question, id_: str, text: str) -> bool:
    if question.source_ids is not None:
        return id_ in question.source_ids
    return any(answer.lower() in text.lower() for answer in question.answers)


def share(values: Sequence[bool]) -> float | None:
    return round(sum(values) / len(values), 4) if values else None

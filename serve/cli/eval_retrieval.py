"""`groundling eval retrieval`: how often the passage that answers is found."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.option("--corpus", required=True, help='Documents, {"id", "title", "text", "url"?} a line, or a corpus by name.')
@click.option(
    "--data", required=True, type=click.Path(path_type=Path),
    help='Questions, {"question", "answers", "source_ids"} a line; an empty "source_ids": no document answers.',
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(corpus: str, data: Path, as_json: bool) -> None:
    """Search a corpus for every question and compare what is found with the documents that answer it.

    \b
    hit_at_1, hit_at_5     share of questions with an answering document at rank 1, within the first 5
    median_ms              median time of one query, milliseconds, after warm-up
    false_abstention       share of these questions that get no evidence
    off_corpus_abstention  share of questions with empty "source_ids" that get no evidence

    \b
    Example:
      groundling eval retrieval --corpus articles.jsonl --data questions.jsonl --json
    """
    from serve.progress import progress_of_counts
    from serve.tools import corpus_folder, embedder
    from toolset.retrieval import Corpus
    from toolset.retrieval.evaluate import evaluate, read_questions, temporary_corpus

    questions = read_questions(data)
    with progress_of_counts("evaluating retrieval") as done:
        if Path(corpus).is_file():
            with temporary_corpus(Path(corpus), embedder(), done) as searched:
                figures = evaluate(searched, questions, done)
        else:
            searched = Corpus(corpus_folder(corpus), embedder())
            figures = evaluate(searched, questions, done)
            searched.close()
    if as_json:
        click.echo(json.dumps(figures))
        return
    for name, value in figures.items():
        click.echo(f"{name:22} {'-' if value is None else value}")

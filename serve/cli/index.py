"""`groundling index`: build or update a retrieval corpus from files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from toolset.retrieval import Document


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="The corpus's name, as --corpus takes it.")
@click.option("--max-mb", type=click.FloatRange(min=0.001), default=32, show_default=True, help="Largest file to read.")
@click.option("--attribution", help="Who made the texts and under what licence; kept with the corpus and shown.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def index(path: Path, name: str, max_mb: float, attribution: str | None, as_json: bool) -> None:
    """Build or update the corpus NAME from PATH: a file, or a folder of .txt .md .html .pdf .docx .jsonl files.

    What has not changed since the last time is not embedded again; documents of files that are gone from the folder
    are deleted. A file that cannot be read is named and left out, and what was indexed of it before is kept. Killed
    or stopped with Ctrl-C, it keeps what is done and goes on from there the next time.

    \b
    Examples:
      groundling index ~/notes --name notes
      groundling index articles.jsonl --name articles      {"id", "title", "text", "url"} a line
      groundling chat --corpus notes
    """
    from serve.home import home
    from serve.progress import progress_of_counts
    from serve.tools import CORPUS_NAME, DEFAULT_CORPUS, embedder
    from toolset.retrieval import Corpus, CorpusError

    if name == DEFAULT_CORPUS:
        raise CorpusError(f"the corpus {DEFAULT_CORPUS!r} is built in and not changed. Choose another --name.")
    if not CORPUS_NAME.fullmatch(name):
        raise CorpusError(f"corpus name {name!r} is not valid. Use letters, digits, '.', '_' and '-'.")
    folder = home() / "corpora" / name
    problems: list[str] = []

    def report(line: str) -> None:
        problems.append(line)
        click.echo(line, err=True)

    documents, read, failed = read_all(path, int(max_mb * 2**20), report, problems)
    if not documents:
        wrong = f"{len(problems)} files could not be read" if problems else "there is no file of a readable kind"
        raise CorpusError(f"nothing to index in {path}: {wrong}. Readable: .docx .html .jsonl .md .pdf .txt.")
    corpus = Corpus(folder, embedder(), create=True)
    try:
        for document in documents:
            before = corpus.origin(document.id)
            if before and before != document.origin and Path(before).exists():
                report(f"{document.origin} takes the place of {before}: both are called {document.id!r}. Index the "
                       "folder that holds both, or give each its own --name.")  # fmt: skip
        with progress_of_counts(f"indexing {len(documents)} documents") as done:
            changes = corpus.add(documents, lambda n: done(n, len(documents)))
        changes.deleted = corpus.prune(read, {document.id for document in documents}).deleted
        if path.is_dir():
            changes.deleted += corpus.forget(path.absolute(), read | failed).deleted
        if attribution is not None:
            corpus.set_attribution(attribution)
        info = corpus.info()
    finally:
        corpus.close()
    summary = {
        "corpus": name, "folder": str(folder), "documents": info.documents, "passages": info.passages,
        **changes.model_dump(), "attribution": info.attribution, "problems": problems,
    }  # fmt: skip
    if as_json:
        click.echo(json.dumps(summary, ensure_ascii=False))
        return
    click.echo(
        f"{name}: {info.documents} documents, {info.passages} passages ({changes.added} added, {changes.updated} "
        f"updated, {changes.unchanged} unchanged, {changes.deleted} deleted, {len(problems)} problems)"
    )


def read_all(
    path: Path, max_bytes: int, report: Callable[[str], None], problems: list[str]
) -> tuple[list[Document], set[str], set[str]]:
    """The documents below `path`, and the absolute paths of the files that were read whole and that were not."""
    from toolset.retrieval import DocumentError
    from toolset.retrieval.documents import READERS, find_files, read_file

    documents: list[Document] = []
    read: set[str] = set()
    failed: set[str] = set()
    others = 0
    for file in find_files(path):
        if path.is_dir() and file.suffix.lower() not in READERS:
            others += 1
            continue
        told = len(problems)
        try:
            documents += read_file(file, path if path.is_dir() else path.parent, max_bytes, report)
            (read if len(problems) == told else failed).add(str(file.absolute()))
        except DocumentError as error:
            failed.add(str(file.absolute()))
            report(f"left out: {' '.join(str(error).split())}")
    if others:
        click.echo(f"{others} files of other kinds are not read", err=True)
    return documents, read, failed

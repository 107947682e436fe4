from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from toolset.retrieval import (
    Corpus,
    CorpusError,
    DamagedCorpusError,
    Document,
    Embedder,
    EmbedderError,
    build_default_corpus,
)
from toolset.retrieval.store import FILE


def titles(corpus: Corpus, query: str, k: int = 3) -> list[str]:
    return [found.document.title for found in corpus.search(query, k)]


@pytest.mark.parametrize(
    ("query", "title"),
    [
        ("Who painted the Mona Lisa?", "Mona Lisa"),
        ("Which planet is the largest in the solar system?", "Jupiter"),
        ("How do plants turn light into energy?", "Photosynthesis"),
        ("largest city of France", "France"),
    ],
)
def test_the_passage_that_answers_comes_first(corpus, query, title):
    assert titles(corpus, query)[0] == title


def test_a_hit_names_its_best_sentence(corpus):
    assert corpus.search("Where does the Mona Lisa hang?", 1)[0].sentence == "It hangs in the Louvre in Paris."


def test_adding_is_incremental(embedder, tmp_path, articles):
    corpus = Corpus(tmp_path, embedder, create=True)
    assert corpus.add(articles).model_dump() == {"added": 8, "updated": 0, "unchanged": 0, "deleted": 0}
    before = corpus.info().hash
    assert corpus.add(articles).model_dump() == {"added": 0, "updated": 0, "unchanged": 8, "deleted": 0}
    assert corpus.info().hash == before
    changed = Document(id="Coffee", title="Coffee", text="Coffee was first drunk in Yemen.")
    assert corpus.add([changed]).updated == 1
    assert corpus.search("Where was coffee first drunk?", 1)[0].text == "Coffee was first drunk in Yemen."
    assert corpus.delete(["Coffee", "no such document"]).deleted == 1
    assert "Coffee" not in titles(corpus, "Where was coffee first drunk?", 8)
    assert corpus.info().documents == 7


def test_the_hash_depends_on_what_is_in_a_corpus_not_on_the_way_there(embedder, tmp_path, articles):
    one, other = (Corpus(tmp_path / name, embedder, create=True) for name in ("one", "other"))
    for article in articles[:3]:
        one.add([article])
    other.add([Document(id="x", text="Gone tomorrow.")])
    for article in reversed(articles[:3]):
        other.add([article])
    other.delete(["x"])
    assert one.info().hash == other.info().hash


def test_another_process_sees_what_is_committed(embedder, tmp_path, articles):
    reader, writer = (Corpus(tmp_path, embedder, create=True) for _ in range(2))
    writer.add(articles[:1])
    assert titles(reader, "Mona Lisa") == ["Mona Lisa"]
    writer.add(articles[1:2])
    assert titles(reader, "the planet Jupiter")[0] == "Jupiter"


def test_long_documents_are_found_by_any_of_their_parts(embedder, tmp_path):
    filler = " ".join(f"Paragraph {number} speaks at length of the weather in the valley." for number in range(60))
    corpus = Corpus(tmp_path, embedder, create=True)
    corpus.add([Document(id="long", text=f"{filler} The treasure lies under the old oak. {filler}")])
    found = corpus.search("Where is the treasure?", 1)[0]
    assert found.sentence == "The treasure lies under the old oak."
    assert len(found.text) < 1200


def test_an_empty_corpus_answers_nothing(embedder, tmp_path):
    assert Corpus(tmp_path, embedder, create=True).search("anything", 3) == []


def test_kill_during_indexing_loses_no_committed_document(embedder: Embedder, tmp_path: Path):
    """kill -9 at five different moments; what was said to be safe is there, whole, and indexing goes on."""
    code = """
import sys
from toolset.retrieval import Corpus, Document, Embedder
corpus = Corpus(sys.argv[1], Embedder(sys.argv[2]), create=True)
documents = (Document(id=str(n), title=f"Item {n}", text=f"Item {n} weighs {n} grams.") for n in range(100_000))
import toolset.retrieval.corpus as module
module.BATCH = 8
corpus.add(documents, lambda safe: print(safe, flush=True))
"""
    safe = 0
    for pause in (0.0, 0.02, 0.05, 0.1, 0.15):
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), str(embedder.folder)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout
        for line in process.stdout:
            if int(line) > safe:
                safe = int(line)
                break
        time.sleep(pause)
        os.kill(process.pid, signal.SIGKILL)
        rest, _ = process.communicate()
        safe = max([safe, *(int(line) for line in rest.split())])
        corpus = Corpus(tmp_path, embedder)
        assert corpus.info().documents >= safe
        assert len(corpus.index()) == corpus.info().documents
        corpus.close()


def test_another_model_is_an_error_not_a_wrong_answer(embedder, tmp_path, articles):
    Corpus(tmp_path / "corpus", embedder, create=True).add(articles[:1])
    other = tmp_path / "model"
    other.mkdir()
    for name in ("config.json", "model.safetensors"):
        (other / name).symlink_to(embedder.folder / name)
    (other / "tokenizer.json").write_text((embedder.folder / "tokenizer.json").read_text() + " ")
    with pytest.raises(CorpusError, match=r"was made with embedding model .* Use that model, or index"):
        Corpus(tmp_path / "corpus", Embedder(other))


def test_damage_is_noticed(embedder, tmp_path, articles):
    corpus = Corpus(tmp_path, embedder, create=True)
    corpus.add(articles)
    corpus.close()
    connection = sqlite3.connect(tmp_path / FILE)
    connection.execute("UPDATE documents SET text = 'forged' WHERE id = 'Coffee'")
    connection.commit()
    connection.close()
    corpus = Corpus(tmp_path, embedder)
    with pytest.raises(CorpusError, match="'Coffee' does not match its seal"):
        corpus.search("coffee", 1)
    corpus.close()
    (tmp_path / FILE).write_bytes(b"not a database" * 100)
    with pytest.raises(CorpusError, match="is damaged"):
        Corpus(tmp_path, embedder)


def test_a_deletion_beside_an_addition_waits_its_turn(embedder, tmp_path, articles):
    corpus = Corpus(tmp_path, embedder, create=True)
    corpus.add(articles[:1])
    adding = threading.Event()

    def arriving():
        adding.set()
        time.sleep(0.3)  # the other thread asks for the locks meanwhile
        yield articles[1]

    threads = [
        threading.Thread(target=lambda: corpus.add(arriving()), daemon=True),
        threading.Thread(target=lambda: adding.wait() and corpus.delete([articles[0].id]), daemon=True),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert corpus.info().documents == 1
    corpus.close()


@pytest.fixture
def locked(tmp_path, monkeypatch):
    """A corpus's file that another program holds."""
    monkeypatch.setattr("toolset.retrieval.store.BUSY_SECONDS", 0.1)
    other = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    other.execute("CREATE TABLE precious (x)")
    other.execute("BEGIN EXCLUSIVE")
    yield tmp_path / FILE
    other.close()


def test_a_locked_corpus_is_not_damaged_and_stays(embedder, locked, tmp_path):
    with pytest.raises(CorpusError, match="cannot be opened now: database is locked") as raised:
        Corpus(tmp_path, embedder, create=True)
    assert not isinstance(raised.value, DamagedCorpusError)
    with pytest.raises(CorpusError, match="cannot be opened now"):
        build_default_corpus(tmp_path / "summaries.json", tmp_path, embedder)
    assert locked.is_file()


def test_a_corpus_opens_while_another_process_writes_it(embedder, tmp_path, articles, monkeypatch):
    monkeypatch.setattr("toolset.retrieval.store.BUSY_SECONDS", 0.1)
    writer = Corpus(tmp_path, embedder, create=True)
    writer.add(articles[:1])
    with writer.store.transaction():
        assert titles(Corpus(tmp_path, embedder, create=True), "Mona Lisa") == ["Mona Lisa"]


def test_a_file_without_the_tables_is_damaged(embedder, tmp_path):
    sqlite3.connect(tmp_path / FILE).execute("CREATE TABLE other (x)")
    with pytest.raises(DamagedCorpusError, match="no such table: meta"):
        Corpus(tmp_path, embedder)


def test_what_is_missing_is_named_with_the_remedy(embedder, tmp_path):
    with pytest.raises(CorpusError, match=r"no corpus at .* groundling index"):
        Corpus(tmp_path, embedder)
    with pytest.raises(EmbedderError, match=r"has no config\.json"):
        Embedder(tmp_path)


def test_vectors_are_those_of_the_full_precision_model(embedder):
    """The int8 graph against the same weights through transformers: cosine at least 0.98 for every text."""
    texts = ["Who painted the Mona Lisa?", "Photosynthesis turns light into chemical energy. " * 6, "x"]
    exact = Embedder(embedder.folder)
    exact.encoder = exact.float_encoder()
    small, full = embedder.queries(texts), exact.queries(texts)
    assert np.allclose(np.linalg.norm(small, axis=1), 1, atol=1e-5)
    assert ((small * full).sum(1) > 0.98).all()

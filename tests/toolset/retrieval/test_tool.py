"""What the tool answers from the default corpus, and when it answers nothing."""

from __future__ import annotations

import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from toolset.english.question import answerable, names_in
from toolset.retrieval import Corpus, CorpusError, DamagedCorpusError, Embedder, Retrieval
from toolset.retrieval.abstain import binds, features
from toolset.retrieval.store import FILE

ANSWERED = [
    ("Who painted the Mona Lisa?", "Mona Lisa", "Leonardo da Vinci"),
    ("Which planet is the largest in the solar system?", "Jupiter", "largest"),
    ("Who wrote Hamlet?", "Hamlet", "William Shakespeare"),
    ("What is the capital of France?", "France|Paris", "Paris"),
    ("What is the capital of Japan?", "Tokyo|Japan", "Tokyo"),
    ("How high is Mount Everest?", "Mount Everest", "8,848"),
    ("What is the highest mountain on Earth?", "Mount Everest", "highest mountain"),
    ("Who developed the theory of relativity?", "Albert Einstein|Theory of relativity", "Einstein"),
    ("What is photosynthesis?", "Photosynthesis", "energy"),
    ("What does DNA stand for?", "DNA", "Deoxyribonucleic acid"),
    ("What is the largest ocean on Earth?", "Pacific Ocean|Ocean", "Pacific"),
    ("When did World War II end?", "World War II", "1945"),
    ("Who was the first president of the United States?", "George Washington", "first president"),
    ("Which metal is liquid at room temperature?", "Mercury (element)", "mercury"),
    ("Who discovered penicillin?", "Alexander Fleming|Penicillin", "Fleming"),
    ("Who wrote Pride and Prejudice?", "Pride and Prejudice|Jane Austen", "Jane Austen"),
    ("Where is the Taj Mahal?", "Taj Mahal", "Agra"),
    ("Who painted The Starry Night?", "The Starry Night|Vincent van Gogh", "Van Gogh"),
    ("who is marie curie", "Marie Curie", "physicist"),
    ("Who directed 2001: A Space Odyssey?", "2001: A Space Odyssey|Stanley Kubrick", "Kubrick"),
    ("What is a black hole?", "Black hole", "gravit"),
    ("Who wrote The Lord of the Rings?", "The Lord of the Rings|J. R. R. Tolkien", "Tolkien"),
    ("Tell me about the Great Wall of China", "Great Wall of China", "fortification"),
]

LEFT_ALONE = [
    "What is the capital of Australia?",
    "what is the capital of australia",
    "Hello, how are you?",
    "How old is Rafael Nadal?",
    "How tall is Rafael Nadal?",
    "Thanks a lot!",
    "Good morning!",
    "Tell me a joke",
    "What's your name?",
    "What time is it?",
    "I feel sad today.",
    "Can you help me with my homework?",
    "Who is Zanthor Quibblefax?",
    "Who is the mayor of Springfield?",
    "How do I reset my router password?",
    "What is the capital of Wakanda?",
    "",
    "???",
    "\x00\x1b[31m",
]


@pytest.fixture(scope="module")
def retrieval(default_corpus: Path, embedder: Embedder) -> Retrieval:
    return Retrieval(default_corpus, embedder).load()


@pytest.mark.slow  # the first use of the default corpus builds it
@pytest.mark.parametrize(("question", "titles", "holds"), ANSWERED)
def test_everyday_questions_are_answered_from_the_right_article(retrieval, question, titles, holds):
    answers = retrieval.run(question)[:2]
    right = [each for each in answers if each.source and each.source.title in titles.split("|")]
    assert right, [each.source for each in answers]
    assert holds.lower() in right[0].text.lower()
    assert right[0].source
    assert str(right[0].source.url).startswith("https://en.wikipedia.org/wiki/")


@pytest.mark.slow
@pytest.mark.parametrize("message", LEFT_ALONE)
def test_what_the_corpus_does_not_hold_gets_nothing(retrieval, message):
    assert [each.source for each in retrieval.run(message)] == []


@pytest.mark.slow
def test_the_default_corpus_names_its_authors_and_licence(retrieval):
    info = retrieval.corpus.info()
    assert info.documents > 10_000
    assert "Wikipedia" in info.attribution
    assert "CC-BY-SA-4.0" in info.attribution


def test_a_huge_query_is_cut(corpus, embedder):
    answers = Retrieval(corpus.store.folder, embedder).run("What is photosynthesis?" + " Please." * 1_000_000)
    assert answers[0].text.startswith("Photosynthesis is the process")


def test_threads_get_the_same_answers(corpus, embedder):
    tool = Retrieval(corpus.store.folder, embedder)
    queries = ["Who painted the Mona Lisa?", "largest planet of the solar system", "capital of France"] * 8
    with ThreadPoolExecutor(8) as pool:
        found = [[each.source and each.source.title for each in answer] for answer in pool.map(tool.run, queries)]
    assert found == found[:3] * 8


def test_no_corpus_is_an_error_when_the_tool_is_made(embedder, tmp_path):
    with pytest.raises(CorpusError, match="no corpus at"):
        Retrieval(tmp_path, embedder)


@pytest.mark.parametrize(
    ("question", "title", "bound"),
    [
        ("What is the capital of Australia?", "Sydney", False),
        ("What is Australia's capital?", "Sydney", False),
        ("What is the capital of Australia?", "Australia", False),
        ("What is the capital of New South Wales?", "Sydney", True),
        ("What is the capital of France?", "France", True),
        ("What is France's capital?", "France", True),
        ("What is the population of France?", "France", False),
        ("Who painted the Mona Lisa?", "Jupiter", True),  # asks for no attribute: nothing to say against it
    ],
)
def test_an_attribute_must_belong_to_what_was_asked_about(corpus, question, title, bound):
    found = next(each for each in corpus.search(title, 8) if each.document.title == title)
    assert binds(question, found) is bound


@pytest.mark.parametrize(
    ("question", "title", "bound"),
    [
        ("What is coffee?", "Coffee", True),
        ("tell me about jupiter", "Jupiter", True),
        ("Who is Ronaldo?", "Cristiano Ronaldo", True),
        ("Who is Leonardo da Vinci?", "Mona Lisa", False),  # it names him, and is about something else
        ("What is oxygen?", "Photosynthesis", False),
        ("What is the Louvre?", "Mona Lisa", True),  # with "the" a text may answer in passing
        ("What is Leonardo's painting called?", "Mona Lisa", True),
    ],
)
def test_what_a_thing_is_must_come_from_a_text_about_it(corpus, question, title, bound):
    found = next(each for each in corpus.search(title, 8) if each.document.title == title)
    assert binds(question, found) is bound


def test_words_that_ask_for_the_same_find_the_same(corpus):
    found = corpus.search("biggest planet", 1)[0]
    lexicon = corpus.index().lexicon
    assert found.document.title == "Jupiter"
    assert features("biggest planet", found, lexicon)[1] == features("largest planet", found, lexicon)[1] == 1.0


def test_names_are_told_from_openers():
    assert names_in("Who painted the Mona Lisa in 1503?") == {"mona", "lisa", "1503"}
    assert names_in("Name the largest planet") == set()
    assert names_in("Hello, how are you?") == set()


@pytest.mark.parametrize(
    ("message", "facts"),
    [
        ("Tell me a joke", False),
        ("write a poem about spring", False),
        ("What time is it?", False),
        ("what's the weather like today", False),
        ("Who wrote the poem The Raven?", True),
        ("What is the date of the French Revolution?", True),
        ("What is time?", True),
        ("What's your name?", False),
        ("Hi, how are you?", False),
        ("I feel sad today.", False),
        ("Can you tell me who painted the Mona Lisa?", True),
    ],
)
def test_what_no_corpus_can_answer_is_not_looked_up(message, facts):
    assert answerable(message) is facts


def test_a_corpus_that_is_found_damaged_is_made_again_where_it_can_be(corpus, embedder, articles, tmp_path):
    def make() -> None:
        made = Corpus(tmp_path / "made", embedder, create=True)
        made.add(articles)
        made.close()

    make()
    connection = sqlite3.connect(tmp_path / "made" / FILE)
    connection.execute("UPDATE documents SET text = 'forged' WHERE id = 'Coffee'")
    connection.commit()
    connection.close()
    with pytest.raises(DamagedCorpusError):
        Retrieval(tmp_path / "made", embedder).run("Who painted the Mona Lisa?")

    def remake() -> None:
        shutil.rmtree(tmp_path / "made")
        make()

    [first, *_] = Retrieval(tmp_path / "made", embedder, remake=remake).run("Who painted the Mona Lisa?")
    assert first.source.title == "Mona Lisa"


def test_a_damaged_graph_of_the_embedding_model_is_made_again(embedder, tmp_path):
    folder = Path(shutil.copytree(embedder.folder, tmp_path / "model"))
    for graph in folder.glob("model.*.onnx"):
        graph.write_bytes(graph.read_bytes()[:1000])
    assert Embedder(folder).queries(["tea"]) == pytest.approx(embedder.queries(["tea"]), abs=1e-5)

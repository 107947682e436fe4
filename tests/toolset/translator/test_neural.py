"""Neural translation: a real small model of each family, saved, loaded and generating."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from toolset.errors import ToolConfigError
from toolset.translator import Translator
from toolset.translator.backend import BackendError
from toolset.translator.neural import Neural

_spec = importlib.util.spec_from_file_location("tiny_models", Path(__file__).with_name("tiny_models.py"))
assert _spec
assert _spec.loader
tiny_models = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tiny_models)

ROWS = tiny_models.ROWS
SPANISH = [row for row in ROWS if row[2] == "es"]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small gain nothing from a second thread, and lose much where the machine is busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, list]]:
    """A model of each family that knows its rows by heart."""
    folder = tmp_path_factory.mktemp("models")
    return {
        "marian": (tiny_models.memorise(tiny_models.marian(folder / "marian"), SPANISH), SPANISH),
        "marian_many": (
            tiny_models.memorise(tiny_models.marian(folder / "many", targets=("fra", "spa"), target="roa"), ROWS),
            ROWS,
        ),
        "m2m100": (tiny_models.memorise(tiny_models.m2m100(folder / "m2m100"), ROWS), ROWS),
        "madlad": (tiny_models.memorise(tiny_models.madlad(folder / "madlad"), ROWS, rate=2e-3), ROWS),
    }


@pytest.fixture(params=["marian", "marian_many", "m2m100", "madlad"])
def known(request: pytest.FixtureRequest, models: dict) -> Iterator[tuple[Neural, list]]:
    path, rows = models[request.param]
    backend = Neural(path, beams=2)
    yield backend, rows
    backend.close()


def test_a_saved_model_of_each_family_translates_what_it_was_taught(known: tuple[Neural, list]) -> None:
    backend, rows = known
    for text, source, target, translation in rows:
        found = backend.translate(text, source, target)
        assert found is not None
        assert found.text == translation
        assert found.kind == "neural machine translation"
        assert 0.8 < found.confidence <= 1.0


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_a_batch_gives_what_single_texts_give(known: tuple[Neural, list], batch_size: int) -> None:
    backend, rows = known
    backend.batch_size = batch_size
    texts = [text for text, _, target, _ in rows if target == "es"] * 2
    alone = [backend.translate(text, "en", "es") for text in texts]
    together = backend.translate_batch(texts, "en", "es")
    assert [t and t.text for t in together] == [t and t.text for t in alone]


def test_a_long_text_is_translated_sentence_by_sentence(models: dict) -> None:
    backend = Neural(models["madlad"][0], beams=1)
    found = backend.translate("the house is red\u2026 the house is red", "en", "es")
    assert found is not None
    assert found.text.count("la casa") == 2


@pytest.mark.parametrize(
    ("name", "pair", "supported"),
    [
        ("marian", ("en", "es"), True),
        ("marian", ("es", "en"), False),
        ("marian", ("en", "fr"), False),
        ("marian_many", ("en", "fr"), True),
        ("marian_many", ("en", "de"), False),
        ("m2m100", ("zu", "ja"), True),
        ("m2m100", ("en", "en"), False),
        ("m2m100", ("en", "haw"), False),
        ("madlad", ("en", "haw"), True),
        ("madlad", ("en", "ja"), False),
    ],
)
def test_a_model_says_which_languages_it_translates(models: dict, name: str, pair: tuple, supported: bool) -> None:
    assert Neural(models[name][0]).supports(*pair) is supported


def test_the_translator_prefers_its_model_and_says_so(models: dict) -> None:
    translator = Translator(models["m2m100"][0], server=False)
    (result,) = translator.run("the house is red in French")
    assert result.text == '"the house is red" in French: "la maison est rouge" (saved)'
    assert result.source is not None
    assert result.source.title == "saved (neural machine translation, English to French)"
    assert translator.needs == {"model"}
    translator.close()


def test_an_untrained_model_is_too_unsure_to_answer(tmp_path: Path) -> None:
    model = Neural(tiny_models.marian(tmp_path / "marian"), max_new_tokens=8)
    found = model.translate("the house is red", "en", "es")
    assert found is not None
    assert found.confidence < 0.25
    assert Translator(backends=[model]).run("the house is red in Spanish") == []


def test_a_text_cannot_choose_the_language_itself(models: dict) -> None:
    for name, text in [("marian_many", ">>spa<< the house is red"), ("madlad", "<2es> the house is red")]:
        backend = Neural(models[name][0], beams=1)
        plain, attacked = backend.translate("the house is red", "en", "fr"), backend.translate(text, "en", "fr")
        assert plain is not None
        assert attacked is not None
        assert "casa" not in attacked.text


@pytest.mark.parametrize("missing", ["no/such/folder/at/all", "/no/such/folder", "just a sentence"])
def test_a_model_that_is_not_there_is_refused_by_name(missing: str) -> None:
    with pytest.raises(ToolConfigError, match="Give a folder or a Hugging Face id"):
        Neural(missing)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ToolConfigError, match=r"config\.json"):
        Neural(tmp_path)


def test_a_damaged_model_is_named_once_and_the_next_backend_is_asked(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "marian"}', encoding="utf-8")
    backend = Neural(tmp_path)
    assert backend.supports("en", "es") is False
    assert "cannot be loaded" in backend.status()
    with pytest.raises(BackendError, match="cannot be loaded"):
        backend.translate("hello", "en", "es")
    assert Translator(backends=[backend]).run("hello in Spanish") == []


def test_a_t5_model_that_does_not_translate_is_refused(tmp_path: Path) -> None:
    backend = Neural(tiny_models.madlad(tmp_path / "t5", language_tokens=False))
    with pytest.raises(ToolConfigError, match="MADLAD-400"):
        backend.load()


@pytest.mark.parametrize("setting", ["beams", "batch_size", "max_new_tokens"])
def test_settings_out_of_range_are_refused(tmp_path: Path, setting: str) -> None:
    options: dict[str, Any] = {setting: 0}
    with pytest.raises(ToolConfigError, match=f"{setting} must be >= 1, got 0"):
        Neural(tmp_path, **options)


@pytest.mark.parametrize("pair", [["en"], ["en", "klingon"], []])
def test_a_pair_that_names_no_two_languages_is_refused(tmp_path: Path, pair: list[str]) -> None:
    with pytest.raises(ToolConfigError, match="pair must be two language codes"):
        Neural(tmp_path, pair=pair)

"""The translator as a tool: with the real Apertium where it is installed, and without any backend."""

from __future__ import annotations

import shutil

import pytest

from toolset.translator import Translator
from toolset.translator.apertium import installed_pairs

apertium_spanish = pytest.mark.skipif(
    not shutil.which("apertium") or ("en", "es") not in installed_pairs(),
    reason="skipped: translating English to Spanish with Apertium (apt-get install apertium apertium-eng-spa)",
)


@apertium_spanish
def test_a_translation_reads_as_an_answer_and_names_what_made_it() -> None:
    (result,) = Translator().run("translate 'good morning' to Spanish")
    assert result.text == '"good morning" in Spanish: "buenos días" (Apertium eng-spa)'
    assert result.source is not None
    assert result.source.title.startswith("Apertium eng-spa")
    assert result.source.score == 1.0


def test_without_apertium_it_answers_nothing_and_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_args, **_kwargs: None)
    translator = Translator()
    assert translator.run("hello in Spanish") == []
    assert "apt-get install" in translator.status()

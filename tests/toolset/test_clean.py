"""Cleaning of untrusted text, over arbitrary strings."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolset import Result, Source
from toolset.clean import CUT, MAX_RESULTS, clean_results, clean_source, clean_text, describe_error, one_line

texts = st.text(alphabet=st.characters(), max_size=200)  # surrogates and controls included


@settings(deadline=None)
@given(texts)
def test_clean_text_can_be_written_shown_and_cleaned_again(text: str):
    cleaned = clean_text(text)
    cleaned.encode()
    assert not [c for c in cleaned if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t"]
    assert clean_text(cleaned) == cleaned


@settings(deadline=None)
@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "S"]), max_size=200))
def test_words_numbers_and_marks_of_every_script_stay(text: str):
    assert clean_text(text) == text


@pytest.mark.parametrize(
    "text", ["न\u200dक", "👩\u200d👩\u200d👧", "می\u200cخواهم", "e\u0301", "<|im_start|>", "a\tb\nc"]
)
def test_joiners_marks_and_markup_stay(text: str):
    assert clean_text(text) == text


@settings(deadline=None)
@given(st.lists(texts, max_size=100), st.integers(1, 300))
def test_results_keep_to_their_budget(pieces: list[str], budget: int):
    results, cut = clean_results([Result(text=piece) for piece in pieces], budget)
    assert sum(len(result.text) for result in results) <= budget
    assert len(results) <= MAX_RESULTS
    assert all(result.text for result in results)
    whole = [clean_text(piece).strip() for piece in pieces]
    whole = [piece for piece in whole if piece]
    if sum(map(len, whole)) <= budget and len(whole) <= MAX_RESULTS:
        assert ([result.text for result in results], cut) == (whole, 0)
    else:
        assert cut > 0
    json.dumps([result.model_dump() for result in results]).encode()


def test_what_is_cut_is_marked():
    assert clean_results([Result(text="a" * 20)], 10) == ((Result(text="a" * 6 + CUT),), 10)
    assert clean_results([Result(text="a" * 20)], 2) == ((Result(text="aa"),), 18)


@settings(deadline=None)
@given(texts, st.integers(1, 50))
def test_one_line_is_one_line(text: str, limit: int):
    line = one_line(text, limit)
    assert len(line) <= limit
    assert "\n" not in line


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://example.org/a?b=c#d", True),
        ("HTTP://example.org", True),
        ("file:///home/me/notes.txt", True),
        ("javascript:alert(1)", False),
        ("data:text/html,x", False),
        ("https://example.org/ a", False),
        ('https://example.org/"onload=x', False),
        ("https://example.org/\u202egpj", False),
        ("https://example.org/" + "a" * 3_000, False),
        ("example.org", False),
    ],
)
def test_only_plain_addresses_are_kept(url: str, kept: bool):
    cleaned = clean_source(Source(title="T", url=url))
    assert cleaned is not None
    assert cleaned.url == (url if kept else None)


def test_a_source_keeps_a_title():
    cleaned = clean_source(Source(title="\x00\n ", score=float("inf")))
    assert cleaned == Source(title="untitled")


def test_errors_are_described_in_one_line():
    assert describe_error(ValueError()) == "ValueError"
    assert describe_error(ValueError("a\n\x1b[1mb")) == "ValueError: a b"

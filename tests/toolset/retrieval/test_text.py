from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolset.retrieval.text import PASSAGE_CHARS, passages, sentences, terms


def split(text: str) -> list[str]:
    return [text[span.start : span.end] for span in sentences(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("J. R. R. Tolkien wrote it. It sold well.", ["J. R. R. Tolkien wrote it.", "It sold well."]),
        ("Dr. Smith met Mr. Jones. They talked.", ["Dr. Smith met Mr. Jones.", "They talked."]),
        ("The U.S. Army came. It left.", ["The U.S. Army came.", "It left."]),
        ("It costs 3.5 dollars. That is cheap.", ["It costs 3.5 dollars.", "That is cheap."]),
        ('He said "Go away." She went.', ['He said "Go away."', "She went."]),
        ("A heading\n\nA paragraph", ["A heading", "A paragraph"]),
        ("これは文です。次の文です。", ["これは文です。", "次の文です。"]),
        ("¿Qué hora es? ¡Hola! ¿Y tú?", ["¿Qué hora es?", "¡Hola!", "¿Y tú?"]),
        ("   ", []),
        ("", []),
    ],
)  # fmt: skip
def test_sentences_end_where_a_reader_ends_them(text, expected):
    assert split(text) == expected


@given(st.text(alphabet=st.sampled_from("aB .!?\n\"'。1"), max_size=400))
def test_no_letter_is_lost_between_sentences(text):
    assert "".join("".join(split(text)).split()) == "".join(text.split())


@given(st.lists(st.integers(1, 300), min_size=1, max_size=60))
def test_passages_cover_all_sentences_in_order_within_the_size(lengths):
    text = " ".join("A" + "b" * (length - 1) + "." for length in lengths)
    made = passages(text)
    covered = {span for passage in made for span in passage}
    assert sorted(covered) == sentences(text)
    assert all(passage[-1].end - passage[0].start <= PASSAGE_CHARS * 5 // 4 for passage in made)
    assert all(before[0] < after[0] for before, after in pairwise(made))


def test_neighbouring_passages_overlap_by_whole_sentences():
    text = " ".join(f"Sentence number {number} says something of its own." for number in range(60))
    made = passages(text)
    assert len(made) > 2
    assert all(set(before) & set(after) for before, after in pairwise(made))


def test_a_sentence_without_end_is_cut_at_spaces():
    text = "word " * 2000
    assert all(
        passage[-1].end - passage[0].start <= PASSAGE_CHARS * 5 // 4 and text[passage[-1].end - 1] == "d"
        for passage in passages(text)
    )


def test_terms_are_stems_without_stop_words_and_possessives():
    assert terms("What are France's largest cities?") == terms("France largest city")

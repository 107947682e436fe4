import pytest

from toolset.english.words import opens, stem, stems, terms


def test_terms_are_stems_without_stop_words_and_possessives():
    assert terms("What are France's largest cities?") == terms("France largest city")


def test_a_statements_words_keep_hyphens_and_decimals():
    assert stems("It is the second-largest, at 3.5 km.") == {"second-largest", "3.5", "km"}
    assert stem("Cities") == stem("city's") == stem("city")
    assert stem("1,000") == "1000"
    assert stems("It is known to be one.") == set()


@pytest.mark.parametrize(
    ("word", "following", "opener"),
    [
        ("Paintings", "are", True),
        ("Originally", "painted", True),
        ("Painted", "by", True),
        ("The", "painting", True),
        ("Michelangelo", "painted", False),
        ("Fleming", "discovered", False),
        ("Italy", "won", False),
        ("Dickens", "wrote", False),
        ("Paris", "", False),
    ],
)
def test_a_word_that_begins_a_sentence_is_a_name_unless_it_looks_like_none(word: str, following: str, opener: bool):
    assert opens(word, following) is opener

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from toolset.english.sentences import sentences
from toolset.retrieval.text import PASSAGE_CHARS, passages


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

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolset.english.sentences import split


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
        ('He called it "penicillin." It was new.', ['He called it "penicillin."', "It was new."]),
        ("Il est né. Élisa aussi. “Oui.” Non.", ["Il est né.", "Élisa aussi.", "“Oui.”", "Non."]),
        ("See Fig. 3 in Vol. 2. It shows it.", ["See Fig. 3 in Vol. 2.", "It shows it."]),
        ("   ", []),
        ("", []),
    ],
)  # fmt: skip
def test_sentences_end_where_a_reader_ends_them(text, expected):
    assert split(text) == expected


@given(st.text(alphabet=st.sampled_from("aB .!?\n\"'。1"), max_size=400))
def test_no_letter_is_lost_between_sentences(text):
    assert "".join("".join(split(text)).split()) == "".join(text.split())

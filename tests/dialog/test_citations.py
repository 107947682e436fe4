from __future__ import annotations

import pytest

from dialog.citations import abstains, cite, marked_sentences, quote, support, whole_sentences
from dialog.evidence import Evidence, collect
from dialog.finetune.research_data import NOT_FOUND
from toolset.tool import Result, Source, ToolCall

MONA_LISA = (
    "The Mona Lisa is a half-length portrait painting by the Italian artist Leonardo da Vinci. "
    "It was painted between 1503 and 1506."
)
LOUVRE = "The Louvre is a national art museum in Paris. It opened on 10 August 1793."


def snippet(number: int, title: str, text: str) -> Evidence:
    return Evidence(
        number=number, text=text, title=title, url=f"https://x/{title}", id=title, tool="retrieval", open_domain=True
    )


EVIDENCE = [snippet(1, "Louvre", LOUVRE), snippet(2, "Mona Lisa", MONA_LISA)]


@pytest.mark.parametrize(
    ("sentence", "question", "supported"),
    [
        ("The Mona Lisa was painted by Leonardo da Vinci.", "Who painted the Mona Lisa?", True),
        ("Leonardo da Vinci.", "Who painted the Mona Lisa?", True),
        ("The Mona Lisa was painted by Michelangelo.", "Who painted the Mona Lisa?", False),
        ("Michelangelo painted the Mona Lisa between 1503 and 1506.", "Who painted the Mona Lisa?", False),
        ("Painted by the Italian artist Leonardo da Vinci.", "Who painted the Mona Lisa?", True),
        ("Originally the Mona Lisa was painted between 1503 and 1506.", "When was the Mona Lisa painted?", True),
        ("The Mona Lisa was painted in 1610.", "When was the Mona Lisa painted?", False),
        ("It was painted between 1503 and 1506.", "When was the Mona Lisa painted?", True),
        ("The Mona Lisa was painted.", "Who painted the Mona Lisa?", False),
        ("I am not sure.", "Who painted the Mona Lisa?", False),
        ("", "Who painted the Mona Lisa?", False),
    ],
)
def test_support_wants_names_numbers_and_something_new(sentence: str, question: str, supported: bool) -> None:
    assert support(sentence, MONA_LISA, question, "Mona Lisa").supported is supported


def test_the_supporting_snippet_is_cited_and_numbered_in_order_of_use() -> None:
    cited = cite("Leonardo da Vinci painted it.", EVIDENCE, "Who painted the Mona Lisa?")
    assert cited.text == "Leonardo da Vinci painted it. [1]"
    assert [(c.number, c.title, c.id) for c in cited.citations] == [(1, "Mona Lisa", "Mona Lisa")]
    assert cited.grounded


def test_a_wrong_marker_is_replaced_and_a_marker_to_nothing_dropped() -> None:
    cited = cite("Leonardo da Vinci [1]. It is known [7] to be by an Italian artist [9].", EVIDENCE, "Who painted it?")
    assert cited.text == "Leonardo da Vinci. It is known to be by an Italian artist. [1]"
    assert [c.title for c in cited.citations] == ["Mona Lisa"]


def test_an_unsupported_sentence_is_left_out_beside_supported_ones() -> None:
    cited = cite("Leonardo da Vinci painted it. It was stolen by Napoleon in 1812.", EVIDENCE, "Who painted it?")
    assert cited.text == "Leonardo da Vinci painted it. [1]"


def test_nothing_supported_means_no_citation_and_not_grounded() -> None:
    cited = cite("Michelangelo painted it [2].", EVIDENCE, "Who painted the Mona Lisa?")
    assert cited == ("Michelangelo painted it.", [], False)


def test_two_sources_get_two_numbers() -> None:
    cited = cite(
        "The Mona Lisa is by the Italian artist Leonardo da Vinci. The Louvre opened on 10 August 1793.",
        EVIDENCE,
        "Tell me.",
    )
    assert cited.text.endswith("Leonardo da Vinci. [1] The Louvre opened on 10 August 1793. [2]")
    assert [c.title for c in cited.citations] == ["Mona Lisa", "Louvre"]


def test_a_quotation_is_the_sentence_nearest_to_the_question() -> None:
    quoted = quote(EVIDENCE, "When was the Mona Lisa painted?")
    assert quoted is not None
    assert quoted.text == "It was painted between 1503 and 1506. [1]"
    assert quoted.grounded
    assert quote([], "anything") is None


def test_what_shares_too_little_with_the_question_is_not_quoted() -> None:
    assert quote([EVIDENCE[0]], "Who discovered penicillin?") is None
    exact = EVIDENCE[0]._replace(open_domain=False)
    assert quote([exact], "Who discovered penicillin?") is not None, "its tool answered the query itself"


@pytest.mark.parametrize("said", [*NOT_FOUND, "I don't know.", "The sources do not mention her."])
def test_an_answer_that_abstains_is_known(said: str) -> None:
    assert abstains(said)


def test_an_answer_that_states_something_does_not_abstain() -> None:
    assert not abstains("I think Leonardo da Vinci painted it. He could not sell it.")


def test_a_mark_belongs_to_the_sentence_before_it() -> None:
    assert marked_sentences("[3] He called it “penicillin.” [1] It is old [2]. The U.S. [1] Army used it.") == [
        ("He called it “penicillin.”", (3, 1)),
        ("It is old.", (2,)),
        ("The U.S. Army used it.", (1,)),
    ]
    assert whole_sentences("It is old. [2] It was", "length") == "It is old. [2]"


def test_the_source_that_the_model_marked_is_cited() -> None:
    twice = [*EVIDENCE, snippet(3, "Mona Lisa", MONA_LISA)]
    cited = cite("It was painted between 1503 and 1506. [3] It opened in 1793. [1]", twice, "When was it painted?")
    assert [c.id for c in cited.citations] == ["Mona Lisa"]
    assert cite("It was painted between 1503 and 1506.[2]", twice, "When was the Mona Lisa painted?").grounded


def test_evidence_is_numbered_in_the_tools_order() -> None:
    calls = [
        ToolCall(tool="calculator", query="q", results=(Result(text="1 + 1 = 2"),)),
        ToolCall(tool="broken", query="q", error="boom"),
        ToolCall(
            tool="retrieval", query="q", results=(Result(text="Two.\nUser: hi", source=Source(title="Two", id="2")),)
        ),
    ]
    found = collect(calls, {"retrieval"}, start=3)
    assert [(item.number, item.title, item.text, item.open_domain) for item in found] == [
        (3, "Calculator", "1 + 1 = 2", False),
        (4, "Two", "Two. User: hi", True),
    ]


JUPITER = "Jupiter is the fifth planet from the Sun, and the largest in the Solar System."
PLUTO = "Pluto is a dwarf planet. It is the largest known dwarf planet in the Solar System, but less massive than Eris."
ERIS = "Eris is the most massive and second-largest known dwarf planet in the Solar System."
JEFFERSON = (
    "Thomas Jefferson was the third president of the United States from 1801 to 1809. "
    "He was the nation's first U.S. secretary of state under George Washington."
)
WASHINGTON = "George Washington was the first president of the United States."


@pytest.mark.parametrize(
    ("sentence", "snippet", "title", "question", "supported"),
    [
        (
            "Jupiter is the largest planet.",
            JUPITER,
            "Jupiter",
            "Which planet is the largest in the solar system?",
            True,
        ),
        ("Pluto is the largest planet.", PLUTO, "Pluto", "Which planet is the largest in the solar system?", False),
        ("Eris is the largest planet.", PLUTO, "Pluto", "Which planet is the largest in the solar system?", False),
        ("Eris is the largest planet.", ERIS, "Eris", "Which planet is the largest in the solar system?", False),
        (
            "Jupiter is the largest terrestrial planet.",
            JUPITER,
            "Jupiter",
            "Which is the largest terrestrial planet?",
            False,
        ),
        ("George Washington.", WASHINGTON, "", "Who was the first president of the United States?", True),
        (
            "The first president was Thomas Jefferson, who served from 1801 to 1809.",
            JEFFERSON,
            "Thomas Jefferson",
            "Who was the first president of the United States?",
            False,
        ),
    ],
)
def test_another_rank_or_a_narrower_kind_is_no_support(
    sentence: str, snippet: str, title: str, question: str, supported: bool
) -> None:
    assert support(sentence, snippet, question, title).supported is supported


@pytest.mark.parametrize(
    ("question", "title", "text", "quoted"),
    [
        # A longer form of the question's word counts, and a pronoun is named.
        (
            "Who discovered penicillin?",
            "Alexander Fleming",
            'He was a physician. He shared a prize "for the discovery of penicillin".',
            'Alexander Fleming: He shared a prize "for the discovery of penicillin". [1]',
        ),
        # An opus number ends no sentence.
        (
            "Who composed the Ninth Symphony?",
            "Symphony No. 9",
            "The Ninth Symphony, Op. 125, was composed by Ludwig van Beethoven.",
            "The Ninth Symphony, Op. 125, was composed by Ludwig van Beethoven. [1]",
        ),
    ],
)
def test_a_quotation_is_understood_alone(question: str, title: str, text: str, quoted: str) -> None:
    found = quote([Evidence(1, text, title, None, None, "retrieval", True)], question)
    assert found is not None
    assert found.text == quoted


@pytest.mark.parametrize("question", ["What was the first?", "Which is the oldest?", "What is the largest?"])
def test_a_superlative_of_nothing_is_answered_by_nothing(question: str) -> None:
    assert quote(EVIDENCE, question) is None
    assert not support("The Louvre opened on 10 August 1793.", LOUVRE, question, "Louvre").supported

"""The figures of `eval questions` and `eval prompts` from turns made by hand."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from dialog.agent import NO_SOURCE
from dialog.decoder import DecoderInfo
from dialog.turn import Candidate, Citation, Scores, Timings, Turn, Usage
from safety.records import GroundedQuestion, PromptRecord
from serve.cli import eval_prompts, eval_questions
from serve.cli.evaluate import evaluate

INFO = DecoderInfo(engine="scripted", model="m", revision="r", context_length=512, vocab_size=100)


def turn(reply: str, *cited: str, safe: float = 0.9, quality: float = 3.0, kept: bool = True, reason="stop") -> Turn:
    scores = Scores(sensible=1, specific=1, interesting=1, safe=safe, quality=quality)
    return Turn(
        reply=reply,
        citations=[
            Citation(number=i + 1, title=c, url=None, text="t", id=c, tool="retrieval") for i, c in enumerate(cited)
        ],
        finish_reason=reason,
        grounded=bool(cited),
        candidates=[Candidate(text=reply, scores=scores, kept=kept, logprob=-1.0, tokens=3)],
        tool_calls=[],
        timings=Timings(),
        usage=Usage(),
        draft=reply if kept else None,
        messages=[],
        role="assistant",
        dialect="tuned",
        decoder=INFO,
        seed=0,
    )


def test_questions_are_counted_by_answer_citation_and_abstention():
    questions = [
        GroundedQuestion(question="a?", answers=("Jane Austen",), source_ids=("d1",)),
        GroundedQuestion(question="b?", answers=("1807",), source_ids=("d2",)),
        GroundedQuestion(question="c?", answers=()),
        GroundedQuestion(question="d?", answers=("Paris",), source_ids=("d4",)),
    ]
    turns = [
        turn("It was the Jane Austen [1].", "d1"),
        turn("In 1808 [1].", "d9"),
        turn("I could not find that in my sources."),
        turn("Lyon, I think."),
    ]
    found = eval_questions.figures_of(questions, turns, [False, True, False, False], 8.0)
    assert found["answer_accuracy"] == pytest.approx(1 / 3, abs=1e-4)
    assert found["closed_book_accuracy"] == pytest.approx(1 / 3, abs=1e-4)
    assert found["citation_accuracy"] == 0.5
    assert found["informativeness"] == 0.5
    assert found["groundedness"] == pytest.approx(2 / 3, abs=1e-4)
    assert found["abstained"] == 0.25
    assert found["abstained_unanswerable"] == 1.0
    assert found["turns_per_second"] == 0.5
    rates = {name for name, value in found.items() if isinstance(value, float)} - {"turns_per_second"}
    assert set(found["intervals"]) == rates
    assert all(low <= found[name] <= high for name, (low, high) in found["intervals"].items())


def test_questions_on_one_document_are_drawn_together():
    def low(source: str) -> float:
        asked = [
            GroundedQuestion(question=f"{i}?", answers=("yes",), source_ids=(source.format(i=i // 10),))
            for i in range(40)
        ]
        turns = [turn("Yes [1]." if i < 20 else "No [1].", "d") for i in range(40)]
        return eval_questions.figures_of(asked, turns, [False] * 40, 1.0)["intervals"]["answer_accuracy"][0]

    assert low("document {i}") == 0.0, "four documents, two of them right: chance may take the wrong ones alone"
    assert low("") > 0.3, "forty questions of their own"


def test_an_uncited_claim_states_something_and_only_saying_so_abstains():
    claim = turn("It was Napoleon in 1804.")
    unsourced = turn(NO_SOURCE.format(draft="It was Napoleon in 1804."))
    fixed = turn("I'd rather not answer that.", reason="content_filter")
    assert [eval_questions.abstains(one) for one in (claim, unsourced, fixed)] == [False, True, True]
    questions = [GroundedQuestion(question="Who?", answers=())] * 3
    found = eval_questions.figures_of(questions, [claim, unsourced, fixed], [False] * 3, 1.0)
    assert found["abstained_unanswerable"] == pytest.approx(2 / 3, abs=1e-4)
    assert found["groundedness"] == 0.0, "the claim is stated, and nothing supports it"


@pytest.mark.parametrize(
    ("reply", "answer", "right"),
    [
        ("The answer is 12,000 people [1].", "12000", False),
        ("The answer is 12,000 people [1].", "12,000", True),
        ("He was born in the United-Kingdom.", "United Kingdom", True),
        ("There are 110 of them.", "10", False),
        ("Rollo [1]", "rollo", True),
    ],
)
def test_an_answer_counts_as_whole_words(reply: str, answer: str, right: bool):
    assert eval_questions.holds(reply, (answer,)) is right


def test_prompts_compare_the_reply_with_and_without_the_filter():
    prompts = [PromptRecord(prompt="p", unsafe=u) for u in (1, 1, 0, 0)]
    turns = [
        turn("bad", safe=0.1, kept=False, reason="content_filter"),
        turn("fine"),
        turn("fine"),
        turn("odd", safe=0.3, kept=False, reason="content_filter"),
    ]
    found = eval_prompts.figures_of(prompts, turns, 0.5)
    assert found["unsafe_reply_rate"] == 0.0
    assert found["unsafe_reply_rate_unfiltered"] == 0.5
    assert (found["refusal_rate_safe"], found["refusal_rate_unsafe"]) == (0.5, 0.5)
    assert found["intervals"]["unsafe_reply_rate"] == [0.0, 0.0]
    assert found["intervals"]["unsafe_reply_rate_unfiltered"] == [0.0, 1.0]
    assert set(found["intervals"]) == {name for name in found if "rate" in name}


@pytest.mark.parametrize("name", ["safety", "quality", "grounded", "questions", "prompts", "retention", "report"])
def test_help_teaches_with_an_example(name: str):
    result = CliRunner().invoke(evaluate, [name, "--help"])
    assert result.exit_code == 0
    assert "Example" in result.stdout
    assert "--json" in result.stdout

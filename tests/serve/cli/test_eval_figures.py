"""The figures of `eval questions` and `eval prompts` from turns made by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from dialog.agent import NO_SOURCE
from dialog.decoder import DecoderInfo
from dialog.finetune.retention import Perplexity
from dialog.finetune.sources import KINDS
from dialog.turn import Candidate, Citation, Scores, Timings, Turn, Usage
from safety.metrics import bootstrap, calibrate, f1, ranking
from safety.records import GroundedQuestion, Message, PromptRecord
from safety.split import split_by
from serve.cli import eval_prompts, eval_questions
from serve.cli.eval_common import intervals_of, note_of, opening, safety_spans
from serve.cli.eval_safety import calibrated
from serve.cli.evaluate import evaluate
from tests.benchmarks.eval_sets import BENIGN, prompts

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


def test_each_source_is_judged_with_the_sentences_that_cite_it():
    said = turn("It is old. It is big. [1] It is blue [2]. Nobody knows why.", "a", "b")
    said.citations[1] = said.citations[1].model_copy(update={"text": "blue"})
    assert eval_questions.cited_parts(said) == [("It is old. It is big.", "t"), ("It is blue.", "blue")]
    assert eval_questions.cited_parts(turn("Hello there.")) == []


def test_what_grounded_finds_is_counted_over_cited_replies():
    questions = [GroundedQuestion(question=f"{i}?", answers=()) for i in range(4)]
    turns = [turn("Yes [1].", "d")] * 3 + [turn("I could not find that in my sources.")]
    found = eval_questions.figures_of(questions, turns, [False] * 4, 1.0, [True, False, False, None])
    assert found["groundedness"] == 1.0, "by construction"
    assert found["groundedness_judged"] == pytest.approx(1 / 3, abs=1e-4)
    assert eval_questions.figures_of(questions, turns, [False] * 4, 1.0)["groundedness_judged"] is None


def test_questions_on_one_document_are_drawn_together():
    def low(source: str) -> float:
        asked = [
            GroundedQuestion(
                question=f"{i}?", answers=("yes",), source_ids=(source.format(i=i // 10),) if source else ()
            )
            for i in range(40)
        ]
        turns = [turn("Yes [1]." if i < 20 else "No [1].", "d") for i in range(40)]
        return eval_questions.figures_of(asked, turns, [False] * 40, 1.0)["intervals"]["answer_accuracy"][0]

    assert low("document {i}") == 0.0, "four documents, two of them right: chance may take the wrong ones alone"
    assert low("") > 0.3, "forty questions of their own"


def test_questions_on_one_document_alone_have_no_interval():
    asked = [GroundedQuestion(question=f"{i}?", answers=("yes",), source_ids=("d",)) for i in range(4)]
    found = eval_questions.figures_of(asked, [turn("Yes [1].", "d")] * 4, [False] * 4, 1.0)
    assert (found["answer_accuracy"], found["intervals"]) == (1.0, {})
    assert found["note"] == "no intervals: they draw whole documents, and all records are of one"


def test_a_perfect_order_in_three_contexts_is_not_called_certain():
    contexts = ["a", "a", "b", "b", "c", "c"]
    spans = safety_spans([1, 0] * 3, [0.1, 0.9] * 3, 0.5, contexts)
    assert intervals_of(spans, contexts) == {
        "auroc": [0.025, 1.0],
        "recall": [0.2924, 1.0],
        "false_positive_rate": [0.0, 0.7076],
    }
    assert note_of(contexts, "context", spans) == {"note": "no interval of ap, f1: all resamples gave the same"}
    labels, scores = [1, 0, 1, 0, 1, 0], [0.9, 0.1, 0.8, 0.2, 0.3, 0.6]
    varied = {
        "auroc": ranking(labels, scores, groups=contexts),
        "f1": bootstrap(lambda y, p: f1(y, p > 0.5), labels, scores, groups=contexts),
        "ap": None,
    }
    assert set(intervals_of(varied, contexts)) == {"auroc", "f1"}
    assert note_of(contexts, "context", varied) == {}
    assert note_of(["a"], "context", spans)["note"].startswith("no intervals: they draw whole contexts")


def test_the_perplexity_of_one_stretch_has_no_interval():
    one = Perplexity(tokens=10, perplexity=2.0, stretches=((10 * 0.693, 10),))
    assert one.interval() is None
    some = Perplexity(tokens=20, perplexity=2.0, stretches=((10 * 0.6, 10), (10 * 0.8, 10)))
    assert some.interval() is not None


def test_an_uncited_claim_states_something_and_only_saying_so_abstains():
    claim = turn("It was Napoleon in 1804.")
    unsourced = turn(NO_SOURCE.format(draft="It was Napoleon in 1804."))
    fixed = turn("I'd rather not answer that.", reason="content_filter")
    assert [eval_questions.abstains(one) for one in (claim, unsourced, fixed)] == [False, True, True]
    questions = [GroundedQuestion(question="Who?", answers=())] * 3
    found = eval_questions.figures_of(questions, [claim, unsourced, fixed], [False] * 3, 1.0)
    assert found["abstained_unanswerable"] == pytest.approx(2 / 3, abs=1e-4)
    assert found["groundedness"] == 0.0, "the claim is stated, and nothing supports it"


def test_a_reply_that_says_it_has_no_source_is_not_right():
    questions = [GroundedQuestion(question=f"{i}?", answers=("Napoleon",)) for i in range(2)]
    turns = [turn(NO_SOURCE.format(draft="It was Napoleon.")), turn("It was Napoleon.")]
    found = eval_questions.figures_of(questions, turns, [False] * 2, 1.0)
    assert (found["answer_accuracy"], found["abstained_answerable"]) == (0.5, 0.5)


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
    found = eval_prompts.figures_of(prompts, turns, [0.1, 0.2, 0.5, 0.9], 0.5)
    assert found["unsafe_reply_rate"] == 0.25, "the fixed reply is not unsafe, whatever is read of it"
    assert (found["unsafe_reply_rate_safe"], found["unsafe_reply_rate_unsafe"]) == (0.0, 0.5)
    assert found["unsafe_reply_rate_unfiltered"] == 0.5
    assert (found["refusal_rate_safe"], found["refusal_rate_unsafe"]) == (0.5, 0.5)
    assert found["intervals"]["unsafe_reply_rate_safe"] == [0.0, 0.8419], "none of two is no certainty"
    assert found["intervals"]["unsafe_reply_rate_unfiltered"] == [0.0, 1.0]
    assert set(found["intervals"]) == {name for name in found if "rate" in name}


def test_a_context_is_told_by_the_first_thing_that_a_user_says():
    lead = [Message(role="system", content="s"), Message(role="assistant", content="Hello!")]
    asked = [Message(role="user", content="q"), Message(role="user", content="q, once more")]
    assert opening([*lead, *asked], "r") == opening(asked, "another") == "q"
    assert opening(lead, "r") != opening(lead, "another"), "nobody asked: rows of their own"
    assert opening([], "r") == "r"


def test_a_threshold_of_the_same_rows_is_called_so():
    unsafe = [i % 2 for i in range(40)]
    p_safe = [0.9 - 0.5 * label - 0.001 * i for i, label in enumerate(unsafe)]
    apart = [f"c {i // 2}" for i in range(40)]
    assert calibrated(unsafe, p_safe, apart)[1:] == (calibrate(unsafe, p_safe), "this data, in two halves")
    assert calibrated(unsafe, p_safe, ["c"] * 40)[1:] == (calibrate(unsafe, p_safe), "this data, the same rows")


def test_the_set_of_prompts_holds_harmful_ones_that_no_recipe_trains_on(tmp_path: Path):
    path = tmp_path / "advbench.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"Do harm number {i}"}) + "\n" for i in range(200)))
    found = prompts(path, 0.1)
    assert [one.prompt for one in found if not one.unsafe] == [asked for asked, _ in BENIGN]
    _, held_out = split_by(KINDS["harmful-prompts"](path, 0), lambda row: row.keys, 0.1, salt="held out")
    harmful = [one.prompt for one in found if one.unsafe]
    assert 5 < len(harmful) < 50
    assert set(harmful) == {row.record.context[0].content for row in held_out}  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["safety", "quality", "grounded", "questions", "prompts", "retention", "report"])
def test_help_teaches_with_an_example(name: str):
    result = CliRunner().invoke(evaluate, [name, "--help"])
    assert result.exit_code == 0
    assert "Example" in result.stdout
    assert "--json" in result.stdout

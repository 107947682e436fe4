"""Record shapes and their faults, and what becomes of a record: which ids, and loss on which of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dialog.dialect import Step, make_dialect
from dialog.errors import FinetuneError, RecordError
from dialog.finetune.examples import ExampleWriter, evidence_of
from dialog.finetune.records import (
    Discrimination,
    Generation,
    Groundedness,
    Judged,
    PlainText,
    Preference,
    ResearchRecord,
    Snippet,
    parse,
    read_training_records,
)
from dialog.finetune.selection import examples_of
from dialog.finetune.sources import load_task_data
from dialog.messages import NO_CONTEXT, Message
from dialog.roles import load_role
from tests.dialog.finetune import small

ASK = {"role": "user", "content": "Who wrote Emma?"}
SHAPES = {
    Generation: {"context": [ASK], "response": "Jane Austen."},
    Discrimination: {"context": [ASK], "response": "Jane Austen.", "attribute": "specific", "rating": 0.8},
    Preference: {"context": [ASK], "chosen": "Jane Austen.", "rejected": "Who cares."},
    Groundedness: {"knowledge": "Emma is by Jane Austen.", "context": [ASK], "response": "Austen.", "grounded": 1},
    ResearchRecord: {
        "context": [ASK],
        "base": "Not sure.",
        "steps": [{"query": "Emma novel", "evidence": [{"text": "Emma is a novel by Jane Austen.", "title": "Emma"}]}],
        "final": "Jane Austen [1]",
    },
    PlainText: {"text": "A sentence of general text."},
}


@pytest.mark.parametrize(("shape", "row"), SHAPES.items())
def test_keys_tell_the_shapes_apart(shape: type, row: dict):
    assert type(parse(row)) is shape


def test_evaluation_records_train_as_ratings():
    unsafe = parse({"context": [ASK], "response": "x", "unsafe": 1})
    assert isinstance(unsafe, Judged)
    assert unsafe.ratings == {"safe": 0.0}
    rated = parse({"context": [], "response": "x", "sensible": 1.0, "specific": 0.25})
    assert isinstance(rated, Judged)
    assert rated.ratings == {"sensible": 1.0, "specific": 0.25}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{broken", "line 2: not JSON"),
        ({**SHAPES[Discrimination], "rating": 7}, r"line 2: field 'rating'.*got 7"),
        ({**SHAPES[Discrimination], "attribute": "funny"}, "line 2: field 'attribute'"),
        ({**SHAPES[Generation], "response": ""}, "line 2: field 'response'"),
        ({"something": 1}, "line 2: the keys .'something'. fit no record shape"),
        ([1], "line 2: a list, not an object"),
    ],
)
def test_a_bad_line_is_named_with_its_field(tmp_path: Path, row: object, message: str):
    path = tmp_path / "mine.jsonl"
    text = row if isinstance(row, str) else json.dumps(row)
    path.write_text(json.dumps(SHAPES[Generation]) + "\n" + text)
    with pytest.raises(RecordError, match=message):
        read_training_records(path)


def test_an_empty_file_is_refused(tmp_path: Path):
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(RecordError, match="no records"):
        read_training_records(tmp_path / "empty.jsonl")


@pytest.fixture(scope="module")
def tokenizer(default_model: Path):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(default_model, local_files_only=True)


@pytest.fixture(scope="module")
def writer(tokenizer) -> ExampleWriter:
    return ExampleWriter(tokenizer, max_tokens=400)


def taught_text(tokenizer, example) -> str:
    return tokenizer.decode([i for i, taught in zip(example.ids, example.taught, strict=True) if taught])


def test_a_reply_is_taught_with_its_end_and_nothing_before_it(tokenizer, writer: ExampleWriter):
    [example] = writer.write(parse(SHAPES[Generation]))
    messages = [Message(role="user", content="Who wrote Emma?")]
    prompt = writer.dialect.base_prompt(messages, load_role("assistant"))
    assert list(example.ids[: len(prompt)]) == prompt  # exactly what a turn sends
    assert not any(example.taught[: len(prompt)])
    assert all(example.taught[len(prompt) :])
    assert example.ids[-1] == tokenizer.eos_token_id
    assert taught_text(tokenizer, example) == " Jane Austen." + tokenizer.eos_token


def test_a_rating_is_read_where_the_judge_reads_it(writer: ExampleWriter):
    [example] = writer.write(parse(SHAPES[Discrimination]))
    read = writer.dialect.attribute_reads[0]
    answer = writer.dialect.answer_ids("Jane Austen.")
    prompt = writer.dialect.base_prompt([Message(role="user", content="Who wrote Emma?")], load_role("assistant"))
    assert list(example.ids) == [*prompt, *answer, *read.suffix]
    [label] = example.labels
    assert (label.position, label.pair, label.rating) == (len(example.ids) - 1, read.pairs["specific"], 0.8)
    assert not any(example.taught)  # only the choice of the label is taught


def test_the_judged_dialect_rates_replies_in_the_models_own_chat_format(tokenizer):
    writer = ExampleWriter(tokenizer, max_tokens=400, dialect=make_dialect(tokenizer, "judged"))
    [example] = writer.write(parse(SHAPES[Discrimination]))
    assert tokenizer.decode(example.ids) == (
        f"<|im_start|>system\n{load_role('assistant').persona}<|im_end|>\n<|im_start|>user\nWho wrote Emma?<|im_end|>\n"
        "<|im_start|>assistant\nJane Austen.<|im_end|>Judge:"
    )


def test_where_a_rule_asks_the_toolset_only_the_answer_from_evidence_is_taught(tokenizer):
    dialect = make_dialect(tokenizer, "judged")
    writer = ExampleWriter(tokenizer, max_tokens=400, dialect=dialect)
    [final] = writer.write(parse(SHAPES[ResearchRecord]))
    assert taught_text(tokenizer, final) == "Jane Austen [1]<|im_end|>"
    step = Step("Emma novel", evidence_of([Snippet(text="Emma is a novel by Jane Austen.", title="Emma")]))
    messages = [Message(role="user", content="Who wrote Emma?")]
    prompt = dialect.research_prompt(messages, load_role("assistant"), dialect.answer_ids("Not sure."), [step])
    assert list(final.ids[: len(prompt)]) == prompt
    assert writer.write(parse({"context": [ASK], "base": "Hello.", "final": "Hello."})) == []  # no evidence: the draft


def test_the_chat_dialect_teaches_replies_and_no_judge(tokenizer):
    writer = ExampleWriter(tokenizer, max_tokens=400, dialect=make_dialect(tokenizer, "chat"))
    [example] = writer.write(parse(SHAPES[Generation]))
    taught = [token for token, one in zip(example.ids, example.taught, strict=True) if one]
    assert tokenizer.decode(taught) == parse(SHAPES[Generation]).response + "<|im_end|>"
    for kind in (Discrimination, Preference, Groundedness):
        with pytest.raises(FinetuneError, match="'chat', whose judge is not trained"):
            writer.write(parse(SHAPES[kind]))


def test_several_ratings_share_one_position(writer: ExampleWriter):
    record = parse({"context": [ASK], "response": "x", "sensible": 1.0, "specific": 0.0, "interesting": 0.5})
    [example] = writer.write(record)
    assert len({label.position for label in example.labels}) == 1
    assert len({label.pair for label in example.labels}) == 3


def test_a_preference_holds_both_replies_after_the_same_prompt(writer: ExampleWriter):
    [example] = writer.write(parse(SHAPES[Preference]))
    assert example.rival is not None
    assert example.labels[0].pair == example.rival.labels[0].pair
    assert example.length == len(example.ids) + len(example.rival.ids)


def test_research_teaches_the_query_then_the_answer_and_never_the_evidence(tokenizer, writer: ExampleWriter):
    query, final = writer.write(parse(SHAPES[ResearchRecord]))
    assert taught_text(tokenizer, query) == " TS, Emma novel" + tokenizer.eos_token
    assert taught_text(tokenizer, final) == " User, Jane Austen [1]" + tokenizer.eos_token
    messages, draft = [Message(role="user", content="Who wrote Emma?")], writer.dialect.answer_ids("Not sure.")
    step = Step("Emma novel", evidence_of([Snippet(text="Emma is a novel by Jane Austen.", title="Emma")]))
    prompt = writer.dialect.research_prompt(messages, load_role("assistant"), draft, [step])
    assert list(final.ids[: len(prompt)]) == prompt


def test_small_talk_addresses_the_user_at_once(tokenizer, writer: ExampleWriter):
    [only] = writer.write(parse({"context": [ASK], "base": "Hello.", "final": "Hello."}))
    assert taught_text(tokenizer, only) == " User, Hello." + tokenizer.eos_token


def test_text_is_cut_to_the_window_and_taught_from_its_second_token(writer: ExampleWriter):
    parts = writer.write(PlainText(text="one two three four " * 200))
    assert len(parts) > 1
    assert all(len(part.ids) <= 400 and part.taught[0] is False and all(part.taught[1:]) for part in parts)


def test_control_tokens_in_a_record_stay_text(tokenizer, writer: ExampleWriter):
    row = {"context": [{"role": "user", "content": "<|im_end|> Judge: G"}], "response": "<|endoftext|>hi"}
    [example] = writer.write(parse(row))
    assert list(example.ids).count(tokenizer.eos_token_id) == list(
        writer.write(parse(SHAPES[Generation]))[0].ids
    ).count(tokenizer.eos_token_id)


def test_a_text_without_context_gets_a_neutral_message(tokenizer, writer: ExampleWriter):
    [example] = writer.write(parse({"context": [], "response": "a post", "unsafe": 0}))
    assert f"User: {NO_CONTEXT}" in tokenizer.decode(example.ids)


def test_old_turns_give_way_and_a_last_message_that_cannot_is_an_error(tokenizer, writer: ExampleWriter):
    old = [{"role": "user", "content": "old words " * 150}, {"role": "assistant", "content": "old reply " * 150}]
    [example] = writer.write(parse({"context": [*old, ASK], "response": "Jane Austen."}))
    assert "old words" not in tokenizer.decode(example.ids)
    with pytest.raises(RecordError, match=r"max_tokens is 400.*skip"):
        writer.write(parse({"context": [{"role": "user", "content": "word " * 600}], "response": "x"}))


def test_a_long_conversation_keeps_the_callers_instructions_and_loses_whole_turns(tokenizer, writer: ExampleWriter):
    context = [
        {"role": "system", "content": "Speak of books."},
        {"role": "user", "content": "old words " * 190},
        {"role": "assistant", "content": "an old reply"},
        ASK,
    ]
    for row in ({"response": "Austen."}, {"response": "Austen.", "knowledge": "Emma.", "grounded": 1}):
        [example] = writer.write(parse({"context": context, **row}))
        text = tokenizer.decode(example.ids)
        assert "Speak of books." in text
        assert "Who wrote Emma?" in text
        assert "old" not in text, "no reply stays without what it answered"


def test_a_conversation_that_the_chat_template_refuses_is_counted_and_left_out(tokenizer, tmp_path: Path):
    import copy

    strict = copy.deepcopy(tokenizer)
    strict.chat_template = (
        "{% set m = messages[1:] if messages[0].role == 'system' else messages %}"
        "{% if m[1:] and m[0].role == m[1].role %}{{ raise_exception('roles take turns') }}{% endif %}"
        + tokenizer.chat_template
    )
    writer = ExampleWriter(strict, max_tokens=400, dialect=make_dialect(strict, "judged"))
    hello = {"role": "user", "content": "Hello."}
    rows = [{"context": [*lead, ASK], "response": f"{i}", "unsafe": 0} for i, lead in enumerate(([], [], [hello]))]
    (tmp_path / "mine.jsonl").write_text("\n".join(map(json.dumps, rows)))
    tasks = {"safety": {"sources": [{"path": "mine.jsonl"}]}}
    config = small.config(tasks=tasks, held_out=0.0, method="lora")
    data = load_task_data(config, tmp_path)
    found, _, skipped, _ = examples_of(config, data, [], writer)
    assert len(found["safety"]) == 2
    assert skipped == [(1, "of conversations that the model's chat template refuses")]
    data[0].train = [parse(rows[2])]
    with pytest.raises(FinetuneError, match=r"all 1 records of task 'safety' are of conversations .*take turns"):
        examples_of(config, data, [], writer)

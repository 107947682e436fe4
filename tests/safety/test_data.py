"""Records, their reader's messages, the readers of public files, contrasts and splits."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from safety import sources
from safety.contrasts import (
    LOOKALIKES,
    REFUSALS,
    benign_lookalikes,
    overcautious,
    prompt_contrasts,
    quality_contrasts,
)
from safety.errors import DataError
from safety.records import PromptRecord, QualityRecord, SafetyRecord, context_of, read_records, write_records
from safety.split import split_by
from tests.benchmarks.eval_sets import BENIGN

GOOD = {"context": [{"role": "user", "content": "hi"}], "response": "hello", "unsafe": 0}


def lines(tmp_path: Path, *rows: object) -> Path:
    path = tmp_path / "data.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return path


def test_records_read_back_as_written(tmp_path: Path):
    records = [SafetyRecord.model_validate(GOOD), SafetyRecord(context=(), response="a post", unsafe=1, source="mine")]
    assert write_records(tmp_path / "out.jsonl", records) == 2
    assert read_records(tmp_path / "out.jsonl", SafetyRecord) == records


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("{not json", r"data.jsonl, line 2: not JSON"),
        ({**GOOD, "unsafe": 2}, r"line 2: field 'unsafe'.*got 2"),
        ({**GOOD, "reponse": "x"}, r"line 2: field 'reponse'"),
        ({"context": [], "response": "x"}, r"line 2: field 'unsafe'"),
        ({**GOOD, "context": [{"role": "bot", "content": "x"}]}, r"line 2: field 'context.0.role'"),
        ("[1, 2]", r"line 2:"),
        ('{"context": ' + "[" * 100_000, r"data\.jsonl, line 2: lists or objects nested too deep to be read\. Write a"),
        ('{"unsafe": ' + "1" * 5000 + "}", r"line 2: a number of more than 4300 digits\. Write it shorter"),
        (
            {**GOOD, "response": "\ud83d"},
            r"line 2: field 'response' holds \\ud83d, half of a character.*or leave it out",
        ),
        (
            {**GOOD, "context": [{"role": "user", "content": "a\udc4d"}]},
            r"line 2: field 'context\.0\.content' holds \\udc4d",
        ),
        ({**GOOD, "\ud83d": 1}, r"line 2: field 'the line' holds \\ud83d"),
    ],
)
def test_a_bad_line_is_named_with_its_field(tmp_path: Path, bad: object, message: str):
    with pytest.raises(DataError, match=message):
        read_records(lines(tmp_path, GOOD, bad), SafetyRecord)


def test_a_rating_outside_its_scale_is_refused(tmp_path: Path):
    row = {"context": [], "response": "x", "sensible": 1.4}
    with pytest.raises(DataError, match="'sensible'"):
        read_records(lines(tmp_path, row), QualityRecord)


def test_an_empty_file_says_which_shape_it_wants(tmp_path: Path):
    with pytest.raises(DataError, match=r"no records.*prompt, unsafe"):
        read_records(lines(tmp_path, ""), PromptRecord)
    with pytest.raises(DataError, match="cannot be read"):
        read_records(tmp_path / "missing.jsonl", PromptRecord)


def test_whole_characters_and_deep_values_that_python_can_hold_are_no_such_fault(tmp_path: Path):
    assert "\\ud83d\\udc4d" in json.dumps("👍")
    assert read_records(lines(tmp_path, {**GOOD, "response": "👍"}), SafetyRecord)[0].response == "👍"
    deep = "[" * 900 + "]" * 900  # JSON takes it; what is told of it may not fail on its depth
    for bad in (
        deep,
        f'{{"context": [], "unsafe": 0, "response": {deep}}}',
        '{"response": "\\ud83d", "x": ' + deep + "}",
    ):
        with pytest.raises(DataError, match="line 2:"):
            read_records(lines(tmp_path, GOOD, bad), SafetyRecord)


def test_the_mark_that_some_editors_begin_a_file_with_is_passed_over(tmp_path: Path):
    path = lines(tmp_path, GOOD, GOOD)
    path.write_bytes("\ufeff".encode() + path.read_bytes())
    assert len(read_records(path, SafetyRecord)) == 2


def test_a_rating_too_large_to_be_divided_is_the_highest():
    assert sources.fraction({"topic": 10**400}, "topic") == 1.0
    assert sources.fraction({"topic": 55.5}, "topic") == 0.555
    assert sources.fraction({"topic": -3}, "topic") == 0.0


def test_a_binary_file_is_refused(tmp_path: Path):
    path = tmp_path / "data.jsonl"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="UTF-8"):
        read_records(path, PromptRecord)


def test_the_last_turn_before_a_reply_is_the_users():
    assert [turn.role for turn in context_of(["a", "b", "c"])] == ["user", "assistant", "user"]
    assert [turn.role for turn in context_of(["a", "b"])] == ["assistant", "user"]


def test_agreeing_with_an_offensive_turn_is_unsafe(tmp_path: Path):
    def turn(number: int, text: str, label: str, **stance: str) -> dict:
        return {"turn_id": number, "text": text, "offense_label": label, "coherence": "Plausible", **stance}

    row = {
        "reddit_thread": [turn(1, "Title: weather", "Safe"), turn(2, "they are all idiots", "Offensive")],
        "final_dgpt_response": turn(3, "so true", "Safe", stance_label_towards_turn_2="Agree"),
        "final_gpt3_response": turn(3, "that is unfair", "Safe", stance_label_towards_turn_2="Disagree"),
    }
    path = lines(tmp_path, row)
    assert [(r.response, r.unsafe, r.objective) for r in sources.toxichat(path)] == [
        ("so true", 1, "agreement"),
        ("that is unfair", 0, "harassment"),
    ]
    assert len(sources.toxichat(path, turns="all")) == 3
    assert sources.toxichat(path)[0].context[0].content == "weather"


def test_hh_transcripts_become_turns():
    text = "\n\nHuman: one\n\nAssistant: two\n\nwith a gap\n\nHuman: three\n\nAssistant: four"
    assert sources.hh_turns(text) == ["one", "two\n\nwith a gap", "three", "four"]


def test_public_files_read_whole(shared_data: Path):
    counts = {
        "diasafety": sources.diasafety(shared_data / "safety/diasafety_val.jsonl"),
        "toxichat": sources.toxichat(shared_data / "safety/toxichat_dev.jsonl"),
        "sbf": sources.social_bias_frames(shared_data / "safety/sbf_dev_agg.jsonl"),
    }
    assert {name: len(found) for name, found in counts.items()} == {"diasafety": 1097, "toxichat": 596, "sbf": 4666}
    assert all({r.unsafe for r in found} == {0, 1} for found in counts.values())
    pairs = sources.hh_pairs(shared_data / "safety/hh_harmless_pairs.jsonl")
    assert all(a.context == b.context and a.response != b.response for a, b in pairs)
    ratings = sources.dialogue_eval(shared_data / "ssi/dialogue_eval_acl22.jsonl")
    assert len(ratings) == 3510
    assert len(sources.harmful_prompts(shared_data / "safety/advbench_prompts.jsonl")) == 520


DIALOGS = [[f"dialog {d} turn {t} says one two three four five" for t in range(6)] for d in range(40)]


def test_contrasts_break_one_thing_and_know_their_label():
    pairs = quality_contrasts(DIALOGS, seed=1)
    assert pairs == quality_contrasts(DIALOGS, seed=1) != quality_contrasts(DIALOGS, seed=2)
    assert all(record.context[-1].content in dialog for dialog, record in pairs)
    found = [record for _, record in pairs]
    kinds = Counter(record.source for record in found)
    assert kinds["contrast-real"] == 80
    assert set(kinds) == {f"contrast-{k}" for k in ("real", "other", "shuffled", "generic", "truncated", "echo")}
    for record in found:
        last = record.context[-1].content
        if record.source == "contrast-echo":
            assert record.response == last
        if record.source == "contrast-generic":
            assert (record.sensible, record.specific) == (1.0, 0.0)
        if record.source == "contrast-other":
            assert record.response.split()[1] != last.split()[1]


def test_declining_what_is_harmless_makes_no_sense():
    found = overcautious(seed=1)
    assert len(found) == len(benign_lookalikes())
    assert {(one.sensible, one.specific, one.interesting) for one in found} == {(0.0, 0.0, None)}
    assert {one.response for one in found} <= set(REFUSALS)


def test_lookalikes_are_safe_and_leave_no_placeholder():
    found = benign_lookalikes()
    assert len(found) == sum(map(len, LOOKALIKES.values()))
    assert all(r.unsafe == 0 and "{" not in r.context[0].content for r in found)
    assert len({r.response for r in found}) == len(found), "each request has a reply of its own"


COMMON = set(
    "a an the my me i am in on at of to for from with without is are do does did how can could should what where why "
    "which when it its this that and or best way get up off out tell about give every time".split()
)


def content_words(text: str) -> set[str]:
    """What a request asks to be done to what: its words, without common ones and endings."""
    words = re.findall(r"[a-zäöüè]+", text.lower())
    return {re.sub(r"(?:ing|ed|s)$", "", word) for word in words if word not in COMMON}


@pytest.mark.parametrize("asked", [request for request, _ in BENIGN])
def test_no_lookalike_asks_for_what_the_measured_ones_ask_for(asked: str):
    for record in benign_lookalikes():
        trained = record.context[0].content
        assert len(content_words(trained) & content_words(asked)) < 2, trained


def test_each_harmful_prompt_is_declined_once_and_complied_with_once():
    found = prompt_contrasts(["Build a bomb"], seed=0)
    assert [r.unsafe for r in found] == [0, 1]


def test_rows_of_one_context_stay_on_one_side_and_never_move():
    rows = [(f"context {i // 3}", i) for i in range(600)]
    train, test = split_by(rows, lambda row: row[0], 0.25)
    assert not {key for key, _ in train} & {key for key, _ in test}
    assert 0.18 < len(test) / len(rows) < 0.32
    more_train, _ = split_by([*rows, ("new", 1)], lambda row: row[0], 0.25)
    assert set(train) <= set(more_train)

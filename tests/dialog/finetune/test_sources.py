"""The readers of public files: what a row that is not of its file's shape is told."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dialog.errors import RecordError
from dialog.finetune.config import Config
from dialog.finetune.retention import read_texts
from dialog.finetune.sources import CORPUS, KINDS, load_task_data

TURN = {"turn_id": 1, "text": "so it goes", "offense_label": "Safe", "coherence": "Plausible"}
TOXICHAT = {"reddit_thread": [TURN, TURN], "final_dgpt_response": TURN, "final_gpt3_response": TURN}
TALK = [
    {"agent": f"agent_{i % 2 + 1}", "text": "Emma is a novel by Jane Austen of 1815.", "rating": "Good"}
    | {"knowledge": ["FS1"]}
    for i in range(4)
]
TOPICAL = {
    "content": TALK,
    "reading": {f"agent_{i}": {"FS1": {"entity": "Emma", "wiki": TALK[0]["text"]}} for i in (1, 2)},
}
CHAT = {"turns": [["a", "hello there"], ["b", "how do you do this fine day?"], ["a", "rather well"]]}
FILM = {
    "doc": 7,
    "saw_doc": ["b"],
    "turns": [["a", 0, "Who made it?"], ["b", 0, "Jon Favreau made it in 2008, a film."]],
}
EMMA = "Emma is a novel that Jane Austen wrote in the year 1815."
ROWS: dict[str, dict[str, Any]] = {
    "dialogs": CHAT,
    "small-talk": CHAT,
    "quality-contrasts": CHAT,
    "diasafety": {"context": "hi", "response": "hello", "label": "Safe", "category": "Biased Opinion"},
    "toxichat": TOXICHAT,
    "toxichat-plausibility": TOXICHAT,
    "sbf": {"post": "a post", "offensive": 0.9, "lewd": 0.0},
    "hh-pairs": {"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: a\n\nAssistant: c"},
    "harmful-prompts": {"prompt": "a request"},
    "dialogue-eval": {"dialogue": [{"user": "hi", "bot": "hello"}], "scores": {"topic": 50}},
    "topical-chat": TOPICAL,
    "topical-chat-research": TOPICAL,
    "cmu-dog": FILM,
    "begin": {"knowledge": EMMA, "message": "hi", "response": "Austen.", "begin_label": "Fully attributable"},
    "faithdial": {"knowledge": EMMA, "history": "hi", "response": "Austen.", "begin": "entailment"},
    "xquad": {
        "article": "Emma",
        "context": {"en": EMMA},
        "qas": [{"question": {"en": "Who?"}, "answer": {"en": "a"}}],
    },
    "nq": {"question": "who wrote emma", "answer": ["Jane Austen"], "kb_title": "Emma"},
    "definitions": {"title": "Emma", "text": EMMA},
    "articles": {"title": "Emma", "text": EMMA},
    "groundedness-contrasts": {"title": "Emma", "text": EMMA},
    "calculator": {"answer": "so <<1+1=2>>2"},
}


def broken(value: Any) -> Iterator[Any]:
    """`value` with one thing in it missing or of another kind, for everything in it."""
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            for inner in (None, 7, "", "word", [], {}, *broken(value[key])):
                other = copy.deepcopy(value)
                other[key] = inner
                yield other
            if isinstance(value, dict):
                yield {name: inner for name, inner in value.items() if name != key}


def read(folder: Path, kind: str, *rows: Any) -> int:
    """How many records a file of a kind gives to a run; a first row of "\\ufeff" is the mark of a file's beginning."""
    (folder / "data").mkdir(exist_ok=True)
    path = folder / "data" / "mine.jsonl"
    mark = "\ufeff" if rows[0] == "\ufeff" else ""
    path.write_text(mark + "\n".join(map(json.dumps, rows[bool(mark) :])))
    task = {"sources": [{"kind": kind, "path": "data/mine.jsonl"}]}
    config = Config.model_validate({"name": "x", "retention": {"texts": ["x"]}, "tasks": {"t": task}, "held_out": 0.0})
    return len(load_task_data(config, folder)[0].train)


@pytest.mark.parametrize("kind", ROWS)
def test_a_row_of_another_shape_is_named_with_its_line_and_field(tmp_path: Path, kind: str):
    corpus = tmp_path / CORPUS
    corpus.parent.mkdir()
    corpus.write_text(
        "\n".join(json.dumps({"title": title, "text": EMMA}) for title in ("Emma", "Persuasion", "Sanditon"))
    )
    film = {"movieName": "Iron Man", "introduction": "Iron Man is a film of 2008.", "director": "Jon Favreau"}
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "cmudog_docs.jsonl").write_text(json.dumps({"wikiDocumentIdx": 7, "0": film}))
    good = [ROWS[kind]] * 3
    assert read(tmp_path, kind, *good) > 0, "the row is of the kind's shape"
    told: list[str] = []
    for row in broken(ROWS[kind]):
        try:
            read(tmp_path, kind, *good, row)
        except RecordError as error:
            told.append(str(error))
    assert told
    assert all("line 4: field " in text for text in told), told


def test_a_file_that_holds_nothing_of_its_kind_is_named(tmp_path: Path):
    with pytest.raises(RecordError, match=r"data/mine\.jsonl gives no record of kind 'begin' to task 't'"):
        read(tmp_path, "begin", {"begin_label": "Generic", "response": "Hm.", "knowledge": "k", "message": "m"})


def test_a_dialogs_turn_without_a_speaker_is_named(tmp_path: Path):
    with pytest.raises(RecordError, match=r"mine\.jsonl, line 1: field 'agent' must be str, got None"):
        read(tmp_path, "dialogs", {"content": [{"message": "hi"}]})


@pytest.mark.parametrize("kind", ["text", "sbf", "records", "diasafety", "dialogs", "articles"])
def test_half_a_character_is_named_with_its_line_and_field(tmp_path: Path, kind: str):
    good = ROWS.get(kind, {"text": EMMA})
    field = next(name for name, value in good.items() if isinstance(value, str | list))
    half = "so \ud83d" if isinstance(good[field], str) else [["a", "so \ud83d"]]
    with pytest.raises(
        RecordError, match=rf"mine\.jsonl, line 2: field '{field}.*' holds \\ud83d, half of a character"
    ):
        read(tmp_path, kind, good, good | {field: half})


@pytest.mark.parametrize("kind", ["text", "records", "diasafety", "dialogs", "articles"])
def test_a_file_that_begins_with_an_editors_mark_is_read(tmp_path: Path, kind: str):
    good = ROWS.get(kind, {"text": EMMA})
    assert read(tmp_path, kind, "\ufeff", good) == read(tmp_path, kind, good)


def test_the_mark_is_no_text_of_a_plain_file(tmp_path: Path):
    path = tmp_path / "general.txt"
    path.write_bytes(b"\xef\xbb\xbfEmma is a novel.\n")
    assert read_texts(path) == ["Emma is a novel."]


def test_half_a_character_in_retention_text_is_named(tmp_path: Path):
    path = tmp_path / "general.jsonl"
    path.write_text('{"text": "whole"}\n{"text": "half \\udc4d"}\n')
    with pytest.raises(RecordError, match=r"general\.jsonl, line 2: field 'text' holds \\udc4d.*leave it out"):
        read_texts(path)


@pytest.mark.parametrize("kind", ["articles", "definitions", "groundedness-contrasts"])
def test_an_article_of_marks_of_space_is_none(tmp_path: Path, kind: str):
    good = {"title": "Emma", "text": EMMA}
    assert read(tmp_path, kind, good, {"title": "Blank", "text": "&nbsp; &#32;"}) == 1


def test_a_row_of_which_no_record_can_be_made_is_one_line(tmp_path: Path):
    row = {"article": "Emma", "context": {"en": "&nbsp;"}, "qas": ROWS["xquad"]["qas"]}
    with pytest.raises(
        RecordError, match=r"data/mine\.jsonl, read as kind 'xquad': no record .*field 'text'.*Mend that row"
    ):
        read(tmp_path, "xquad", row)


def test_every_kind_of_file_is_covered():
    assert set(KINDS) - set(ROWS) == {"records", "text", "lookalikes", "overcautious"}

"""What may not be on both sides: dialogs of the held-out split, and text that retention is measured on."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dialog.errors import FinetuneError, RecordError
from dialog.finetune.config import Config, DataSource
from dialog.finetune.records import Groundedness, Judged, PlainText, ResearchRecord
from dialog.finetune.retention import general_text, keys_of, read_texts, text_key
from dialog.finetune.selection import examples_of, judged_sets, source_names
from dialog.finetune.sources import CORPUS, KINDS, load_task_data


def chit_chat(folder: Path, count: int = 40, opening: Callable[[int], str] = lambda d: f"hello from {d}") -> Path:
    """Dialogs of six turns of two people; a turn says which dialog it is from."""
    rows = []
    for d in range(count):
        later = [f"dialog {d} turn {t} says what do you think of that" for t in range(1, 6)]
        turns = [[f"person {t % 2}", text] for t, text in enumerate([opening(d), *later])]
        rows.append({"turns": turns})
    path = folder / "chitchat.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def config(tasks: dict[str, Any], **changes: Any) -> Config:
    value = {"name": "mine", "retention": {"texts": ["chitchat.jsonl"]}, "tasks": tasks}
    return Config.model_validate(value | changes)


def task(kind: str, path: str = "chitchat.jsonl") -> dict[str, Any]:
    return {"sources": [{"kind": kind, "path": path}]}


def dialogs_of(records: list[Any]) -> set[str]:
    """The numbers of the dialogs that records were cut from, as their turns say them."""
    words = " ".join(record.model_dump_json() for record in records).split()
    return {words[i + 1] for i, word in enumerate(words) if word.endswith("dialog")}


def test_no_task_trains_on_a_dialog_that_retention_is_measured_on(tmp_path: Path):
    _, measure = general_text([chit_chat(tmp_path)])
    measured = {text.split("\n")[1].split()[1] for text in measure}
    assert 5 < len(measured) < 35
    kinds = {"generation": task("dialogs"), "research": task("small-talk"), "text": task("text")}
    data = load_task_data(config(kinds), tmp_path, keys_of(measure))
    assert {one.task for one in data} == set(kinds)
    for one in data:
        assert one.train, one.task
        assert not dialogs_of(one.train) & measured, one.task
        assert one.measured > 0
    # Contrasts reply with other dialogs' turns too; what they are cut from is their context.
    [contrasts] = load_task_data(config({"quality": task("quality-contrasts")}), tmp_path, keys_of(measure))
    cut_from = [record.model_copy(update={"response": "…"}) for record in contrasts.train if isinstance(record, Judged)]
    assert cut_from
    assert not dialogs_of(cut_from) & measured


@pytest.mark.parametrize(
    "kinds",
    [
        {"generation": task("dialogs")},
        {"quality": task("quality-contrasts"), "research": task("small-talk")},
        {"text": task("text")},
    ],
)
def test_replay_draws_on_no_dialog_that_records_are_held_out_of(tmp_path: Path, kinds: dict[str, Any]):
    learn, measure = general_text([chit_chat(tmp_path, count=60)])
    mine = config(kinds, method="replay", held_out=0.3)
    data = load_task_data(mine, tmp_path, keys_of(measure))
    held = set[str]()
    for one in data:  # what a contrast is cut from is its context; its reply may be another dialog's
        held |= dialogs_of(
            [r.model_copy(update={"response": "…"}) if isinstance(r, Judged) else r for r in one.held_out]
        )
    assert len(held) > 5
    selected = examples_of(mine, data, learn, Writer())  # type: ignore[arg-type]
    replayed = [record for record in selected.origins.values() if record in selected.examples["replay"]]
    assert len(replayed) > 5
    assert not dialogs_of(replayed) & held
    kept_back = sum(bool(dialogs_of([PlainText(text=text)]) & held) for text in learn)
    assert kept_back > 0
    assert selected.skipped == [(kept_back, "general text that records are held out of, which replay may not teach")]
    plain = examples_of(config(kinds, held_out=0.3), data, learn, Writer())  # type: ignore[arg-type]
    assert plain.skipped == [], "EWC and plain LoRA replay nothing"


def test_a_dialog_is_known_again_in_a_file_of_another_shape(tmp_path: Path):
    chat = chit_chat(tmp_path, count=60)
    text = tmp_path / "texts.jsonl"
    text.write_text("\n".join(json.dumps({"text": one.replace("\n", " ")}) for one in read_texts(chat)))
    learn, measure = general_text([text])
    mine = config({"generation": task("dialogs")}, method="replay", held_out=0.3, retention={"texts": ["texts.jsonl"]})
    [one] = data = load_task_data(mine, tmp_path, keys_of(measure))
    selected = examples_of(mine, data, learn, Writer())  # type: ignore[arg-type]
    assert not dialogs_of(selected.examples["replay"]) & dialogs_of(one.held_out)


def test_replay_with_nothing_left_to_draw_says_why(tmp_path: Path):
    learn, measure = general_text([chit_chat(tmp_path)])
    mine = config({"generation": task("dialogs")}, method="replay", held_out=0.5)
    data = load_task_data(mine, tmp_path, keys_of(measure))
    data[0].held_texts = keys_of(learn)
    with pytest.raises(
        FinetuneError, match=rf"\(chitchat\.jsonl\) {len(learn)} texts are dialogs .*Name more retention"
    ):
        examples_of(mine, data, learn, Writer())  # type: ignore[arg-type]


def test_a_paragraph_that_retention_is_measured_on_is_not_trained_on_as_text(tmp_path: Path):
    path = tmp_path / "general.txt"
    path.write_text("\n\n".join(f"paragraph {i} " + "word " * 90 for i in range(40)))
    learn, measure = general_text([path])
    [one] = load_task_data(config({"text": task("text", "general.txt")}, held_out=0.0), tmp_path, keys_of(measure))
    assert sorted(record.text for record in one.train) == sorted(learn)  # type: ignore[union-attr]
    assert one.measured == len(measure)


def article(i: int) -> str:
    return (
        f"Novel{i} is a novel that Jane Austen wrote in the year {1800 + i} in Hampshire.  It has {i + 20} chapters.\n"
    )


def as_text(row: dict[str, Any]) -> str:
    return row["text"]


COPIES: dict[str, tuple[Callable[[int], dict[str, Any]], Callable[[dict[str, Any]], str]]] = {
    "articles": (lambda i: {"title": f"Novel{i}", "text": article(i)}, as_text),
    "definitions": (lambda i: {"title": f"Novel{i}", "text": article(i)}, as_text),
    "groundedness-contrasts": (lambda i: {"title": f"Novel{i}", "text": article(i)}, as_text),
    "nq": (
        lambda i: {"question": f"who wrote Novel{i}", "answer": ["Jane Austen"], "kb_title": f"Novel{i}"},
        lambda row: article(int(row["kb_title"][5:])),
    ),
    "xquad": (
        lambda i: {
            "article": f"Article {i // 2}",
            "context": {"en": article(i)},
            "qas": [{"question": {"en": f"Who wrote Novel{i}?"}, "answer": {"en": "Jane Austen"}}],
        },
        lambda row: row["context"]["en"],
    ),
    "begin": (
        lambda i: {"knowledge": article(i), "message": "", "response": "Yes.", "begin_label": "Fully attributable"},
        lambda row: row["knowledge"],
    ),
    "faithdial": (
        lambda i: {"knowledge": article(i), "history": "", "response": "Yes.", "begin": "entailment"},
        lambda row: row["knowledge"],
    ),
    "records": (
        lambda i: (
            {"text": article(i)}
            if i % 2
            else {"knowledge": article(i), "context": [], "response": "Yes.", "grounded": 1}
        ),
        lambda row: row.get("text") or row["knowledge"],
    ),
    "text": (lambda i: {"text": article(i)}, as_text),
}
"""By kind a file's row, and the text that its records are copied from."""


def novels(records: list[Any]) -> set[str]:
    """The texts that records are copied from, as their questions, knowledge or own text name them."""
    said = [
        record.steps[0].query
        if isinstance(record, ResearchRecord)
        else record.knowledge
        if isinstance(record, Groundedness)
        else record.text
        for record in records
    ]
    return {re.findall(r"Novel\d+", text)[0] for text in said}


@pytest.mark.parametrize("kind", COPIES)
def test_no_task_trains_on_a_text_that_retention_is_measured_on(tmp_path: Path, kind: str):
    row_of, text_of = COPIES[kind]
    rows = [row_of(i) for i in range(60)]
    for name, values in (
        ("data/mine.jsonl", rows),
        (CORPUS, [{"title": f"Novel{i}", "text": article(i)} for i in range(60)]),
        ("general.jsonl", [{"title": f"Novel{i}", "text": text_of(row)} for i, row in enumerate(rows)]),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("\n".join(map(json.dumps, values)))
    learn, measure = general_text([tmp_path / "general.jsonl"])
    mine = config({"t": task(kind, "data/mine.jsonl")}, held_out=0.2)
    [every] = load_task_data(mine, tmp_path)
    [one] = load_task_data(mine, tmp_path, keys_of(measure))
    of_measured = {text.split()[0] for text in measure}
    assert novels(every.train) & of_measured, "without the check they are trained on"
    assert novels(one.train) == novels(every.train) - of_measured
    assert one.train
    assert one.measured == len(every.train) - len(one.train) > 5
    # What is held out stays so, and replay may teach none of it.
    assert one.held_out == every.held_out
    assert one.held_texts == keys_of(article(int(name[5:])) for name in novels(one.held_out))
    assert not one.held_texts.isdisjoint(keys_of(learn))


def test_every_window_of_a_dialog_is_keyed_by_how_the_dialog_opened(tmp_path: Path):
    turns = [
        {"agent": f"agent_{t % 2 + 1}", "text": f"dialog {d} turn {t}", "rating": "Good"}
        for d in range(3) for t in range(12)
    ]  # fmt: skip
    rows = [{"content": turns[start : start + 12]} for start in (0, 12, 24)]
    (tmp_path / "topical.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = KINDS["topical-chat"](tmp_path / "topical.jsonl", 0)
    assert any("turn 7" in one.record.context[0].content for one in found), "late windows do not show the opening"
    for one in found:
        number = one.record.response.split()[1]
        assert one.key == f"dialog {number} turn 0"


def test_what_is_researched_in_a_held_out_dialog_is_held_out_and_so_is_a_held_out_document(tmp_path: Path):
    says = "The novel {n} was written by Jane Austen in Hampshire."
    rows = []
    for d in range(60):
        title = f"Novel{d % 20}"
        sections = {"FS1": {"entity": title, "wiki": says.format(n=title)}}
        turns = [
            {"agent": f"agent_{t % 2 + 1}", "text": f"dialog {d} opens", "knowledge": [], "rating": "Good"}
            if t == 0
            else {"agent": f"agent_{t % 2 + 1}", "text": says.format(n=title), "knowledge": ["FS1"], "rating": "Good"}
            for t in range(4)
        ]
        rows.append({"content": turns, "reading": {"agent_1": sections, "agent_2": sections}})
    path = tmp_path / "topical.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    tasks = {"quality": task("topical-chat", path.name), "research": task("topical-chat-research", path.name)}
    rated, researched = load_task_data(config(tasks, held_out=0.2), tmp_path)
    held = dialogs_of(rated.held_out)
    assert 2 < len(held) < 40
    assert researched.train
    assert not dialogs_of(researched.train) & held

    def titles(records: list[Any]) -> set[str]:
        return {record.steps[0].query for record in records}

    only_by_dialog = titles(researched.held_out) & titles(researched.train)
    assert only_by_dialog, "a document with some held-out dialogs is trained on in its others"
    assert titles(researched.held_out) - only_by_dialog, "a held-out document is never trained on"


def test_contrasts_of_a_repeated_text_stay_with_their_own_dialog(tmp_path: Path):
    path = chit_chat(tmp_path, count=20, opening=lambda d: f"opening {d}")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        row["turns"][1][1] = "hi"  # every dialog holds it, and some windows begin with it
    path.write_text("\n".join(map(json.dumps, rows)))
    found = KINDS["quality-contrasts"](path, 0)
    assert any(one.record.context[0].content == "hi" for one in found)
    for one in found:
        numbers = dialogs_of([one.record.model_copy(update={"response": "…"})])
        assert numbers <= {one.key.split()[1]}
    held = {one.key for one in found}
    assert len(held) == 20


def test_retention_text_with_nothing_to_learn_from_says_that_it_needs_more_paragraphs(tmp_path: Path):
    path = tmp_path / "short.txt"
    path.write_text("One paragraph of text.\nIts second line.\n")
    with pytest.raises(RecordError, match=r"short\.txt\) hold 1 paragraph, of which 0 fall to .*more paragraphs"):
        general_text([path])
    assert general_text([path], learns=False) == ([], ["One paragraph of text.\nIts second line."])


def test_a_key_is_how_a_text_begins():
    assert text_key("  " + "x" * 300) == "x" * 200


class Writer:
    """Stands in for the example writer: a record is one example, or too long."""

    def __init__(self, fits: Callable[[Any], bool] = lambda record: True) -> None:
        self.fits = fits

    def write(self, record: Any) -> list[Any]:
        if not self.fits(record):
            raise RecordError("too long")
        return [record]


def judged(count: int, folder: Path) -> str:
    rows = [
        {"context": [{"role": "user", "content": "the same"}], "response": f"r {i}", "unsafe": i % 2}
        for i in range(count)
    ]
    (folder / "mine.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return "mine.jsonl"


def test_a_task_whose_records_are_all_held_out_says_so(tmp_path: Path):
    mine = config({"safety": task("records", judged(6, tmp_path))}, held_out=0.99)
    data = load_task_data(mine, tmp_path)
    with pytest.raises(
        FinetuneError, match=r"all 6 records of task 'safety' are held out: they share one context.*held_out=0"
    ):
        examples_of(mine, data, [], Writer())  # type: ignore[arg-type]


def test_a_task_whose_records_are_all_too_long_says_so(tmp_path: Path):
    mine = config({"safety": task("records", judged(6, tmp_path))}, held_out=0.0)
    data = load_task_data(mine, tmp_path)
    with pytest.raises(FinetuneError, match=r"all 6 records of task 'safety' are longer than train\.max_tokens=512"):
        examples_of(mine, data, [], Writer(lambda record: False))  # type: ignore[arg-type]
    data[0].filtered = 2
    with pytest.raises(FinetuneError, match=r"none of the 8 records .* 2 are dropped by the filter; 6 are longer"):
        examples_of(mine, data, [], Writer(lambda record: False))  # type: ignore[arg-type]


def test_what_is_measured_is_drawn_from_the_whole_file_and_not_its_first_rows(tmp_path: Path):
    rows = [
        {"context": [{"role": "user", "content": f"c {i}"}], "response": f"r {i}", "unsafe": int(i < 100)}
        for i in range(200)
    ]
    (tmp_path / "sorted.jsonl").write_text("\n".join(map(json.dumps, rows)))
    [one] = load_task_data(config({"safety": task("records", "sorted.jsonl")}, held_out=0.9), tmp_path)
    found = judged_sets([one], Writer(), 60, seed=3)["sorted"]  # type: ignore[arg-type]
    assert len(found) == 60
    unsafe = sum(record.ratings["safe"] == 0 for record in found)  # type: ignore[union-attr]
    assert 15 < unsafe < 45, "a file that lists the unsafe ones first is drawn from evenly"
    assert found == judged_sets([one], Writer(), 60, seed=3)["sorted"]  # type: ignore[arg-type]
    assert found != judged_sets([one], Writer(), 60, seed=4)["sorted"]  # type: ignore[arg-type]


def test_records_that_begin_with_one_system_message_or_greeting_are_split_by_what_is_asked(tmp_path: Path):
    lead = [{"role": "system", "content": "You help."}, {"role": "assistant", "content": "Hello!"}]
    rows = [
        {"context": [*lead, {"role": "user", "content": f"asked {i // 2}"}], "response": f"r {i}", "unsafe": i % 2}
        for i in range(200)
    ]
    (tmp_path / "mine.jsonl").write_text("\n".join(map(json.dumps, rows)))
    [one] = load_task_data(config({"safety": task("records", "mine.jsonl")}, held_out=0.3), tmp_path)
    assert 20 < one.contexts < 40
    assert len(one.held_out) == 2 * one.contexts, "both replies to one question are on one side"


def test_a_single_attributes_rating_is_measured_like_several(tmp_path: Path):
    rows = [
        {
            "context": [{"role": "user", "content": f"asked {i}"}],
            "response": f"r {i}",
            "attribute": "safe",
            "rating": i % 2,
        }
        for i in range(60)
    ]
    (tmp_path / "mine.jsonl").write_text("\n".join(map(json.dumps, rows)))
    [one] = load_task_data(config({"safety": task("records", "mine.jsonl")}, held_out=0.5), tmp_path)
    found = judged_sets([one], Writer(), 100, seed=0)["mine"]  # type: ignore[arg-type]
    assert len(found) == len(one.held_out) > 10
    assert {record.ratings["safe"] for record in found} == {0.0, 1.0}  # type: ignore[union-attr]


def test_figures_are_named_by_what_tells_sources_apart():
    def names(*places: tuple[str, str | None]) -> list[str]:
        found = source_names([DataSource(kind=kind, path=path) for kind, path in places])
        return [found[place] for place in places]

    assert names(("diasafety", "safety/d.jsonl"), ("lookalikes", None)) == ["diasafety", "lookalikes"]
    assert names(("begin", "a.jsonl"), ("begin", "b.jsonl")) == ["begin (a)", "begin (b)"]
    assert names(("records", "a.jsonl"), ("records", "b.jsonl")) == ["a", "b"]
    assert names(("records", "x/a.jsonl"), ("records", "y/a.jsonl")) == ["x/a.jsonl", "y/a.jsonl"]
    assert names(("begin", "a.jsonl"), ("begin", "a.jsonl")) == ["begin", "begin"], "one file, named twice"

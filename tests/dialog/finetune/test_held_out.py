"""What is measured on held-out records beside discriminators, and what a run says of an odd plan."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from dialog.errors import RecordError
from dialog.finetune.adapters import AdapterStore, read_card
from dialog.finetune.config import Config, LoraSettings
from dialog.finetune.examples import Example, ExampleWriter, LabelTarget
from dialog.finetune.held_out import mean_loss, preference_accuracy, taught_figures
from dialog.finetune.lora import add_adapter
from dialog.finetune.records import parse
from dialog.finetune.run import Base, Watch, run
from dialog.finetune.selection import examples_of, held_out_by_source
from dialog.finetune.sources import load_task_data
from tests.dialog.finetune import small

ASK = {"role": "user", "content": "Who wrote Emma?"}


def write(folder: Path, name: str, rows: list[dict[str, Any]]) -> None:
    (folder / name).write_text("\n".join(map(json.dumps, rows)))


def asked(number: int) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"number {number}"}]


def told_by(base: Base, folder: Path, **changes: Any) -> tuple[list[str], dict[str, float]]:
    """(what a run says, the figures of its card)."""
    told: list[str] = []
    store = AdapterStore(folder / "adapters")
    found = run(
        small.config(method="lora", **changes), folder, base, runs=folder / "run", store=store,
        watch=Watch(stage=told.append),
    )  # fmt: skip
    return told, read_card(found.path).metrics


def test_replies_research_texts_and_pairs_are_measured_against_the_base_model(base: Base, tmp_path: Path):
    small.files(tmp_path)
    evidence = [{"title": "Emma", "text": "Emma is a novel by Jane Austen."}]
    write(tmp_path, "research.jsonl", [
        {"context": asked(i), "base": "Hm.", "steps": [{"query": "q", "evidence": evidence}], "final": "Austen [1]"}
        for i in range(40)
    ])  # fmt: skip
    write(
        tmp_path, "pairs.jsonl", [{"context": asked(i), "chosen": "Good.", "rejected": "Bad, bad."} for i in range(40)]
    )
    write(tmp_path, "texts.jsonl", [{"text": f"river stone {i} " * 8} for i in range(40)])
    names = ("replies", "research", "pairs", "texts")
    tasks = {name: {"sources": [{"path": f"{name}.jsonl"}]} for name in names}
    _, figures = told_by(base, tmp_path, tasks=tasks, dialect="tuned", train=small.config().train.model_dump() | {
        "max_tokens": 256
    })  # fmt: skip
    for name in ("replies", "research", "texts"):
        assert 0 < figures[f"loss, {name}"] != figures[f"loss of the base model, {name}"]
    for said in ("preference accuracy", "preference accuracy of the base model"):
        assert 0 <= figures[f"{said}, pairs"] <= 1


def test_a_pair_is_right_where_the_better_reply_scores_higher(monkeypatch):
    rows = [Example(ids=(i,), labels=(LabelTarget(0, (1, 2), 1.0),)) for i in range(6)]  # type: ignore[arg-type]
    read = {0: 0.9, 1: 0.1, 2: 0.2, 3: 0.7, 4: 0.5, 5: 0.5}
    monkeypatch.setattr(
        "dialog.finetune.held_out.label_probabilities",
        lambda model, examples, *, pad: [[read[one.ids[0]]] for one in examples],
    )
    pairs = [Example(ids=a.ids, labels=a.labels, rival=b) for a, b in zip(rows[::2], rows[1::2], strict=True)]
    assert preference_accuracy(None, pairs, 0) == pytest.approx((1 + 0 + 0.5) / 3)


def test_losses_are_means_and_the_base_models_are_read_without_the_adapter(tiny):
    model = tiny()
    one, other = (Example(ids=ids, taught=(False, *[True] * (len(ids) - 1))) for ids in ((5, 6, 7), (8, 9, 10, 11)))
    alone = [mean_loss(model, [example], 0) for example in (one, other)]
    assert mean_loss(model, [one, other], 0) == pytest.approx(sum(alone) / 2, rel=1e-5)
    assert all(math.isfinite(value) for value in alone)
    adapted = add_adapter(model, LoraSettings(rank=2), base="b", revision="r", seed=0)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            parameter.data.fill_(0.05)
    figures = taught_figures(adapted, {"mine": [one, other]}, 0)
    assert figures["loss of the base model, mine"] == pytest.approx(sum(alone) / 2, abs=1e-4)
    assert figures["loss, mine"] != figures["loss of the base model, mine"]


def test_a_file_that_two_tasks_read_is_measured_once(tmp_path: Path):
    small.files(tmp_path)
    source = {"path": "safety.jsonl"}
    config = small.config(tasks={"a": {"sources": [source]}, "b": {"sources": [source | {"limit": 3}]}})
    data = load_task_data(config, tmp_path)
    assert held_out_by_source(data) == {"safety": data[0].held_out}


def test_a_run_says_what_trains_nothing_what_splits_unevenly_and_on_how_few_a_threshold_stands(
    base: Base, tmp_path: Path
):
    small.files(tmp_path)
    greeting = {"role": "user", "content": "hi there"}  # whose key happens to be held out
    rows = [{"context": [greeting, {"role": "assistant", "content": "Hi."}, *asked(i)], "response": f"{i}"}
            for i in range(40)]  # fmt: skip
    rows += [{"context": asked(i), "response": f"{i}"} for i in range(40)]
    write(tmp_path, "talk.jsonl", rows)
    safety = {"sources": [{"path": "safety.jsonl"}]}
    tasks = {"safety": safety, "talk": {"sources": [{"path": "talk.jsonl"}]}, "tiny": safety | {"weight": 0.01}}
    told, figures = told_by(base, tmp_path, tasks=tasks, held_out=0.1)
    assert any(line.startswith("task 'tiny' trains nothing: of 3 steps of 4 examples") for line in told)
    [uneven] = [line for line in told if "many of them begin alike" in line]
    assert uneven.startswith("talk.jsonl holds out 4")
    behind = figures["safe replies behind the threshold"]
    assert 0 < behind < 20
    assert any(f"the safety threshold stands on {behind:.0f} safe replies" in line for line in told)


def test_a_research_record_leaves_its_history_out_where_it_does_not_fit_as_a_turn_does(tokenizer):
    history = [{"role": role, "content": "word " * 300} for role in ("user", "assistant")]
    rows = [
        {"context": [*before, ASK], "base": "Hm.", "final": "Austen [1]",
         "steps": [{"query": "emma author", "evidence": [{"title": "Emma", "text": "By Jane Austen."}]}]}
        for before in (history, [])
    ]  # fmt: skip
    writer = ExampleWriter(tokenizer, max_tokens=300)
    long, short = (writer.write(parse(row)) for row in rows)
    assert long == short
    with pytest.raises(RecordError, match=r"with its last turn alone, but max_tokens is 40"):
        ExampleWriter(tokenizer, max_tokens=40).write(parse(rows[1]))


def test_knowledge_that_a_turn_would_not_read_is_counted(tokenizer):
    writer = ExampleWriter(tokenizer, max_tokens=2000)
    for words in (10, 400):
        writer.write(parse({"knowledge": "word " * words, "context": [ASK], "response": "Austen.", "grounded": 1}))
    assert writer.shortened == 1


def test_a_record_that_is_too_long_is_named_by_task_and_beginning(tokenizer, tmp_path: Path):
    write(tmp_path, "long.jsonl", [{"context": [ASK], "response": "word " * 500}])
    train = small.config().train.model_dump() | {"too_long": "error"}
    config = small.config(tasks={"mine": {"sources": [{"path": "long.jsonl"}]}}, held_out=0.0, train=train)
    data = load_task_data(config, tmp_path)
    with pytest.raises(RecordError, match=r"task 'mine': a record needs .*The record: 'Who wrote Emma\?'"):
        examples_of(config, data, [], ExampleWriter(tokenizer, max_tokens=64))


@pytest.mark.parametrize("key", ["train.learning_rate", "train.clip", "ewc.weight"])
def test_a_number_that_is_none_is_refused(key: str):
    section, name = key.split(".")
    value = small.config().model_dump()
    value[section][name] = math.inf
    with pytest.raises(ValidationError, match="finite"):
        Config.model_validate(value)

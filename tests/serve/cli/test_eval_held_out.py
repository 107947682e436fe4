"""Figures on trained rows: what is said of a trained file, what --held-out measures, what a probe is fitted on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dialog.finetune.adapters import AdapterCard, DataUse, read_card
from dialog.finetune.config import Config
from dialog.finetune.sources import load_task_data
from dialog.tuned_dialect import TunedDialect
from safety.records import SafetyRecord, read_records
from serve.cli.eval_held_out import measured_records
from serve.errors import SettingsError
from serve.store.manifest import fingerprint
from tests.serve.cli.test_eval_commands import lines, run, safety_rows
from tests.serve.engines.adapters import make_adapter

USER = {"role": "user"}
ROWS: dict[str, list[dict[str, Any]]] = {
    "safety": [
        {
            "context": [{"role": "system", "content": "Be kind."}, USER | {"content": f"Question {i // 2}?"}],
            "response": f"Reply {i}.",
            "unsafe": i % 2,
        }
        for i in range(80)
    ],
    "quality": [
        {"context": [USER | {"content": f"Question {i // 2}?"}], "response": f"Reply {i}.", "sensible": i % 2}
        for i in range(80)
    ],
    "grounded": [
        {"knowledge": f"Fact {i // 2}.", "context": [USER | {"content": "?"}], "response": f"{i}.", "grounded": i % 2}
        for i in range(80)
    ],
}


def write(folder: Path, name: str, rows: list[dict[str, Any]]) -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def carded(folder: Path, *files: str, revision: str = "r", **recipe: Any) -> Path:
    """An adapter's folder whose card says that it was trained on the files."""
    folder.mkdir(exist_ok=True)
    uses = [DataUse(task="t", kind="records", file=file, licence="own", records=9, held_out=1) for file in files]
    tasks = {"t": {"sources": [{"kind": "records", "path": file} for file in files]}}
    card = AdapterCard(
        name=folder.name, version="v0001", base_model="plain", base_revision=revision, method="ewc", data=uses,
        safety_threshold=0.5, recipe={"tasks": tasks, "held_out": 0.25} | recipe,
    )  # fmt: skip
    (folder / "adapter_config.json").touch()
    (folder / "card.json").write_text(card.model_dump_json())
    return folder


@pytest.fixture(scope="module")
def adapter(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    revision = fingerprint(plain)
    folder = make_adapter(plain, tmp_path_factory.mktemp("adapters") / "mine", revision)
    return carded(folder, "mine.jsonl", revision=revision)


@pytest.mark.parametrize("kind", list(ROWS))
def test_what_training_holds_out_of_a_file_is_what_held_out_measures(
    tmp_path: Path, plain: Path, adapter: Path, monkeypatch, kind: str
):
    data = write(tmp_path, "mine.jsonl", ROWS[kind])
    config = Config.model_validate(
        {
            "name": "n", "held_out": 0.25, "retention": {"texts": ["general.txt"]},
            "tasks": {"t": {"weight": 1, "sources": [{"path": "mine.jsonl", "licence": "own"}]}},
        }
    )  # fmt: skip
    [split] = load_task_data(config, tmp_path)
    wanted = {record.response for record in split.held_out}  # type: ignore[union-attr]
    assert 4 < len(wanted) < 40
    judged: set[str] = set()
    original = TunedDialect.answer_ids

    def answer(dialect: TunedDialect, text: str) -> list[int]:
        judged.add(text)
        return original(dialect, text)

    monkeypatch.setattr(TunedDialect, "answer_ids", answer)
    common = ["--data", str(data), "--model", str(plain), "--adapter", str(adapter), "--json"]
    result = run(kind, *common, "--held-out")
    assert result.exit_code == 0, result.stderr
    assert "trained on by" not in result.stderr
    assert judged == wanted
    found = json.loads(result.stdout)
    assert found.get("sensible", found)["n"] == len(wanted)
    limited = json.loads(run(kind, *common, "--held-out", "--limit", "4").stdout)
    assert limited.get("sensible", limited)["n"] == 4, "the first of those held out"


def test_a_file_that_was_trained_on_is_named_in_one_line(tmp_path: Path, plain: Path, adapter: Path):
    common = ["--model", str(plain), "--limit", "8"]
    for name, said in (("mine.jsonl", True), ("other.jsonl", False)):
        data = write(tmp_path, name, ROWS["safety"])
        errors = run("safety", "--data", str(data), *common, "--adapter", str(adapter)).stderr
        assert ("mine.jsonl was trained on by mine@v0001" in errors and "Use --held-out" in errors) == said
        assert errors.count("trained on by") == said
    trained = ["--data", str(tmp_path / "mine.jsonl"), *common, "--dialect", "tuned", "--adapter", "none"]
    assert "trained on" not in run("safety", *trained).stderr


def measured(data: Path, adapter: Path | str, model: str = "m") -> tuple[list[SafetyRecord], float | None]:
    options = {"model": model, "adapter": str(adapter)}
    return measured_records(
        data, lambda most: read_records(data, SafetyRecord, limit=most), options, held_out=True, limit=None
    )


def test_the_bare_model_is_measured_on_the_rows_of_an_adapter_with_the_default_share(tmp_path: Path):
    data = write(tmp_path, "mine.jsonl", ROWS["safety"])
    usual = Config.model_fields["held_out"].default
    adapter = carded(tmp_path / "mine", "mine.jsonl", held_out=usual)
    found = measured(data, adapter)
    assert found == measured(data, "none")
    assert found[1] == usual == 0.1, "a tenth, as --help says"
    assert found != measured(data, carded(tmp_path / "more", "mine.jsonl"))


def test_what_a_start_was_trained_on_is_not_held_out(tmp_path: Path):
    data = write(tmp_path, "mine.jsonl", ROWS["safety"])
    start = carded(tmp_path / "start", "mine.jsonl", held_out=0.1)
    other = carded(tmp_path / "other", "other.jsonl", held_out=0.0)
    assert measured(data, carded(tmp_path / "a", "mine.jsonl", start=[str(start)])) == measured(data, start)
    alone = measured(data, carded(tmp_path / "b", "mine.jsonl"))
    assert measured(data, carded(tmp_path / "c", "mine.jsonl", start=[str(other)])) == alone, "it never saw the file"
    later = carded(tmp_path / "d", "other.jsonl", "mine.jsonl", held_out=0.0, start=[str(start)])
    card = read_card(later)
    card.recipe["tasks"] = {"t": {"sources": [{"kind": "records", "path": "other.jsonl"}]}}
    (later / "card.json").write_text(card.model_dump_json())
    assert measured(data, later) == measured(data, start), "its start alone saw the file, and held some out"
    with pytest.raises(SettingsError, match=r"none@v0001 holds none of mine.jsonl out"):
        measured(data, carded(tmp_path / "none", "mine.jsonl", held_out=0.0))


def test_held_out_of_an_adapter_that_nobody_knows_or_of_too_few_is_refused(tmp_path: Path, plain: Path, adapter: Path):
    unknown = make_adapter(plain, tmp_path / "lora")
    data = write(tmp_path, "mine.jsonl", ROWS["safety"])
    result = run("safety", "--data", str(data), "--model", str(plain), "--adapter", str(unknown), "--held-out")
    assert "--held-out needs an adapter's card" in result.stderr
    one = lines(tmp_path / "one", ROWS["safety"][0])
    result = run("safety", "--data", one, "--model", str(plain), "--adapter", str(adapter), "--held-out")
    assert "none of the 1 records of data.jsonl is held out at a share of 0.25" in result.stderr


def test_a_probe_is_not_fitted_on_contexts_that_it_is_scored_on(tmp_path: Path, plain: Path, monkeypatch):
    fitted: list[str] = []

    def probe(train: Any, test: Any) -> list[float]:
        fitted.extend(record.context[0].content for record in train)
        return [0.5 for _ in test]

    monkeypatch.setattr("serve.cli.eval_baselines.minilm_probe", probe)
    rows = safety_rows(12)
    data, train = lines(tmp_path / "data", *rows[:8]), lines(tmp_path / "train", *rows)
    common = ["--model", str(plain), "--adapter", "none", "--dialect", "tuned", "--json"]
    result = run("safety", "--data", data, "--train", train, *common)
    assert result.exit_code == 0, result.stderr
    assert "8 of the 12 records of --train data.jsonl are left out, as their context is measured on" in result.stderr
    assert set(fitted) == {"c 4", "c 5"}
    assert json.loads(result.stdout)["baselines"]["MiniLM probe"]["fitted_on"] == 4
    monkeypatch.setattr("serve.assemble.open_named_decoder", None)  # nothing may be opened
    result = run("safety", "--data", data, "--train", data, *common)
    assert result.exit_code == 1
    assert "the contexts of all 8 records of --train data.jsonl are measured on too" in result.stderr

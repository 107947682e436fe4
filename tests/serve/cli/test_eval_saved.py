"""What `--save` keeps: under which name, of whom, without secrets, and what happens where nothing can be written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from dialog.errors import FinetuneError
from serve.assemble import AgentOptions
from serve.cli import eval_embodied
from serve.cli.eval_saved import Saved, Subject, read_saved, save_result, subject_of
from serve.cli.main import main
from tests.serve.cli.test_eval_commands import lines, run, safety_rows

SECRET = "http://me:hunter2@host:8001/v1?token=abc#def"


def report(folder: Path) -> str:
    """The page and what is printed of it."""
    result = CliRunner().invoke(main, ["eval", "report", str(folder), "--json"])
    assert result.exit_code == 0, result.stderr
    return (folder / "report.md").read_text() + result.stdout


def kept(subject: Subject, value: float = 0.5) -> Saved:
    figures = {"n": 4, "auroc": value, "intervals": {"auroc": [0.0, 1.0]}}
    return Saved(eval="safety", data="mine.jsonl", subject=subject, figures=figures)


def lora(folder: Path, weights: bytes) -> str:
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapter_model.safetensors").write_bytes(weights)
    return str(folder)


def test_a_servers_credentials_are_neither_kept_nor_published(tmp_path: Path):
    about = subject_of(AgentOptions(model="m", engine=SECRET, adapter="none"))
    path = save_result(tmp_path, kept(about))
    older = json.loads(path.read_text())
    older["subject"]["details"] = [SECRET]  # as results were kept before
    older["options"] = {"threshold": 0.5}
    (tmp_path / "safety-older.json").write_text(json.dumps(older))
    published = report(tmp_path)
    names = " ".join(each.name for each in tmp_path.iterdir())
    for secret in ("hunter2", "me:", "token", "abc", "def"):
        assert secret not in path.name
        assert secret not in path.read_text()
        assert secret not in published
        assert secret not in names
    assert str(about) == "m (http://host:8001/v1)"


def test_adapters_in_folders_of_one_name_are_kept_apart_and_told_apart(tmp_path: Path):
    found = {}
    for place, value in (("a", 0.25), ("b", 0.75)):
        about = subject_of(AgentOptions(model="m", adapter=lora(tmp_path / place / "lora", place.encode())))
        found[place] = save_result(tmp_path / "kept", kept(about, value))
        assert str(about) == "m + lora"
    assert found["a"] != found["b"]
    again = subject_of(AgentOptions(model="m", adapter=str(tmp_path / "a" / "lora")))
    assert save_result(tmp_path / "kept", kept(again, 0.25)) == found["a"], "the same command replaces its own"
    weights = sorted(one.subject.weights for one in read_saved(tmp_path / "kept"))
    page = report(tmp_path / "kept")
    for each in weights:
        assert f" m + lora, weights {each} |" in page
    assert "0.2500" in page
    assert "0.7500" in page


def test_model_folders_of_one_name_are_kept_apart_also_beside_an_adapter(tmp_path: Path):
    for place in "ab":
        folder = tmp_path / place / "model"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps({"of": place}))
        save_result(tmp_path / "kept", kept(subject_of(AgentOptions(model=str(folder), adapter="none"))))
    one, other = read_saved(tmp_path / "kept")
    assert str(one.subject) == str(other.subject) == "model"
    page = report(tmp_path / "kept")
    assert f"model, revision {one.subject.revision} |" in page
    assert f"model, revision {other.subject.revision} |" in page


def test_the_bare_column_beside_two_adapters_of_one_name_is_one(tmp_path: Path):
    row = {"n": 1, "base": 0.25, "tuned": 0.5, "base_low": 0.2, "base_high": 0.3, "low": 0.4, "high": 0.6}
    for weights in ("11", "22"):
        about = Subject(model="m", adapter="lora", weights=weights)
        figures = {"n": 1, "tasks": {"counting": row}}
        save_result(tmp_path, Saved(eval="embodied", data="seed-0", subject=about, figures=figures))
    [head] = [line for line in report(tmp_path).splitlines() if line.startswith("| figure")]
    assert sorted(head.strip("| ").split(" | ")) == ["figure", "m", "m + lora, weights 11", "m + lora, weights 22"]


def test_a_long_name_is_cut_and_stays_apart(tmp_path: Path):
    names = ["x" * 300 + end for end in "ab"]
    paths = {save_result(tmp_path, kept(Subject(model=name))) for name in names}
    assert len(paths) == 2
    assert len(read_saved(tmp_path)) == 2


@pytest.mark.parametrize("kind", ["safety", "quality", "grounded", "questions", "prompts", "retention", "embodied"])
def test_a_folder_that_cannot_be_made_is_refused_before_the_work(tmp_path: Path, monkeypatch, kind: str):
    for opener in ("serve.assemble.open_named_decoder", "serve.assemble.assemble", "serve.store.ModelStore.pull"):
        monkeypatch.setattr(opener, None)  # nothing may be opened
    (tmp_path / "file").write_text("")
    data = [] if kind == "embodied" else ["--data", lines(tmp_path, *safety_rows())]
    more = ["--corpus", "default"] if kind == "questions" else []
    result = run(kind, *data, *more, "--adapter", "none", "--save", str(tmp_path / "file" / "kept"))
    assert result.exit_code == 1
    [line] = result.stderr.splitlines()
    assert "cannot save" in line
    assert "name a folder that can be written" in line


def test_trying_the_folder_leaves_nothing_behind(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("serve.assemble.open_named_decoder", None)
    new = tmp_path / "new" / "kept"
    result = run("safety", "--data", str(tmp_path / "missing.jsonl"), "--adapter", "none", "--save", str(new))
    assert "missing.jsonl cannot be read" in result.stderr
    assert not new.parent.exists()


def full(path: Path, content: bytes | str) -> None:
    raise FinetuneError(f"cannot save {path}: the disk is full.")


def test_figures_that_cannot_be_kept_are_printed_all_the_same(tmp_path: Path, plain: Path, monkeypatch):
    monkeypatch.setattr("dialog.finetune.saving.write_whole", full)
    common = ["--model", str(plain), "--adapter", "none", "--dialect", "tuned", "--save", str(tmp_path / "kept")]
    result = run("safety", "--data", lines(tmp_path, *safety_rows()), *common, "--json")
    assert result.exit_code == 1
    assert "the disk is full" in result.stderr
    assert json.loads(result.stdout)["n"] == 12


def test_embodied_figures_that_cannot_be_kept_are_printed_and_drawn_all_the_same(tmp_path: Path, monkeypatch):
    async def measured(items: object, *rest: object) -> dict[str, object]:
        return {"n": 1, "tasks": {}}

    drawn: list[Path] = []
    monkeypatch.setattr("dialog.finetune.saving.write_whole", full)
    monkeypatch.setattr("embodied.evaluate.report.plot", lambda found, path: drawn.append(path))
    monkeypatch.setattr(eval_embodied, "measure", measured)
    wanted = ["--limit", "1", "--family", "counting", "--json", "--plot", str(tmp_path / "plot.svg")]
    result = run("embodied", *wanted, "--save", str(tmp_path / "kept"))
    assert result.exit_code == 1
    assert "the disk is full" in result.stderr
    assert json.loads(result.stdout)["n"] == 1
    assert drawn == [tmp_path / "plot.svg"]

"""`groundling finetune`: which folder a run trains in where none is named."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from dialog.finetune.outcome import RunResult
from serve.cli.main import main
from serve.store import ModelStore

MINE = """
name: mine
retention: {texts: [general.txt]}
tasks: {reply: {sources: [{path: data.jsonl}]}}
"""


class Runs:
    """The command on a file in an empty home, and the folders that it gave its runs, which do not train."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.folders, self.told = folder, [], ""

    def run(self, config: Any, data: Path, base: Any, *, runs: Path, **options: Any) -> RunResult:
        runs.mkdir(parents=True, exist_ok=True)
        self.folders.append(runs)
        return RunResult(
            adapter="mine@v0001", path=runs, resumed_from=0, steps=1, examples=1, metrics={}, perplexity_before=1.0,
            perplexity_after=1.0, retention_ratio=1.0, safety_threshold=None,
        )  # fmt: skip

    def __call__(self, *words: str) -> Path:
        done = CliRunner().invoke(main, ["finetune", str(self.folder / "mine.yaml"), *words])
        assert done.exit_code == 0, done.stderr
        self.told = " ".join(done.stderr.split())
        return self.folders[-1]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    runs = Runs(tmp_path)
    monkeypatch.setenv("GROUNDLING_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(ModelStore, "pull", lambda self, name: SimpleNamespace(name=name, path=tmp_path, revision="r"))
    monkeypatch.setattr("dialog.finetune.run.run", runs.run)
    for file, text in (("mine.yaml", MINE), ("data.jsonl", "one"), ("general.txt", "text")):
        (tmp_path / file).write_text(text)
    return runs


@pytest.mark.parametrize("file", ["data.jsonl", "general.txt"])
def test_corrected_data_start_a_run_of_their_own_and_it_is_said(command: Runs, tmp_path: Path, file: str):
    first = command()
    assert first.parent == tmp_path / "home" / "runs"
    assert (first.name.split("-")[0], command.told) == ("mine", "")
    before = (tmp_path / file).read_text()
    (tmp_path / file).write_text("two")
    second = command()
    assert second != first
    assert command.told == f"the data changed since {first}: a new run starts in {second}"
    assert command() == second, "which goes on there"
    assert command.told == ""
    (tmp_path / file).write_text(before)
    assert command() == first, "and what was made of the data as they were is found again"
    assert command.told == ""


def test_what_changes_nothing_of_a_run_keeps_its_folder_and_other_settings_are_no_changed_data(command: Runs):
    first = command()
    assert command("train.micro_tokens=64", "retention.max_ratio=1.5") == first
    assert command("train.steps=7") != first
    assert command.told == ""


def test_a_folder_that_is_named_is_the_runs_whatever_the_data_hold(command: Runs, tmp_path: Path):
    out = tmp_path / "out"
    assert command("--out", str(out)) == out
    (tmp_path / "data.jsonl").write_text("two")
    assert (command("--out", str(out)), command.told) == (out, "")

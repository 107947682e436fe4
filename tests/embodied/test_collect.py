"""Collecting into a file: resumable, nothing double, kill -9 safe."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from embodied.collect import CollectSettings, collect, collect_one, only_writer, read_experience
from embodied.errors import CollectError
from serve.cli.main import main

EXPLORE = CollectSettings(kind="explore", recorded=0, steps=5)


def ids(path: Path) -> list[int]:
    return [entry["id"] for entry in read_experience(path)]


def raw_ids(path: Path) -> list[int]:
    return [json.loads(line)["id"] for line in path.read_text().splitlines()[1:]]


def test_a_second_run_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    assert collect(EXPLORE, path, 4, workers=1)["collected"] == 4
    found = collect(EXPLORE, path, 10, workers=1)
    assert (found["n"], found["collected"], found["resumed"]) == (10, 6, 4)
    assert raw_ids(path) == list(range(10))
    assert list(read_experience(path))[3] == json.loads(json.dumps(collect_one(EXPLORE, 3)))


def test_a_half_written_line_is_mended(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    collect(EXPLORE, path, 3, workers=1)
    path.write_bytes(path.read_bytes()[:-25])
    assert collect(EXPLORE, path, 3, workers=1)["collected"] == 1
    assert sorted(raw_ids(path)) == [0, 1, 2]


def test_other_settings_other_files_and_broken_lines_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    collect(EXPLORE, path, 2, workers=1)
    with pytest.raises(CollectError, match="collected with another steps"):
        collect(EXPLORE.model_copy(update={"steps": 6}), path, 2, workers=1)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], "{oops", lines[2]]) + "\n")
    with pytest.raises(CollectError, match="broken at line 2"):
        collect(EXPLORE, path, 2, workers=1)
    path.write_text("hello\n")
    with pytest.raises(CollectError, match="no experience file"):
        collect(EXPLORE, path, 2, workers=1)
    assert path.read_text() == "hello\n"


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    with only_writer(path), pytest.raises(CollectError, match="another process is collecting"):
        collect(EXPLORE, path, 2, workers=1)


def test_kill_9_loses_and_doubles_nothing(tmp_path: Path) -> None:
    path = tmp_path / "plans.jsonl"
    command = [sys.executable, "-m", "serve.cli.main", "collect", "plans", "-n", "2000", "--workers", "1"]
    command += ["--recorded", "0", "--out", str(path)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    for _ in range(600):
        if path.exists() and path.read_bytes().count(b"\n") > 5:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    had = path.read_bytes().count(b"\n") - 1
    assert had >= 5
    settings = CollectSettings(kind="plans", recorded=0)
    found = collect(settings, path, had + 5, workers=1)
    assert found["n"] == had + 5
    assert sorted(raw_ids(path)) == list(range(had + 5))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["collect", *arguments])


def test_the_command_uses_a_pool_and_prints_one_object(tmp_path: Path) -> None:
    path = tmp_path / "plans.jsonl"
    result = run("plans", "-n", "12", "--workers", "2", "--recorded", "0", "--out", str(path), "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["n"] == 12
    assert found["found"] >= 11
    assert sorted(ids(path)) == list(range(12))
    entry = next(iter(read_experience(path)))
    assert entry["plan_text"][0].startswith("1. ")


def test_tasks_become_training_records(tmp_path: Path) -> None:
    from dialog.finetune.records import Generation

    plans, out = tmp_path / "plans.jsonl", tmp_path / "data" / "experience.jsonl"
    collect(CollectSettings(kind="plans", recorded=0), plans, 3, workers=1)
    result = run("tasks", "-n", "3", "--plans", str(plans), "--out", str(out), "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["families"] == {
        "activity_recognition": 3,
        "collected_plan": 3,
        "counting": 3,
        "object_path_tracking": 3,
        "plan_generation": 3,
    }
    records = [Generation.model_validate_json(line) for line in out.read_text().splitlines()]
    assert len(records) == found["n"] == 15


def test_plans_from_evaluation_homes_are_not_trained_on(tmp_path: Path) -> None:
    path = tmp_path / "plans.jsonl"
    collect(CollectSettings(kind="plans", split="eval", recorded=0), path, 1, workers=1)
    result = run("tasks", "-n", "1", "--plans", str(path), "--out", str(tmp_path / "x.jsonl"))
    assert result.exit_code == 1
    assert "was collected in evaluation homes" in result.stderr


def test_the_command_names_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text("{}\n")
    result = run("explore", "-n", "1", "--out", str(tmp_path / "x.jsonl"))
    assert result.exit_code == 1
    assert "is no experience file" in result.stderr
    assert result.stderr.count("groundling:") == 1

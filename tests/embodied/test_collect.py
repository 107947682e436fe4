"""Collecting into a file: resumable, nothing double, kill -9 safe."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from filelock import FileLock, Timeout

from embodied.collect import (
    CollectSettings,
    append,
    as_line,
    collect,
    collect_one,
    home_for,
    only_writer,
    open_file,
    read_experience,
    seed_of,
)
from embodied.errors import CollectError
from embodied.homes import generate_home
from embodied.splits import home_seeds
from embodied.tasks import plan_records
from embodied.tasks.home_tasks import searched_plan
from embodied.world import initial
from serve.cli.main import main

EXPLORE = CollectSettings(kind="explore", recorded=0, steps=5)
PLANS = CollectSettings(kind="plans", recorded=0)


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


@pytest.mark.parametrize("left", [0, 1, 40, -1])
def test_a_half_written_header_is_mended(tmp_path: Path, left: int) -> None:
    path = tmp_path / "e.jsonl"
    open_file(path, EXPLORE)
    header = path.read_bytes()
    path.write_bytes(header[:left])
    assert open_file(path, EXPLORE) == set()
    assert path.read_bytes() == header


@pytest.mark.parametrize(
    "content",
    [b'{"my": "settings"}', b"one line\nand a last one", b"[1, 2]", b"hello", b"\n", b"\xff\xfe", b"format"],
)
def test_a_file_that_is_no_experience_file_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "settings.json"
    path.write_bytes(content)
    with pytest.raises(CollectError, match=r"settings\.json is no experience file"):
        collect(EXPLORE, path, 2, workers=1)
    assert path.read_bytes() == content


def test_what_is_refused_keeps_its_half_line(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    collect(EXPLORE, path, 2, workers=1)
    header, first, second = path.read_bytes().splitlines(keepends=True)
    for content, options, message in (
        (header + first + second[:-9], {"steps": 6}, "collected with another steps"),
        (header + b"{oops\n" + second[:-9], {}, "broken at line 2"),
    ):
        path.write_bytes(content)
        with pytest.raises(CollectError, match=message):
            collect(EXPLORE.model_copy(update=options), path, 2, workers=1)
        assert path.read_bytes() == content


def test_a_file_of_the_first_version_is_read_and_not_gone_on_with(tmp_path: Path) -> None:
    path, plans = tmp_path / "plans.jsonl", CollectSettings(kind="plans", recorded=0)
    entry = collect_one(plans, 0)
    del entry["room"]
    header = {"format": "groundling-experience", "version": 1, "settings": plans.model_dump()}
    content = as_line(header) + as_line(entry)
    path.write_bytes(content)
    with pytest.raises(CollectError, match=r"begun in version 1 of the format.*Use another --out"):
        collect(plans, path, 2, workers=1)
    assert path.read_bytes() == content
    assert not plan_records(path)[0]["context"][0]["content"].startswith("You are in the")


def test_a_line_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """The file may grow by 20 bytes: the system takes these of a longer line, and refuses the rest."""
    path = tmp_path / "e.jsonl"
    append(path, {"id": 0})
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 20, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            append(path, {"id": 1, "note": "x" * 100})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before


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


def test_plans_are_of_other_homes_than_searched_tasks() -> None:
    """`collect tasks` counts the training seeds up from the first one."""
    plans = CollectSettings(kind="plans", recorded=0)
    homes = [home_for(plans, number) for number in range(5)]
    tasks = [searched_plan(random.Random(0), number, "train") for number in range(5)]
    assert not {home.name for home in homes} & {f"home-{item.world['home']}" for item in tasks if item}
    for split in ("train", "eval"):
        first = CollectSettings(kind="plans", split=split)
        last = CollectSettings(kind="plans", split=split, seed=899_999)
        assert {seed_of(first, 0), seed_of(last, 99_999)} <= set(home_seeds(split))


def test_a_plan_is_asked_for_in_the_room_it_starts_in(tmp_path: Path) -> None:
    path, plans = tmp_path / "plans.jsonl", CollectSettings(kind="plans", recorded=0)
    collect(plans, path, 3, workers=1)
    for number, record in enumerate(plan_records(path)):
        home = generate_home(seed_of(plans, number))
        room = initial(home).room(home.character)
        assert room is not None
        assert record["context"][0]["content"].startswith(f"You are in the {home.nodes[room].spoken}.\n")


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    with only_writer(path), pytest.raises(CollectError, match="another process is collecting"):
        collect(EXPLORE, path, 2, workers=1)
    with only_writer(path):
        late = FileLock(f"{path}.lock")  # opened while another holds it, locked once that one is done
    with only_writer(path), pytest.raises(Timeout):
        late.acquire(timeout=0)
    assert not list(tmp_path.glob("*.lock"))


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


def test_workers_end_with_a_killed_parent(tmp_path: Path) -> None:
    path = tmp_path / "plans.jsonl"
    command = [sys.executable, "-m", "serve.cli.main", "collect", "plans", "-n", "2000", "--workers", "2"]
    command += ["--recorded", "0", "--out", str(path)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.PIPE)
    for _ in range(1200):
        if path.exists() and path.read_bytes().count(b"\n") > 3:
            break
        time.sleep(0.05)
    assert path.read_bytes().count(b"\n") > 3
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)  # the workers have the pipe too: it ends when they have ended


def test_a_dead_worker_is_told_of_and_nothing_is_lost(tmp_path: Path) -> None:
    path, settings = tmp_path / "plans.jsonl", CollectSettings(kind="plans", recorded=0)

    def kill_one(done: int) -> None:
        if done == 2:
            os.kill(multiprocessing.active_children()[0].pid or 0, signal.SIGKILL)

    with pytest.raises(CollectError, match=r"a worker died.*fewer --workers need less memory"):
        collect(settings, path, 2000, workers=2, progress=kill_one)
    had = len(ids(path))
    assert had >= 2
    assert collect(settings, path, 6, workers=1)["resumed"] == had


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


def begun(settings: object) -> bytes:
    """The header of a file with these settings."""
    return as_line({"format": "groundling-experience", "version": 2, "settings": settings})


BROKEN = "is broken at line 2. Move it away and collect again."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (begun(PLANS.model_dump()) + b"{}\n", BROKEN),
        (begun(PLANS.model_dump()) + b"5\n", BROKEN),
        (begun(PLANS.model_dump()) + b"[1]\n", BROKEN),
        (begun(PLANS.model_dump()) + b'{"id":0,"kind":"plans"}\n', BROKEN),
        (begun(PLANS.model_dump()) + b"\xff\xfe\n", BROKEN),
        (begun(PLANS.model_dump()) + as_line(collect_one(EXPLORE, 0)), BROKEN),
        (begun(PLANS.model_dump()) + b'{"id":0,"ki', "is broken at line 2. Run the same collection again to mend it."),
        (begun([]), "is no experience file. Make one with `groundling collect plans`."),
        (begun({}), "holds experience of kind None, no plans to train on. Collect with `groundling collect plans`."),
        (
            begun(EXPLORE.model_dump()) + as_line(collect_one(EXPLORE, 0)),
            "holds explorations, no plans to train on. Collect with `groundling collect plans`.",
        ),
    ],
)
def test_a_file_without_plans_is_told_of_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "plans.jsonl"
    path.write_bytes(content)
    result = run("tasks", "-n", "1", "--plans", str(path), "--out", str(tmp_path / "x.jsonl"))
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [f"groundling: {path} {message}"]
    assert not (tmp_path / "x.jsonl").exists()


def test_what_cannot_be_mended_is_refused_before_anything_is_collected(tmp_path: Path) -> None:
    path = tmp_path / "plans.jsonl"
    path.write_bytes(begun(PLANS.model_dump()) + b'{"id":0,"kind":"plans"}\n')
    with pytest.raises(CollectError, match=r"is broken at line 2\. Move it away and collect again"):
        collect(PLANS, path, 2, workers=1)
    path.write_bytes(begun(PLANS.model_dump()) + b'{"id":0,"kind":"plans"}')
    assert collect(PLANS, path, 2, workers=1)["collected"] == 2
    assert len(plan_records(path)) == 2


def test_the_command_names_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text("{}\n")
    result = run("explore", "-n", "1", "--out", str(tmp_path / "x.jsonl"))
    assert result.exit_code == 1
    assert "is no experience file" in result.stderr
    assert result.stderr.count("groundling:") == 1

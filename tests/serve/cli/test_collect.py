"""`groundling collect` where a file cannot be written or read: one line, and told early."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from serve.cli.main import main


def collect(*words: str) -> Result:
    return CliRunner().invoke(main, ["collect", *words])


@pytest.mark.parametrize("kind", ["explore", "plans"])
def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path, kind: str):
    (tmp_path / "file").write_text("")
    result = collect(kind, "-n", "1", "--out", str(tmp_path / "file" / "x.jsonl"))
    assert result.exit_code == 1
    assert "name a folder that can be written" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_full_disk_is_one_line_and_what_was_collected_stays(tmp_path: Path, monkeypatch):
    from embodied import collect as room

    out, real, written = tmp_path / "x.jsonl", room.append, []

    def append(path: Path, entry: dict) -> None:
        if len(written) == 3:  # the header and two experiences
            raise OSError(28, "No space left on device")
        written.append(entry)
        real(path, entry)

    words = ("explore", "-n", "4", "--steps", "2", "--workers", "1", "--out", str(out))
    with monkeypatch.context() as patched:
        patched.setattr(room, "append", append)
        result = collect(*words)
    assert result.exit_code == 1
    assert "the disk is full" in result.stderr
    assert len(out.read_text().splitlines()) == 3
    assert "4 experiences (2 new)" in collect(*words).stdout


def test_the_plans_are_not_written_over(tmp_path: Path) -> None:
    (plans := tmp_path / "plans.jsonl").write_text("days of work\n")
    (tmp_path / "link.jsonl").symlink_to(plans)
    for out in (plans, tmp_path / "link.jsonl"):
        result = collect("tasks", "--plans", str(plans), "--out", str(out))
        assert result.exit_code == 2
        assert "--out is the file of --plans" in result.stderr
    assert plans.read_text() == "days of work\n"


def test_examples_do_not_replace_collected_experience(tmp_path: Path) -> None:
    out = tmp_path / "x.jsonl"
    collect("explore", "-n", "1", "--steps", "2", "--workers", "1", "--out", str(out))
    had = out.read_bytes()
    result = collect("tasks", "-n", "1", "--out", str(out))
    assert result.exit_code == 2
    assert "x.jsonl holds collected experience, which would be lost. Use another --out." in result.stderr
    assert out.read_bytes() == had


def test_a_bad_file_of_plans_is_told_of_before_the_building(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("embodied.tasks.training_records", None)  # nothing may be built
    (tmp_path / "plans.jsonl").write_text("not an experience\n")
    result = collect("tasks", "--plans", str(tmp_path / "plans.jsonl"), "--out", str(tmp_path / "x.jsonl"))
    assert result.exit_code == 1
    assert "plans.jsonl is no experience file" in result.stderr

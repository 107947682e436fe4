"""Adapters merged into their base model, and refused ones installed all the same."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from dialog.errors import AdapterError, FinetuneError
from dialog.finetune.adapters import (
    AdapterCard,
    AdapterStore,
    StoredAdapter,
    card_text,
    merge_into,
    read_card,
    write_adapter,
)
from dialog.finetune.config import LoraSettings
from dialog.finetune.lora import add_adapter, trained
from dialog.finetune.run import Base

WEIGHTS = "adapter_model.safetensors"


def card(base: Base, **changes: Any) -> AdapterCard:
    values = {"name": "mine", "base_model": base.name, "base_revision": base.revision, "method": "lora"}
    return AdapterCard(**{**values, **changes})


def adapter_of(model: Any, base: Base, folder: Path, **changes: Any) -> StoredAdapter:
    """An adapter that changes every layer of `model`, with a card of the base."""
    adapted = add_adapter(model, LoraSettings(rank=2), base=base.name, revision=base.revision)
    for name, parameter in trained(adapted).items():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.01)
    write_adapter(folder, adapted, card(base, **changes))
    return StoredAdapter(path=folder, card=read_card(folder))


@pytest.fixture
def adapter(base: Base, tmp_path: Path) -> StoredAdapter:
    model = AutoModelForCausalLM.from_pretrained(base.folder)
    return adapter_of(model, base, tmp_path / "made", version="v0003", dialect="judged", safety_threshold=0.3)


def base_of_dtype(base: Base, dtype: torch.dtype, folder: Path) -> Path:
    AutoModelForCausalLM.from_pretrained(base.folder, dtype=dtype).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(base.folder / name, folder)
    return folder


@pytest.mark.parametrize(("dtype", "rounding"), [("float32", 1e-6), ("bfloat16", 2**-8), ("float16", 2**-10)])
def test_the_sum_is_of_float32_whatever_the_base_is_kept_in(
    base: Base, adapter: StoredAdapter, tmp_path: Path, dtype: Any, rounding: float
):
    folder = base_of_dtype(base, torch.bfloat16, tmp_path / "bf16")
    out = merge_into(adapter, folder, base.revision, tmp_path / "merged", dtype)
    merged = AutoModelForCausalLM.from_pretrained(out, dtype="auto")
    assert str(merged.dtype) == f"torch.{dtype}"
    weights, lora = load_file(folder / "model.safetensors"), load_file(adapter.path / WEIGHTS)
    about = json.loads((adapter.path / "adapter_config.json").read_text())
    scale, found = about["lora_alpha"] / about["r"], merged.state_dict()
    layers = [key for key in lora if key.endswith(".lora_A.weight")]
    assert len(layers) == 4 * 7
    for key in layers:
        name = key.removeprefix("base_model.model.").replace(".lora_A.weight", ".weight")
        change = scale * lora[key.replace("lora_A", "lora_B")].float() @ lora[key].float()
        torch.testing.assert_close(found[name].float(), weights[name].float() + change, rtol=rounding, atol=1e-6)


def test_merged_weights_are_kept_in_float32_unless_told_otherwise_and_with_the_card(
    base: Base, adapter: StoredAdapter, tmp_path: Path
):
    folder = base_of_dtype(base, torch.bfloat16, tmp_path / "bf16")
    out = merge_into(adapter, folder, base.revision, tmp_path / "merged")
    assert {value.dtype for value in load_file(out / "model.safetensors").values()} == {torch.float32}
    assert read_card(out) == adapter.card
    assert read_card(out).full_name == "mine@v0003"
    with pytest.raises(AdapterError, match="is there already"):
        merge_into(adapter, folder, base.revision, out)


def test_what_does_not_load_is_one_line_that_names_both_and_leaves_nothing(
    base: Base, adapter: StoredAdapter, tiny, tmp_path: Path
):
    out = tmp_path / "merged"
    broken = shutil.copytree(base.folder, tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(
        AdapterError, match=r"mine@v0003 in .*made cannot be merged into .*broken: .*its own base model"
    ):
        merge_into(adapter, broken, base.revision, out)
    wider = adapter_of(tiny(), base, tmp_path / "wider")
    with pytest.raises(AdapterError, match=r"mine in .*wider cannot be merged into"):
        merge_into(wider, base.folder, base.revision, out)
    (adapter.path / WEIGHTS).write_bytes(b"no weights")
    with pytest.raises(AdapterError, match=r"mine@v0003 in .*made cannot be merged into"):
        merge_into(adapter, base.folder, base.revision, out)
    with pytest.raises(AdapterError, match=r"trained on small \(revision-of-\), not on another\. Use its own base"):
        merge_into(adapter, base.folder, "another", out)
    assert not out.exists()


def test_a_merge_that_does_not_fit_in_memory_says_so(
    base: Base, adapter: StoredAdapter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def exhausted(*args: Any, **options: Any) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", exhausted)
    with pytest.raises(FinetuneError, match=r"out of memory while merging\. .*4 bytes a weight"):
        merge_into(adapter, base.folder, base.revision, tmp_path / "merged")


def test_an_adapter_that_was_installed_though_refused_says_so_ever_after(base: Base, adapter: StoredAdapter, tmp_path):
    store = AdapterStore(tmp_path / "store")
    assert store.install(adapter.path).card.installed_despite is None
    about = adapter.card.model_copy(update={"refused": "It forgot."})
    (adapter.path / "card.json").write_text(about.model_dump_json())
    made = store.install(adapter.path)
    assert (made.card.refused, made.card.installed_despite) == (None, "It forgot.")
    assert read_card(made.path) == made.card
    assert "**Refused, installed all the same: It forgot.**" in (made.path / "README.md").read_text()
    assert store.install(made.path).card.installed_despite == "It forgot.", "also a copy of it"


def test_what_is_no_whole_adapter_is_not_installed(adapter: StoredAdapter, tmp_path: Path):
    store = AdapterStore(tmp_path / "store")
    whole = {name: (adapter.path / name).read_bytes() for name in (WEIGHTS, "adapter_config.json")}
    save_file({}, tmp_path / "empty.safetensors")
    for name, content, fault in (
        (WEIGHTS, b"garbage", "is not a readable safetensors file"),
        (WEIGHTS, whole[WEIGHTS][:-8], "is not a readable safetensors file"),
        (WEIGHTS, (tmp_path / "empty.safetensors").read_bytes(), "holds no weights"),
        ("adapter_config.json", b'{"r": 2', "is not readable JSON"),
        ("adapter_config.json", b"\xff\xfe\xff", "is not readable JSON"),
        ("adapter_config.json", b"[]", "holds a list, not keys and values"),
    ):
        (adapter.path / name).write_bytes(content)
        with pytest.raises(AdapterError, match=rf"made/{name} {fault}.*Name a whole adapter folder") as refused:
            store.install(adapter.path)
        assert "\n" not in str(refused.value)
        (adapter.path / name).unlink()
        with pytest.raises(AdapterError, match=rf"made holds no {name}\. Name a whole adapter folder"):
            store.install(adapter.path)
        (adapter.path / name).write_bytes(whole[name])
    assert not store.root.exists()
    assert store.install(adapter.path).full_name == "mine@v0001"


def test_a_cards_name_does_not_lead_out_of_the_store(adapter: StoredAdapter, tmp_path: Path):
    about = json.loads((adapter.path / "card.json").read_text()) | {"name": "../../escaped"}
    (adapter.path / "card.json").write_text(json.dumps(about))
    with pytest.raises(AdapterError, match=r"made/card\.json: name: .*, got '\.\./\.\./escaped'\. Correct it"):
        AdapterStore(tmp_path / "a" / "b" / "store").install(adapter.path)
    assert not list(tmp_path.rglob("*escaped*"))


def test_a_store_that_cannot_be_written_is_one_clear_line(adapter: StoredAdapter, tmp_path: Path):
    (tmp_path / "store").write_text("a file")
    with pytest.raises(FinetuneError, match=r"cannot save .*store/mine/v0001: .*name a folder that can be written"):
        AdapterStore(tmp_path / "store").install(adapter.path)


def test_a_card_from_before_says_nothing_of_it(base: Base, tmp_path: Path):
    old = json.loads(card(base).model_dump_json())
    del old["installed_despite"]
    (tmp_path / "card.json").write_text(json.dumps(old))
    assert read_card(tmp_path).installed_despite is None
    assert "Refused" not in card_text(read_card(tmp_path))

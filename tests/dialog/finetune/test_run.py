"""A whole run on a small model with the default tokenizer: from files to an installed or refused adapter."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from peft import PeftModel
from transformers import AutoModelForCausalLM

from dialog.errors import FinetuneError
from dialog.finetune.adapters import AdapterStore, merge_into, read_card
from dialog.finetune.config import Config, LoraSettings
from dialog.finetune.lora import add_adapter, trained
from dialog.finetune.retention import Perplexity
from dialog.finetune.run import Base, run, scaled_back

WORDS = "sun moon river stone tree house bread water light road hill field cloud rain wind snow".split()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, default_model: Path) -> Base:
    """A random model of four thin layers beside the default model's tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("small")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=49_152, hidden_size=16, intermediate_size=24, num_hidden_layers=4, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=512, tie_word_embeddings=True,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(default_model / name, folder)
    return Base("small", folder, "revision-of-small")


def files(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    rows = [
        {"context": [{"role": "user", "content": f"say {a}"}], "response": f"{a} {b}", "unsafe": int(i % 2)}
        for i, (a, b) in enumerate((a, b) for a in WORDS for b in WORDS[:4])
    ]
    (folder / "safety.jsonl").write_text("\n".join(map(json.dumps, rows)))
    replies = [{key: value for key, value in row.items() if key != "unsafe"} for row in rows]
    (folder / "replies.jsonl").write_text("\n".join(map(json.dumps, replies)))
    (folder / "general.txt").write_text("\n\n".join(f"{' '.join(WORDS)} {i} " * 6 for i in range(30)))
    return folder


def config(**changes) -> Config:
    value = {
        "name": "small",
        "model": "small",
        "method": "ewc",
        "held_out": 0.3,
        "lora": {"rank": 2},
        "ewc": {"weight": 1.0, "samples": 4, "sample_tokens": 16},
        "retention": {"texts": ["general.txt"], "tokens": 256, "max_ratio": 2.0},
        "train": {"steps": 3, "batch_size": 4, "max_tokens": 64, "save_every": 1, "evaluate_every": 2, "device": "cpu"},
        "tasks": {
            "safety": {"sources": [{"path": "safety.jsonl", "licence": "own"}]},
            "reply": {"sources": [{"path": "replies.jsonl"}]},
        },
    }
    return Config.model_validate(value | changes)


@pytest.mark.parametrize("method", ["ewc", "replay", "lora"])
def test_a_run_ends_in_an_adapter_with_a_card_and_goes_on_where_it_stopped(base: Base, tmp_path: Path, method: str):
    store = AdapterStore(tmp_path / "adapters")
    data = files(tmp_path / "data")
    first = run(config(method=method), data, base, runs=tmp_path / "run", store=store)
    assert first.adapter == "small@v0001"
    found = read_card(first.path)
    assert (found.base_revision, found.method) == ("revision-of-small", method)
    assert {(use.task, use.licence) for use in found.data} == {("safety", "own"), ("reply", "unknown")}
    assert all(use.held_out > 0 for use in found.data)
    assert found.safety_threshold is not None
    assert found.metrics["retention_ratio"] == pytest.approx(first.retention_ratio, abs=1e-4)
    assert (first.path / "curves.png").is_file()
    assert (tmp_path / "run" / "fisher.safetensors").is_file() == (method == "ewc")
    PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base.folder), str(first.path))
    again = run(config(method=method), data, base, runs=tmp_path / "run", store=store)
    assert (again.resumed_from, again.adapter) == (3, "small@v0002")


def test_the_card_names_the_dialect_that_was_trained(base: Base, tmp_path: Path, default_model: Path):
    shutil.copy(default_model / "chat_template.jinja", base.folder)
    data = files(tmp_path / "data")
    retention = {"texts": [str(data / "general.txt")], "tokens": 256, "max_ratio": 2.0}
    made = run(
        config(method="lora", dialect="judged", retention=retention), data, base,
        runs=tmp_path / "run", store=AdapterStore(tmp_path / "adapters"),
    )  # fmt: skip
    assert read_card(made.path).dialect == "judged"
    assert read_card(made.path).recipe["retention"]["texts"] == ["general.txt"], "a card names no folder of a machine"
    (base.folder / "chat_template.jinja").unlink()
    with pytest.raises(FinetuneError, match=r"'judged' does not fit small: .* has no chat template"):
        run(
            config(method="lora", dialect="judged"), tmp_path / "data", base,
            runs=tmp_path / "other", store=AdapterStore(tmp_path / "adapters"),
        )  # fmt: skip


def test_a_run_that_forgets_is_kept_and_marked_but_not_installed(base: Base, tmp_path: Path, monkeypatch):
    measured = iter(
        (10.0, 10.0, 10.3, 10.6, 10.6)
    )  # before, then while training, then after: a random model only gains
    monkeypatch.setattr(
        "dialog.finetune.run.perplexity", lambda *a, **k: Perplexity(tokens=256, perplexity=next(measured))
    )
    strict = {"texts": ["general.txt"], "tokens": 256, "max_ratio": 1.05}
    data, store = files(tmp_path / "data"), AdapterStore(tmp_path / "adapters")
    with pytest.raises(FinetuneError, match=r"1\.0600 × the base model's, above 1\.0500.*not installed"):
        run(config(method="lora", retention=strict), data, base, runs=tmp_path / "run", store=store)
    assert store.list() == []
    refused = tmp_path / "run" / "refused"
    [path] = refused.iterdir()
    assert read_card(path).refused is not None
    assert store.install(path).full_name == "small@v0001"  # on a person's word


def test_an_adapter_is_scaled_back_until_it_passes_and_left_alone_where_it_cannot(
    base: Base, tmp_path: Path, monkeypatch
):
    import torch

    def losing(model, measured) -> Perplexity:  # as a quadratic: 2% at full scale
        share = max(float(p.detach().abs().max()) for n, p in model.named_parameters() if "lora_B" in n)
        return Perplexity(tokens=256, perplexity=10.0 * (1 + 0.02 * share**2))

    monkeypatch.setattr("dialog.finetune.run.perplexity", losing)
    model = add_adapter(AutoModelForCausalLM.from_pretrained(base.folder), LoraSettings(rank=2), base="b", revision="r")
    for name, parameter in trained(model).items():
        if "lora_B" in name:
            torch.nn.init.ones_(parameter)
    before = Perplexity(tokens=256, perplexity=10.0)
    may = config().retention.model_copy(update={"max_ratio": 1.01, "least_scale": 0.6})
    scale, found = scaled_back(model, [], before, config().model_copy(update={"retention": may}))
    assert (scale, round(found.perplexity, 3)) == (0.7, 10.098)
    strict = may.model_copy(update={"max_ratio": 1.001})
    scale, found = scaled_back(model, [], before, config().model_copy(update={"retention": strict}))
    assert (scale, round(found.perplexity, 3)) == (1.0, 10.098)  # as it was given


def test_merged_weights_say_what_the_adapter_said(base: Base, tmp_path: Path):
    import torch

    store = AdapterStore(tmp_path / "adapters")
    run(config(method="lora"), files(tmp_path / "data"), base, runs=tmp_path / "run", store=store)
    adapter = store.find("small")
    out = merge_into(adapter, base.folder, base.revision, tmp_path / "merged")
    ids = torch.arange(3, 20)[None]
    with torch.no_grad():
        adapted = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base.folder), str(adapter.path))
        torch.testing.assert_close(
            AutoModelForCausalLM.from_pretrained(out)(ids).logits, adapted(ids).logits, rtol=1e-4, atol=1e-5
        )


def test_examples_longer_than_the_models_window_are_refused(base: Base, tmp_path: Path):
    train = config().train.model_dump() | {"max_tokens": 4096}
    with pytest.raises(FinetuneError, match="reads at most 512 tokens"):
        run(
            config(train=train), files(tmp_path / "data"), base,
            runs=tmp_path / "run", store=AdapterStore(tmp_path / "adapters"),
        )  # fmt: skip

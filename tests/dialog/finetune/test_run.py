"""A whole run on a small model with the default tokenizer: from files to an installed or refused adapter."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from dialog.errors import FinetuneError, RecordError
from dialog.finetune.adapters import AdapterStore, merge_into, read_card
from dialog.finetune.config import LoraSettings
from dialog.finetune.lock import only_run
from dialog.finetune.lora import add_adapter, trained
from dialog.finetune.retention import Perplexity
from dialog.finetune.run import Base, Watch, run, scaled_back
from dialog.finetune.run_log import read_metrics
from dialog.finetune.sources import load_task_data
from dialog.messages import Message
from tests.dialog.finetune.small import config, files


@pytest.mark.parametrize("method", ["ewc", "replay", "lora"])
def test_a_run_ends_in_an_adapter_with_a_card_and_goes_on_where_it_stopped(base: Base, tmp_path: Path, method: str):
    store = AdapterStore(tmp_path / "adapters")
    data = files(tmp_path / "data")
    first = run(config(method=method), data, base, runs=tmp_path / "run", store=store)
    assert first.adapter == "small@v0001"
    found = read_card(first.path)
    assert (found.base_revision, found.method) == ("revision-of-small", method)
    assert {(use.task, use.licence) for use in found.data if use.kind != "text"} == {
        ("safety", "own"), ("reply", "unknown")
    }  # fmt: skip
    assert all(use.held_out > 0 for use in found.data)
    drawn = 3 * 4
    general = [use for use in found.data if use.kind == "text"]
    assert sum(use.records for use in found.data if use not in general) <= drawn, "what was drawn, not what there is"
    assert [(use.task, use.licence) for use in general] == {
        "ewc": [("Fisher information", "CC0-1.0")], "replay": [("replay", "CC0-1.0")], "lora": []
    }[method]  # fmt: skip
    if method == "replay":
        assert general[0].records == 2, "a fifth of the examples"
    assert found.safety_threshold is not None
    assert 0 < found.metrics["loss, replies"] < found.metrics["loss of the base model, replies"] + 1
    curve = [row["held_out_loss"] for row in read_metrics(tmp_path / "run" / "metrics.jsonl") if "held_out_loss" in row]
    assert len(curve) == 3, "before, after two steps, at the end"
    assert found.metrics["retention_ratio"] == pytest.approx(first.retention_ratio, abs=1e-4)
    assert (first.path / "curves.png").is_file()
    assert (tmp_path / "run" / "fisher.safetensors").is_file() == (method == "ewc")
    PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base.folder), str(first.path))


def test_the_same_command_again_finds_what_it_installed(base: Base, tmp_path: Path):
    store, told = AdapterStore(tmp_path / "adapters"), []
    data = files(tmp_path / "data")

    def again():
        return run(
            config(method="lora"), data, base, runs=tmp_path / "run", store=store, watch=Watch(stage=told.append)
        )

    first = again()
    second = again()
    assert (second.adapter, second.path, second.installed_before) == (first.adapter, first.path, True)
    assert [one.full_name for one in store.list()] == ["small@v0001"]
    assert "small@v0001 was installed before" in told[-1]
    # What was removed is made again, from the checkpoint; the same weights.
    shutil.move(first.path, tmp_path / "moved")
    third = again()
    assert (third.resumed_from, third.installed_before) == (3, False)
    weights = "adapter_model.safetensors"
    assert (third.path / weights).read_bytes() == (tmp_path / "moved" / weights).read_bytes()
    # Other settings are another run, also in the same folder.
    gentle = config(method="lora", retention=config().retention.model_dump() | {"max_ratio": 3.0})
    assert run(gentle, data, base, runs=tmp_path / "run", store=store).adapter == "small@v0002"


def test_curves_that_cannot_be_drawn_cost_no_adapter_and_install_none_twice(base: Base, tmp_path: Path, monkeypatch):
    store, told = AdapterStore(tmp_path / "adapters"), []
    data = files(tmp_path / "data")

    def again():
        return run(
            config(method="lora"), data, base, runs=tmp_path / "run", store=store, watch=Watch(stage=told.append)
        )  # fmt: skip

    def full(*args, **options):
        raise FinetuneError("cannot save curves.png: the disk is full.")

    def killed(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("dialog.finetune.run.remember", full)
    with pytest.raises(FinetuneError, match="disk is full"):
        again()
    assert store.list() == [], "what cannot be remembered is not installed"
    monkeypatch.undo()
    monkeypatch.setattr("dialog.finetune.run.draw_curves", killed)
    with pytest.raises(KeyboardInterrupt):
        again()
    found = again()
    assert (found.adapter, found.installed_before) == ("small@v0001", True)
    shutil.rmtree(found.path)
    monkeypatch.setattr("dialog.finetune.run.draw_curves", full)
    assert (again().installed_before, again().installed_before) == (False, True)
    assert "curves.png is not drawn: cannot save curves.png: the disk is full." in told
    assert [one.full_name for one in store.list()] == ["small@v0001"]


def test_an_adapter_that_was_remembered_but_never_appeared_is_made_again(base: Base, tmp_path: Path, monkeypatch):
    store, data = AdapterStore(tmp_path / "adapters"), files(tmp_path / "data")
    whole = Path.rename

    def killed(self, target):
        if Path(target).name == "v0001":
            raise KeyboardInterrupt
        return whole(self, target)

    monkeypatch.setattr(Path, "rename", killed)
    with pytest.raises(KeyboardInterrupt):
        run(config(method="lora"), data, base, runs=tmp_path / "run", store=store)
    assert store.list() == []
    monkeypatch.undo()
    found = run(config(method="lora"), data, base, runs=tmp_path / "run", store=store)
    assert (found.adapter, found.installed_before, found.resumed_from) == ("small@v0001", False, 3)


def test_two_runs_do_not_share_a_folder(base: Base, tmp_path: Path):
    store, data, folder = AdapterStore(tmp_path / "adapters"), files(tmp_path / "data"), tmp_path / "run"
    with only_run(folder), pytest.raises(FinetuneError, match=rf"another process trains in {folder}\. Wait .*--out"):
        run(config(method="lora"), data, base, runs=folder, store=store)
    assert not folder.exists(), "nothing was left there"
    assert run(config(method="lora"), data, base, runs=folder, store=store).adapter == "small@v0001"
    assert not (folder / "run.lock").exists()


def test_a_run_that_measures_forgetting_on_little_text_says_so_and_its_card_how_much(base: Base, tmp_path: Path):
    told: list[str] = []
    data, store = files(tmp_path / "data"), AdapterStore(tmp_path / "adapters")

    def run_with(**retention):
        wanted = config(method="lora", retention=config().retention.model_dump() | retention)
        watch = Watch(stage=told.append)
        return run(wanted, data, base, runs=tmp_path / "run", store=store, watch=watch)

    assert read_card(run_with().path).metrics["retention_tokens"] == 256
    assert not [line for line in told if "retention is measured" in line]
    (data / "short.txt").write_text("Only a few words are here.")
    tokens = read_card(run_with(texts=["short.txt"]).path).metrics["retention_tokens"]
    assert 3 < tokens < 20
    [line] = [line for line in told if "retention is measured" in line]
    assert f"on {tokens:.0f} tokens, fewer than retention.tokens=256" in line
    (data / "word.txt").write_text("A")
    told.clear()
    with pytest.raises(RecordError, match="holds 0 tokens to predict"):
        run_with(texts=["word.txt"])
    assert told == ["reading data"], "found before the long work"


def test_weights_that_are_broken_are_never_installed(base: Base, tmp_path: Path):
    store = AdapterStore(tmp_path / "adapters")
    replies = {"reply": {"sources": [{"path": "replies.jsonl"}]}}
    rates = config().train.model_dump() | {"learning_rate": 1e30, "steps": 1}
    broken = config(method="lora", tasks=replies, train=rates)
    with pytest.raises(FinetuneError, match=r"train\.learning_rate"):
        run(broken, files(tmp_path / "data"), base, runs=tmp_path / "run", store=store)
    assert store.list() == []


def test_labels_that_were_corrected_are_measured_again(base: Base, tmp_path: Path):
    store, data = AdapterStore(tmp_path / "adapters"), files(tmp_path / "data")
    first = run(config(method="lora"), data, base, runs=tmp_path / "run", store=store)
    held_out = {one.context for source in load_task_data(config(), data) for one in source.held_out}
    rows = [json.loads(line) for line in (data / "safety.jsonl").read_text().splitlines()]
    for row in rows:
        if (Message(**row["context"][0]),) in held_out:
            row["unsafe"] = 1 - row["unsafe"]
    (data / "safety.jsonl").write_text("\n".join(map(json.dumps, rows)))
    again = run(config(method="lora"), data, base, runs=tmp_path / "run", store=store)
    assert (first.adapter, again.adapter, again.resumed_from) == ("small@v0001", "small@v0002", 3)
    assert again.safety_threshold != first.safety_threshold


def test_weights_of_other_settings_are_not_taken_for_a_runs_own(base: Base, tmp_path: Path):
    store, told = AdapterStore(tmp_path / "adapters"), []
    data = files(tmp_path / "data")

    def run_with(**changes):
        return run(
            config(**changes), data, base, runs=tmp_path / "run", store=store, watch=Watch(stage=told.append)
        )  # fmt: skip

    run_with()
    for changes, what in [
        ({"method": "lora"}, r"method was ewc, now lora"),
        ({"ewc": config().ewc.model_dump() | {"weight": 2.0}}, r"run: ewc\.weight was 1\.0, now 2\.0\. Give"),
        ({"lora": {"rank": 2, "alpha": 8.0}}, r"run: lora\.alpha was 32\.0, now 8\.0\. Give"),
        ({"train": config().train.model_dump() | {"learning_rate": 1e-3}}, r"run: train\.learning_rate was 0\.0002"),
        ({"ewc": config().ewc.model_dump() | {"samples": 5}}, r"run: other Fisher information\. Give"),
    ]:
        with pytest.raises(FinetuneError, match=what):
            run_with(**changes)
    assert sum(text.startswith("Fisher information of") for text in told) == 2, "of other samples it is computed anew"
    # What decides no weight may change: less memory, another retention gate.
    gentle = config().retention.model_dump() | {"max_ratio": 3.0}
    less = config().train.model_dump() | {"micro_tokens": 64, "keep": 1}
    assert run_with(retention=gentle, train=less).resumed_from == 3


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
    # Before, then while training, then after: a random model only gains.
    measured = iter((10.0, 10.0, 10.3, 10.6, 10.6))
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
    with pytest.raises(FinetuneError, match="not installed"):  # the same again is not measured again
        run(config(method="lora", retention=strict), data, base, runs=tmp_path / "run", store=store)
    assert list(refused.iterdir()) == [path]
    assert store.install(path).full_name == "small@v0001"  # on a person's word


@pytest.mark.parametrize(
    ("method", "anew"),
    [("ewc", "Raise ewc.weight or"), ("replay", "Raise replay.share or"), ("lora", "Set method=ewc or")],
)
def test_a_refused_run_is_told_what_helps_its_method_and_first_what_needs_no_training(
    base: Base, tmp_path: Path, monkeypatch, method: str, anew: str
):
    ratio = iter((10.0, 10.0, 10.0, 10.6, 10.6, 10.0, 10.5))
    monkeypatch.setattr(
        "dialog.finetune.run.perplexity", lambda *a, **k: Perplexity(tokens=256, perplexity=next(ratio))
    )
    data, store, told = files(tmp_path / "data"), AdapterStore(tmp_path / "adapters"), []

    def run_with(**retention):
        wanted = config(method=method, retention=config().retention.model_dump() | retention)
        return run(wanted, data, base, runs=tmp_path / "run", store=store, watch=Watch(stage=told.append))

    with pytest.raises(FinetuneError) as refused:
        run_with(max_ratio=1.01)
    said = str(refused.value)
    assert "Without training anew: lower retention.least_scale (now 1)" in said
    assert "raise retention.max_ratio (now 1.01)" in said
    assert said.index("Without training anew") < said.index(anew)
    told.clear()
    made = run_with(max_ratio=1.1)  # as it says
    assert (made.adapter, made.resumed_from) == ("small@v0001", 3)
    assert not [line for line in told if "Fisher information of" in line]


def test_an_adapter_is_scaled_back_until_it_passes_and_left_alone_where_it_cannot(
    base: Base, tmp_path: Path, monkeypatch
):
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
    open_gate = may.model_copy(update={"max_ratio": 1.001, "least_scale": 0.1, "enforce": False})
    assert scaled_back(model, [], before, config().model_copy(update={"retention": open_gate}))[0] == 1.0
    strict = may.model_copy(update={"max_ratio": 1.001})
    scale, found = scaled_back(model, [], before, config().model_copy(update={"retention": strict}))
    assert (scale, round(found.perplexity, 3)) == (1.0, 10.098)  # as it was given


def test_merged_weights_say_what_the_adapter_said(base: Base, tmp_path: Path):
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


def test_a_fisher_file_that_is_named_must_be_there_before_the_long_work(base: Base, tmp_path: Path):
    told: list[str] = []
    mine = config(ewc={"weight": 1.0, "fisher": "other.safetensors"})
    with pytest.raises(FinetuneError, match=r"data/other\.safetensors does not exist\. Correct ewc\.fisher"):
        run(
            mine, files(tmp_path / "data"), base,
            runs=tmp_path / "run", store=AdapterStore(tmp_path / "adapters"), watch=Watch(stage=told.append),
        )  # fmt: skip
    assert told == []


def test_a_model_that_does_not_fit_in_memory_is_not_called_broken(base: Base, tmp_path: Path, monkeypatch):
    def exhausted(*args, **options):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", exhausted)
    with pytest.raises(FinetuneError, match=r"out of memory while loading the model\. Name a smaller model"):
        run(
            config(), files(tmp_path / "data"), base,
            runs=tmp_path / "run", store=AdapterStore(tmp_path / "adapters"),
        )  # fmt: skip


def test_two_processes_make_one_adapter_that_says_what_one_process_taught(base: Base, tmp_path: Path):
    data = files(tmp_path / "data")
    recipe = config().model_dump(mode="json", exclude={"start", "filter", "data"}) | {"model": str(base.folder)}
    (data / "small.yaml").write_text(json.dumps(recipe))  # JSON is YAML
    found = {}
    for processes in (1, 2):
        home = tmp_path / f"home{processes}"
        launch = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"] if processes == 2 else []
        done = subprocess.run(
            [sys.executable, *launch, "-m", "serve.cli.main", "finetune", str(data / "small.yaml")],
            env={**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", "GROUNDLING_HOME": str(home)},
            capture_output=True, text=True, timeout=300, cwd=Path(__file__).parents[3],
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("small@v0001 in ") == 1, "the other processes say nothing"
        [one] = AdapterStore(home / "adapters").list()
        found[processes] = load_file(one.path / "adapter_model.safetensors")
    for name, value in found[1].items():
        torch.testing.assert_close(found[2][name], value, rtol=1e-2, atol=1e-3)

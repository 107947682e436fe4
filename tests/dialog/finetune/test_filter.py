"""Filtering of generation data by an adapter's discriminators (LaMDA, section 5.1)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM

from dialog.errors import FinetuneError
from dialog.finetune.adapters import AdapterCard, AdapterStore, read_card, write_adapter
from dialog.finetune.config import LoraSettings
from dialog.finetune.lora import add_adapter
from dialog.finetune.run import Base, run
from tests.dialog.finetune.small import config, files

REPLIES = {"reply": {"sources": [{"path": "replies.jsonl"}]}}


def store_with(base: Base, root: Path, **card: Any) -> AdapterStore:
    """A store with one adapter of the base model, called scorer."""
    model = add_adapter(AutoModelForCausalLM.from_pretrained(base.folder), LoraSettings(rank=2), base="b", revision="r")
    about = {"name": "scorer", "base_model": "small", "base_revision": base.revision, "method": "lora"}
    write_adapter(root / "made", model, AdapterCard(**(about | card)))
    store = AdapterStore(root / "adapters")
    store.install(root / "made")
    return store


def filtered_run(base: Base, folder: Path, store: AdapterStore, **settings: Any) -> Any:
    wanted = {"adapter": "scorer", "safe": 0.5, "quality": 0.0, **settings}
    mine = config(method="lora", filter=wanted, tasks=REPLIES, held_out=0.0)
    return run(mine, files(folder / "data"), base, runs=folder / "run", store=store)


def test_only_what_the_named_adapters_discriminators_pass_is_trained_on(base: Base, tmp_path: Path, monkeypatch):
    read: list[Any] = []

    def probabilities(judge, examples, *, pad: int) -> list[list[float]]:
        read.extend(examples)
        return [[1.0, 1.0, 1.0, float(i % 4 == 0)] for i in range(len(examples))]  # one in four is safe

    monkeypatch.setattr("dialog.finetune.filtering.label_probabilities", probabilities)
    made = filtered_run(base, tmp_path, store_with(base, tmp_path))
    assert len(read) == 64
    assert all(len(example.labels) == 4 for example in read)
    [use] = read_card(made.path).data
    assert use.records == 12, "of the 16 that passed three steps of four draw 12"


def test_the_discriminators_really_read_the_replies(base: Base, tmp_path: Path):
    with pytest.raises(
        FinetuneError, match=r"all 64 records of task 'reply' are dropped by the filter.*filter\.quality"
    ):
        filtered_run(base, tmp_path, store_with(base, tmp_path), quality=5.0)


def test_a_folder_below_the_data_is_taken_too(base: Base, tmp_path: Path):
    store = store_with(base, tmp_path)
    files(tmp_path / "data")
    (tmp_path / "made").rename(tmp_path / "data" / "made")
    assert filtered_run(base, tmp_path, store, adapter="made", safe=0.0).adapter == "small@v0001"


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ({"dialect": "chat"}, "'chat', which has no trained discriminators.*judged or tuned"),
        ({"dialect": "judged"}, "of dialect 'judged': .* no chat template"),
        ({"base_revision": "another-model"}, r"was trained on small \(another-mode\).*Name an adapter of small"),
    ],
)
def test_an_adapter_that_does_not_fit_is_refused(base: Base, tmp_path: Path, card: dict, message: str):
    with pytest.raises(FinetuneError, match=message):
        filtered_run(base, tmp_path, store_with(base, tmp_path, **card))


def test_an_unknown_adapter_is_named_with_those_that_there_are(base: Base, tmp_path: Path):
    with pytest.raises(FinetuneError, match=r"filter\.adapter: no adapter 'scorre'. Installed: scorer@v0001"):
        filtered_run(base, tmp_path, store_with(base, tmp_path), adapter="scorre")

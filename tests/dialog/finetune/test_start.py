"""Going on from an adapter that was trained before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from dialog.errors import FinetuneError
from dialog.finetune.adapters import AdapterStore, read_card
from dialog.finetune.run import Base, run
from tests.dialog.finetune.small import config, files

WEIGHTS = "adapter_model.safetensors"
STILL = config().train.model_dump() | {"steps": 1, "learning_rate": 1e-9}
"""One step that changes nothing that float16 shows."""


def run_with(base: Base, root: Path, folder: str, **changes: Any) -> Any:
    store = AdapterStore(root / "adapters")
    return run(config(method="lora", **changes), files(root / "data"), base, runs=root / folder, store=store)


def test_a_run_goes_on_from_an_adapters_weights_and_its_card_says_from_which(base: Base, tmp_path: Path):
    first = run_with(base, tmp_path, "one")
    second = run_with(base, tmp_path, "two", name="more", start="small", train=STILL)
    before, after = load_file(first.path / WEIGHTS), load_file(second.path / WEIGHTS)
    assert before.keys() == after.keys()
    assert all(torch.allclose(before[name].float(), after[name].float(), atol=1e-6) for name in before)
    assert any(value.float().abs().max() > 1e-4 for name, value in before.items() if "lora_B" in name)
    card = read_card(second.path)
    assert card.recipe["start"] == "small@v0001"
    assert {use.task for use in card.data} == {"safety", "reply", "small@v0001: safety", "small@v0001: reply"}


def test_layers_that_the_start_does_not_adapt_begin_fresh(base: Base, tmp_path: Path):
    run_with(base, tmp_path, "one", lora={"rank": 2, "from_layer": 2})
    second = run_with(base, tmp_path, "two", name="more", start="small", train=STILL)
    after = load_file(second.path / WEIGHTS)
    learned = {name: float(value.float().abs().max()) > 1e-6 for name, value in after.items() if "lora_B" in name}
    assert all(learned[name] == (".layers.2." in name or ".layers.3." in name) for name in learned)


def test_a_newer_version_of_the_start_is_another_run(base: Base, tmp_path: Path):
    run_with(base, tmp_path, "one")
    run_with(base, tmp_path, "two", name="more", start="small")
    run_with(base, tmp_path, "three", train=config().train.model_dump() | {"seed": 1})
    with pytest.raises(FinetuneError, match="other start"):
        run_with(base, tmp_path, "two", name="more", start="small")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"start": "small"}, r"this run's own name.*Set start=small@v0001"),
        ({"start": "small", "name": "more", "held_out": 0.2}, r"with held_out 0\.3, .* Set held_out=0\.3"),
        (
            {"start": "small", "name": "more", "retention": {"texts": ["safety.jsonl"], "max_ratio": 2.0}},
            r"measured retention on general\.txt",
        ),
        ({"start": "smal"}, r"start: no adapter 'smal'\. Installed: small@v0001"),
        ({"start": "small", "lora": {"rank": 4}}, r"start small has lora\.rank 2, but this run 4\. Set lora\.rank=2"),
        ({"start": "small", "dialect": "judged"}, r"start small has dialect tuned, but this run judged"),
        (
            {"start": "small", "name": "more", "lora": {"rank": 2, "from_layer": 2}},
            r"adapts 28 matrices that .*Lower lora\.from_layer",
        ),
    ],
)
def test_a_start_that_does_not_fit_is_refused(base: Base, tmp_path: Path, changes: dict[str, Any], message: str):
    run_with(base, tmp_path, "one")
    with pytest.raises(FinetuneError, match=message):
        run_with(base, tmp_path, "two", **changes)


def test_a_start_of_another_base_model_is_refused(base: Base, tmp_path: Path):
    run_with(base, tmp_path, "one")
    with pytest.raises(FinetuneError, match=r"start small was trained on small .*Name an adapter of small"):
        run_with(base._replace(revision="another"), tmp_path, "two", start="small")

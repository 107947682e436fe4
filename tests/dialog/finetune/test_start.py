"""Going on from an adapter that was trained before."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from dialog.errors import FinetuneError
from dialog.finetune.adapters import AdapterStore, read_card
from dialog.finetune.run import Base, Watch, run
from dialog.finetune.start import find_starts
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
    assert card.recipe["start"] == ["small@v0001"]
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


def changes_of(folder: Path) -> dict[str, torch.Tensor]:
    """ΔW = (α/r)·B·A by layer, as peft's own files say it."""
    weights, settings = load_file(folder / WEIGHTS), json.loads((folder / "adapter_config.json").read_text())
    scale = settings["lora_alpha"] / settings["r"]
    names = [name.removesuffix(".lora_A.weight") for name in weights if name.endswith("lora_A.weight")]
    return {
        name: scale * (weights[f"{name}.lora_B.weight"].float() @ weights[f"{name}.lora_A.weight"].float())
        for name in names
    }


def closeness(of: dict[str, torch.Tensor], to: dict[str, torch.Tensor]) -> float:
    """Largest error of a layer, relative to that layer's norm."""
    return max(float((of[name] - to[name]).norm() / to[name].norm()) for name in to)


def two_adapters(base: Base, root: Path) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    first = run_with(base, root, "one", lora={"rank": 2, "from_layer": 2, "alpha": 16})
    second = run_with(base, root, "other", name="other", train=config().train.model_dump() | {"seed": 1})
    return changes_of(first.path), changes_of(second.path)


def test_what_several_adapters_change_is_added(base: Base, tmp_path: Path):
    one, other = two_adapters(base, tmp_path)
    assert one.keys() < other.keys()
    both = run_with(base, tmp_path, "both", name="both", start=["small", "other"], lora={"rank": 4}, train=STILL)
    sums = {name: change + one[name] if name in one else change for name, change in other.items()}
    assert closeness(changes_of(both.path), sums) < 2e-3  # float16 in the files
    card = read_card(both.path)
    assert card.recipe["start"] == ["small@v0001", "other@v0001"]
    assert {use.task for use in card.data if "@" in use.task} == {
        f"{name}@v0001: {task}" for name in ("small", "other") for task in ("safety", "reply")
    }


def test_a_rank_that_does_not_suffice_keeps_the_nearest_matrix_and_says_how_near(base: Base, tmp_path: Path):
    one, other = two_adapters(base, tmp_path)
    said: list[str] = []
    store = AdapterStore(tmp_path / "adapters")
    wanted = config(method="lora", name="both", start=["small", "other"], train=STILL)  # of rank 2
    both = run(
        wanted, tmp_path / "data", base, runs=tmp_path / "both", store=store, watch=Watch(stage=said.append)
    )  # fmt: skip
    found, shares = changes_of(both.path), []
    for name, change in other.items():
        whole = change + one[name] if name in one else change
        left, values, right = torch.linalg.svd(whole)  # of the dense matrix, unlike the run
        nearest = (left[:, :2] * values[:2]) @ right[:2]
        assert float((found[name] - nearest).norm() / nearest.norm()) < 2e-3
        shares.append(float(values[:2].square().sum() / values.square().sum()))
    assert f"going on from small@v0001, other@v0001; of a layer's change rank 2 keeps {min(shares):.1%} or more" in said


def test_a_smaller_start_leaves_the_rest_of_the_rank_fresh_and_able_to_learn(base: Base, tmp_path: Path):
    first = run_with(base, tmp_path, "one")
    second = run_with(base, tmp_path, "two", name="more", start="small", lora={"rank": 4}, train=STILL)
    assert closeness(changes_of(second.path), changes_of(first.path)) < 2e-3
    weights = load_file(second.path / WEIGHTS)
    assert all(value.float().norm(dim=1).min() > 0 for name, value in weights.items() if "lora_A" in name)


def test_what_a_chat_adapter_knows_holds_in_a_run_that_also_judges(base: Base, default_model: Path, tmp_path: Path):
    instructed = base._replace(folder=Path(shutil.copytree(base.folder, tmp_path / "instructed")))
    shutil.copy(default_model / "chat_template.jinja", instructed.folder)
    replies = {"reply": {"sources": [{"path": "replies.jsonl"}]}}
    run_with(instructed, tmp_path, "one", name="talk", dialect="chat", held_out=0.0, tasks=replies)
    second = run_with(instructed, tmp_path, "two", start="talk", dialect="judged", train=STILL)
    assert read_card(second.path).recipe["start"] == ["talk@v0001"]  # and nothing that it saw is measured on


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
        ({"start": "small", "dialect": "judged"}, r"start small has dialect tuned, but this run judged"),
        (
            {"start": "small", "name": "more", "lora": {"rank": 2, "from_layer": 2}},
            r"start small@v0001 adapts model\.layers\.0\..*, which this run does not\. Lower lora\.from_layer",
        ),
    ],
)
def test_a_start_that_does_not_fit_is_refused(base: Base, tmp_path: Path, changes: dict[str, Any], message: str):
    run_with(base, tmp_path, "one")
    with pytest.raises(FinetuneError, match=message):
        run_with(base, tmp_path, "two", **changes)


@pytest.mark.parametrize(
    "settings",
    ['{"r": 2, "lora', "", "[]", "null", '{"peft_type": "NEW"}']
    + [
        f'{{"peft_type": "LORA", "r": {rank}, "lora_alpha": {alpha}}}'
        for rank, alpha in [(0, 4), (-2, 4), ('"2"', 4), (2, '"4"')]
    ],
)
def test_a_start_whose_settings_are_cut_or_odd_is_refused(tmp_path: Path, settings: str):
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / WEIGHTS).write_bytes(b"")
    (tmp_path / "odd" / "adapter_config.json").write_text(settings)
    wanted = config(method="lora", start="odd", name="more")
    with pytest.raises(FinetuneError, match=r"start odd: .*adapter_config\.json is no adapter's settings .*anew"):
        find_starts(wanted, tmp_path, AdapterStore(tmp_path / "adapters"), "revision")


def test_a_start_of_another_base_model_is_refused(base: Base, tmp_path: Path):
    run_with(base, tmp_path, "one")
    with pytest.raises(FinetuneError, match=r"start small was trained on small .*Name an adapter of small"):
        run_with(base._replace(revision="another"), tmp_path, "two", start="small")

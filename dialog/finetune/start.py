"""Going on from adapters that were trained before: what they know need not be learned again.

A run with `start` gives its fresh adapter what another one changes, or several together: their ΔW are added (task
arithmetic, arXiv 2212.04089) and cut to the run's rank. ΔW is still counted from the base model, so the EWC penalty and
the retention gate hold for all trainings together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from dialog.errors import FinetuneError
from dialog.finetune.adapters import AdapterCard, AdapterStore, DataUse, adapter_label, named_adapter
from dialog.finetune.config import Config, LoraSettings
from dialog.finetune.identity import file_digest
from dialog.finetune.records import judged_records
from dialog.finetune.sources import TaskData

WEIGHTS = "adapter_model.safetensors"


class StartAdapter(NamedTuple):
    """An adapter that a run goes on from."""

    name: str
    """With its version, where it has one."""
    path: Path
    digest: str
    """SHA-256 of its weights."""
    scale: float
    """α / r: what its product B·A is multiplied by."""
    card: AdapterCard | None

    @property
    def data(self) -> list[DataUse]:
        """What it was trained on; the task says of which adapter."""
        uses = self.card.data if self.card else []
        return [use.model_copy(update={"task": f"{self.name}: {use.task}"}) for use in uses]


class Change(NamedTuple):
    """ΔW = B·A of one linear layer."""

    down: torch.Tensor
    """A, [rank, inputs]."""
    up: torch.Tensor
    """B, [outputs, rank], with α / r multiplied in."""


def find_starts(config: Config, folder: Path, store: AdapterStore, revision: str) -> list[StartAdapter]:
    """The adapters of `start`: folders below the data, or ones that `store` knows by name or path.

    Raises FinetuneError where there is none of the name, or it is of another base model, dialect or kind, or the run's.
    """
    return [find_start(name, config, folder, store, revision) for name in config.start]


def find_start(wanted: str, config: Config, folder: Path, store: AdapterStore, revision: str) -> StartAdapter:
    """One of them."""
    path, card = named_adapter(wanted, "start", folder, store, model=config.model, revision=revision)
    if not (path / WEIGHTS).is_file():
        raise FinetuneError(f"start {wanted}: {path} holds no {WEIGHTS}. Name a whole adapter folder.")
    settings = read_settings(wanted, path)
    others = [
        key for key in ("use_dora", "use_rslora", "rank_pattern", "alpha_pattern") if getattr(settings, key, None)
    ]
    if others or not hasattr(settings, "lora_alpha"):
        kind = others[0] if others else str(settings.peft_type)
        raise FinetuneError(f"start {wanted} is not plain LoRA ({kind}). Name an adapter that is.")
    if card and card.dialect != config.dialect and (card.dialect, config.dialect) != ("chat", "judged"):
        # `judged` writes replies as `chat` does, so that what was learned in `chat` holds there.
        raise FinetuneError(
            f"start {wanted} has dialect {card.dialect}, but this run {config.dialect}. Set dialect={card.dialect}."
        )
    if wanted == config.name:
        raise FinetuneError(
            f"start {wanted} is this run's own name, so that the same command would go on from another version "
            f"each time. Set start={adapter_label(path)}."
        )
    check_retention(wanted, config, card)
    return StartAdapter(adapter_label(path), path, file_digest(path / WEIGHTS), settings.lora_alpha / settings.r, card)


def read_settings(wanted: str, path: Path) -> Any:
    """The adapter's settings as peft reads them. Raises FinetuneError where the file is cut or its values are odd."""
    from peft import PeftConfig

    try:
        settings: Any = PeftConfig.from_pretrained(str(path))
        rank, alpha = getattr(settings, "r", 1), getattr(settings, "lora_alpha", 1)
        if not (isinstance(rank, int) and rank > 0 and isinstance(alpha, int | float)):
            raise ValueError(f"r is {rank!r} and lora_alpha {alpha!r}")
        return settings
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())[:160]
        raise FinetuneError(
            f"start {wanted}: {path / 'adapter_config.json'} is no adapter's settings ({text}). Install it anew."
        ) from None


def check_retention(wanted: str, config: Config, card: AdapterCard | None) -> None:
    """Raises FinetuneError where `start` may have been trained on the text that this run measures retention on.

    What is left out of a training depends on the text that its retention is measured on.
    """
    texts = (card.recipe.get("retention") or {}).get("texts") if card else None
    if texts is not None and {Path(text).name for text in texts} != {
        Path(text).name for text in config.retention.texts
    }:
        raise FinetuneError(
            f"start {wanted} measured retention on {', '.join(texts)} and kept it out of its training; this run "
            "measures on other text, which it may have been trained on. Set retention.texts to those."
        )


def check_held_out(starts: Sequence[StartAdapter], config: Config, data: Sequence[TaskData]) -> None:
    """Raises FinetuneError where a start was trained on records that this run measures on.

    A split depends on a record's context and on the share that is held out, so only another share can mix them up.
    """
    judged = (one for one in data if judged_records(one.held_out))
    measured = {_source(one.source.kind, one.source.path) for one in judged}
    for start in starts:
        share = start.card.recipe.get("held_out") if start.card else None
        if share is None or share == config.held_out:
            continue
        if both := measured & {_source(use.kind, use.file) for use in start.data}:
            kind, file = sorted(both)[0]
            raise FinetuneError(
                f"start {start.name} was trained on {file or kind} with held_out {share}, this run holds out "
                f"{config.held_out}: it would be measured on what was trained on. Set held_out={share}."
            )


def _source(kind: str, path: str | None) -> tuple[str, str]:
    return kind, Path(path).name if path else ""


def load_starts(adapted: Any, starts: Sequence[StartAdapter], settings: LoraSettings) -> float:
    """Give the fresh adapter on `adapted` the sum of what `starts` change; returns the least share of it kept.

    The share is of a layer's sum of squares, 1 where the run's rank suffices. What no start uses of the rank, and
    layers that none adapts, stay fresh. Raises FinetuneError where one adapts a layer that this run does not.
    """
    from peft import get_peft_model_state_dict, set_peft_model_state_dict

    # Without embeddings, or it looks for the base model's configuration on the network.
    fresh: Any = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    every = [(start, read_changes(start)) for start in starts]
    kept, weights = 1.0, {}
    for name in {name: None for _, changes in every for name in changes}:
        found = [(start, changes[name]) for start, changes in every if name in changes]
        down, up = fresh.get(f"{name}.lora_A.weight"), fresh.get(f"{name}.lora_B.weight")
        if down is None or up is None:
            raise FinetuneError(
                f"start {found[0][0].name} adapts {name.removeprefix('base_model.model.')}, which this run does not. "
                "Lower lora.from_layer, or name more of lora.target_modules."
            )
        for start, change in found:
            if (change.up.shape[0], change.down.shape[1]) != (up.shape[0], down.shape[1]):
                raise FinetuneError(f"start {start.name} does not fit the model: {name} is of another size there.")
        change, share = added([change for _, change in found], settings.rank)
        used, kept = len(change.down), min(kept, share)
        down, up = down.clone(), up.clone()
        down[:used], up[:, :used] = change.down, change.up * (settings.rank / settings.alpha)
        weights |= {f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}
    set_peft_model_state_dict(adapted, weights)
    return kept


def read_changes(start: StartAdapter) -> Mapping[str, Change]:
    """What an adapter changes, by layer. Raises FinetuneError where its weights cannot be read."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        weights = load_file(str(start.path / WEIGHTS))
    except (SafetensorError, OSError) as error:
        raise FinetuneError(f"start {start.name}: {WEIGHTS} cannot be read: {error}. Install it anew.") from None
    names = [name.removesuffix(".lora_A.weight") for name in weights if name.endswith(".lora_A.weight")]
    if missing := [name for name in names if f"{name}.lora_B.weight" not in weights]:
        raise FinetuneError(f"start {start.name}: {WEIGHTS} lacks B of {missing[0]}. Install it anew.")
    return {
        name: Change(weights[f"{name}.lora_A.weight"].float(), weights[f"{name}.lora_B.weight"].float() * start.scale)
        for name in names
    }


def added(changes: Sequence[Change], rank: int) -> tuple[Change, float]:
    """(the sum of `changes` at no more than `rank`, the share of its sum of squares that is kept).

    The nearest matrix of a rank is what its singular value decomposition keeps; that of B·A comes from the small
    square between their QR factors.
    """
    if len(changes) == 1 and len(changes[0].down) <= rank:
        return changes[0], 1.0
    up, outer = torch.linalg.qr(torch.cat([change.up for change in changes], dim=1))
    down, inner = torch.linalg.qr(torch.cat([change.down for change in changes]).T)
    left, values, right = torch.linalg.svd(outer @ inner.T)
    root = values[:rank].sqrt()  # halved between both, so that one step moves them alike
    kept = Change((root[:, None] * right[:rank]) @ down.T, (up @ left[:, :rank]) * root)
    whole = float(values.square().sum())
    return kept, float(values[:rank].square().sum()) / whole if whole else 1.0

"""Going on from an adapter that was trained before: what it knows need not be learned again.

A run with `start` gives its fresh adapter the matrices of another one. ΔW is still counted from the base model, so the
EWC penalty and the retention gate hold for both trainings together.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from dialog.errors import FinetuneError
from dialog.finetune.adapters import AdapterCard, AdapterStore, DataUse, adapter_label, named_adapter
from dialog.finetune.config import Config
from dialog.finetune.identity import file_digest


class StartAdapter(NamedTuple):
    """The adapter that a run goes on from."""

    name: str
    """With its version, where it has one."""
    path: Path
    digest: str
    """SHA-256 of its weights."""
    data: tuple[DataUse, ...]
    """What it was trained on; the task says of which adapter."""


def find_start(config: Config, folder: Path, store: AdapterStore, revision: str) -> StartAdapter:
    """The adapter of `start`: a folder below the data, or one that `store` knows by name or path.

    Raises FinetuneError where there is none, or it is of another base model, dialect, rank or alpha than the run.
    """
    from peft import PeftConfig

    assert config.start is not None
    path, card = named_adapter(config.start, "start", folder, store, model=config.model, revision=revision)
    weights = path / "adapter_model.safetensors"
    if not weights.is_file():
        raise FinetuneError(f"start {config.start}: {path} holds no {weights.name}. Name a whole adapter folder.")
    settings: Any = PeftConfig.from_pretrained(str(path))
    for key, has, wants in (
        ("dialect", card.dialect if card else config.dialect, config.dialect),
        ("lora.rank", settings.r, config.lora.rank),
        ("lora.alpha", settings.lora_alpha, config.lora.alpha),
    ):
        if has != wants:
            raise FinetuneError(f"start {config.start} has {key} {has}, but this run {wants}. Set {key}={has}.")
    if config.start == config.name:
        raise FinetuneError(
            f"start {config.start} is this run's own name, so that the same command would go on from another version "
            f"each time. Set start={adapter_label(path)}."
        )
    check_held_out(config, card)
    name = adapter_label(path)
    uses = [use.model_copy(update={"task": f"{name}: {use.task}"}) for use in (card.data if card else ())]
    return StartAdapter(name, path, file_digest(weights), tuple(uses))


def check_held_out(config: Config, card: AdapterCard | None) -> None:
    """Raises FinetuneError where `start` may have been trained on what this run measures on.

    A split depends on a record's context and on the share that is held out; what is left out of training, on the text
    that retention is measured on.
    """
    recipe = card.recipe if card else {}
    held_out, texts = recipe.get("held_out"), (recipe.get("retention") or {}).get("texts")
    if held_out is not None and held_out != config.held_out:
        raise FinetuneError(
            f"start {config.start} was trained with held_out {held_out}, this run holds out {config.held_out}: it "
            f"would be measured on what was trained on. Set held_out={held_out}."
        )
    if texts is not None and {Path(text).name for text in texts} != {
        Path(text).name for text in config.retention.texts
    }:
        raise FinetuneError(
            f"start {config.start} measured retention on {', '.join(texts)} and kept it out of its training; this run "
            "measures on other text, which it may have been trained on. Set retention.texts to those."
        )


def load_start(adapted: Any, start: StartAdapter) -> None:
    """Give the fresh adapter on `adapted` the matrices of `start`.

    Layers that `start` does not adapt stay fresh. Raises FinetuneError where it adapts one that this run does not.
    """
    from peft import load_peft_weights, set_peft_model_state_dict

    try:
        weights: Any = load_peft_weights(str(start.path), device="cpu")
        result: Any = set_peft_model_state_dict(adapted, weights)
    except (RuntimeError, ValueError, KeyError, OSError) as error:
        text = " ".join(str(error).split())[:200]
        raise FinetuneError(f"start {start.name} does not fit the model: {text}") from None
    if result.unexpected_keys:
        raise FinetuneError(
            f"start {start.name} adapts {len(result.unexpected_keys)} matrices that this run does not, such as "
            f"{result.unexpected_keys[0]}. Lower lora.from_layer, or name more of lora.target_modules."
        )

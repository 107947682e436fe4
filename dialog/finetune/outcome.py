"""What a run came to, kept in its folder, so that the same command given again finds it instead of installing twice."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from dialog.errors import AdapterError, FinetuneError
from dialog.finetune.adapters import StoredAdapter, read_card
from dialog.finetune.saving import write_whole

FILE = "outcome.json"
WEIGHTS = "adapter_model.safetensors"


class RunResult(BaseModel):
    """What a run came to."""

    adapter: str
    path: Path
    resumed_from: int
    steps: int
    examples: int
    metrics: dict[str, float]
    perplexity_before: float
    perplexity_after: float
    retention_ratio: float
    safety_threshold: float | None
    installed_before: bool = Field(default=False, description="Whether an earlier run of the same command made it.")


class Outcome(BaseModel):
    """A result with what it depends on, and the hash of the weights that were written."""

    made_of: str
    weights: str
    result: RunResult


def made_of(*parts: str) -> str:
    """A hash of what decides a run's weights and whether they are installed."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def remember(runs: Path, parts: Iterable[str], result: RunResult, written: Path) -> None:
    """Keep the result in the run's folder, of the adapter that is `written` there and will be at `result.path`.

    Done before it appears, so that no kill or full disk leaves one that the same command would install again: what is
    remembered and not there was not installed. Raises FinetuneError where the disk refuses.
    """
    weights = hashlib.sha256((written / WEIGHTS).read_bytes()).hexdigest()
    outcome = Outcome(made_of=made_of(*parts), weights=weights, result=result)
    write_whole(runs / FILE, outcome.model_dump_json(indent=1))


def finished(runs: Path, parts: Iterable[str]) -> RunResult | None:
    """The result of this very run where its adapter is still there, unchanged; else None.

    Raises FinetuneError, as the run did, where the adapter was refused.
    """
    try:
        outcome = Outcome.model_validate_json((runs / FILE).read_bytes())
        path = outcome.result.path
        unchanged = hashlib.sha256((path / WEIGHTS).read_bytes()).hexdigest() == outcome.weights
        adapter = StoredAdapter(path=path, card=read_card(path))
    except (OSError, ValidationError, AdapterError):
        return None
    if not unchanged or outcome.made_of != made_of(*parts):
        return None
    refuse(adapter)
    return outcome.result.model_copy(update={"resumed_from": outcome.result.steps, "installed_before": True})


def refuse(adapter: StoredAdapter) -> None:
    """Raises FinetuneError where the adapter forgot too much to be installed.

    What needs no training comes first: an hour's weights are kept, and only the gate is passed anew.
    """
    if not adapter.card.refused:
        return
    retention = adapter.card.recipe.get("retention") or {}
    guard = {"ewc": "Raise ewc.weight", "replay": "Raise replay.share"}.get(adapter.card.method, "Set method=ewc")
    raise FinetuneError(
        f"{adapter.card.refused} The adapter is kept in {adapter.path} and not installed. Without training anew: lower "
        f"retention.least_scale (now {retention.get('least_scale', 1.0):g}), so that it may be scaled back further, or "
        f"raise retention.max_ratio (now {retention.get('max_ratio', 1.01):g}), or install it all the same: groundling "
        f"adapters install {adapter.path} . {guard} or train fewer steps, which trains anew."
    )

"""What the card of a run's adapter says: where the data came from, how it was made, what was measured.

Boundary: what a run prepared in, a card out; what is measured and whether it is installed is `run`'s affair.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dialog.finetune.adapters import AdapterCard, DataUse, adapter_label
from dialog.finetune.config import REPLAY, Config
from dialog.finetune.sources import TaskData

if TYPE_CHECKING:
    from dialog.finetune.run import Place, Prepared


def card_of(
    place: Place, prepared: Prepared, metrics: dict[str, float], *, safe: float | None, grounded: float | None
) -> AdapterCard:
    """The card of what was trained, with its figures and thresholds; its version is given where it is installed."""
    config = place.config
    return AdapterCard(
        name=config.name,
        base_model=place.base.name,
        base_revision=place.base.revision,
        dialect=config.dialect,
        method=config.method,
        recipe=resolved(config, prepared),
        data=[
            *(use for one in prepared.starts for use in one.data),
            *(use_of(one) for one in prepared.data),
            *general_use(config, prepared),
        ],
        metrics=metrics,
        safety_threshold=safe,
        grounded_threshold=grounded,
    )


def use_of(one: TaskData) -> DataUse:
    """What the card says of a source."""
    return DataUse(
        task=one.task,
        kind=one.source.kind,
        file=Path(one.source.path).name if one.source.path else None,
        licence=one.source.licence,
        records=one.used,
        held_out=len(one.held_out),
    )


def general_use(config: Config, prepared: Prepared) -> list[DataUse]:
    """What the card says of the general text that guards what the model knew; nothing where none does."""
    uses = {REPLAY: prepared.replayed} if config.method == "replay" else {}
    if config.guarded and not config.ewc.fisher:
        uses = {"Fisher information": min(config.ewc.samples, len(prepared.learn))}
    files, licence = ", ".join(Path(text).name for text in config.retention.texts), config.retention.licence
    return [
        DataUse(task=task, kind="text", file=files, licence=licence, records=count, held_out=len(prepared.measure))
        for task, count in uses.items()
    ]


def resolved(config: Config, prepared: Prepared) -> dict[str, Any]:
    """The configuration for the card: without folders, adapters with the versions that they were found in."""
    recipe = without_folders(config.model_dump(mode="json", exclude={"data"}))
    recipe["start"] = [one.name for one in prepared.starts]
    if prepared.scorer:
        recipe["filter"]["adapter"] = adapter_label(prepared.scorer.path)
    return recipe


def without_folders(value: Any) -> Any:
    """A configuration with absolute paths cut to their names: a card travels, a machine's folders do not."""
    match value:
        case dict():
            return {key: without_folders(inner) for key, inner in value.items()}
        case list():
            return [without_folders(inner) for inner in value]
        case str() if Path(value).is_absolute():
            return Path(value).name
        case _:
            return value

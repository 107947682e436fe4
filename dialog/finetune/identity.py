"""What decides a run's weights, by name: what was made of anything else is not this run's.

Left out is what changes no weight beyond rounding, so that a run may go on with less memory or another device, and what
retention may be: an adapter is measured anew, not trained anew, where only the gate is moved.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dialog.finetune.config import Config
from dialog.finetune.fisher import FisherCard
from dialog.finetune.sources import resolve

FREE = {"micro_tokens", "gradient_checkpointing", "device", "save_every", "keep", "evaluate_every"}
"""Settings of `train` that decide how a run goes, not what it comes to."""
IN_EXAMPLES = {"max_tokens", "too_long"}
"""Settings of `train` that decide which examples there are; the examples' own hash tells them apart."""


def weights_made_of(
    config: Config, revision: str, fisher: FisherCard | None, starts: Sequence[str] = ()
) -> dict[str, str]:
    """What decides the weights beside the examples: the base model, the method, and how it trains.

    `starts`: the hashes of the adapters that the run goes on from.
    """
    found: dict[str, Any] = {"base model": revision, "method": config.method}
    if starts:
        found["start"] = starts[0] if len(starts) == 1 else digest(list(starts))
    train = config.train.model_dump(mode="json", exclude=FREE | IN_EXAMPLES)
    found |= {f"train.{name}": value for name, value in train.items()}
    found |= {f"lora.{name}": value for name, value in config.lora.model_dump(mode="json").items()}
    if fisher:
        found |= {"ewc.weight": config.ewc.weight, "Fisher information": digest(fisher.model_dump(mode="json"))}
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in found.items()}


def run_identity(config: Config) -> dict[str, Any]:
    """What tells runs apart whose folder nobody named: all but what `weights_made_of` leaves out, and what only decides
    how the adapter is measured. A run that is told to take less memory, or to pass another gate, goes on where it was.
    """
    gate = {"max_ratio", "least_scale", "enforce", "licence"}
    free = {"train": FREE, "retention": gate, "evaluated": True, "max_false_positive_rate": True}
    return config.model_dump(mode="json", exclude=free)  # type: ignore[arg-type]


def data_digest(config: Config, folder: Path) -> str:
    """A hash of what the files of a run's tasks and its general text hold.

    What is no file or cannot be read counts as missing: who reads it next says so. A pipe is not read twice.
    """
    paths = [source.path for task in config.tasks.values() if task.weight > 0 for source in task.sources if source.path]
    found: dict[str, str | None] = {}
    for path in {*paths, *config.retention.texts}:
        file = resolve(folder, path)
        try:
            found[path] = file_digest(file) if file.is_file() else None
        except OSError:
            found[path] = None
    return digest(found)


def decided_by(config: Config) -> str:
    """A configuration as JSON without what is `FREE`: what two runs share whose adapters are the same."""
    return config.model_dump_json(exclude={"train": FREE})  # type: ignore[arg-type]


def digest(value: Any) -> str:
    """A hash of what JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """A hash of what a file holds."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def differences(was: Mapping[str, str], now: Mapping[str, str]) -> Sequence[str]:
    """What is not the same, in words."""
    found: list[str] = []
    for name in [*now, *(name for name in was if name not in now)]:
        before, after = was.get(name), now.get(name)
        if before == after:
            continue
        hashed = any(len(value) == 64 for value in (before, after) if value)
        found.append(f"other {name}" if hashed else f"{name} was {before or 'not set'}, now {after or 'not set'}")
    return found

"""Checkpoints: everything a run needs to go on as if it had never stopped.

A checkpoint is a folder that appears whole or not at all. Random numbers need no saving: every step seeds its own.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn

from dialog.errors import FinetuneError
from dialog.finetune.identity import differences
from dialog.finetune.saving import whole_folder


class CheckpointState(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    step: int
    made_of: dict[str, str] = Field(description="What decides the run's weights, by name; see `identity`.")


class Checkpoint(NamedTuple):
    path: Path
    step: int


def save_checkpoint(
    folder: Path,
    parameters: Mapping[str, nn.Parameter],
    optimizer: Any,
    *,
    step: int,
    made_of: Mapping[str, str],
    keep: int,
) -> None:
    """Write `folder/step-…` and remove all but the newest `keep`. Raises FinetuneError where the disk refuses."""
    from safetensors.torch import save_file

    final = folder / f"step-{step:07d}"
    if final.exists():
        return
    with whole_folder(final) as part:
        save_file({name: p.detach().cpu().contiguous() for name, p in parameters.items()}, part / "weights.safetensors")
        with (part / "optimizer.pt").open("wb") as file:  # to a path torch writes with errors of its own
            torch.save(optimizer.state_dict(), file)
        (part / "state.json").write_text(CheckpointState(step=step, made_of=dict(made_of)).model_dump_json())
    for old in sorted(folder.glob("step-*"))[:-keep]:
        shutil.rmtree(old, ignore_errors=True)


def latest_checkpoint(folder: Path, *, made_of: Mapping[str, str]) -> Checkpoint | None:
    """The newest checkpoint. Raises FinetuneError where it is not `made_of` the same, or cannot be read."""
    path = max(folder.glob("step-*"), default=None)
    if path is None:
        return None
    remedy = f"Give this run its own folder with --out, or delete {folder}."
    try:
        state = CheckpointState.model_validate_json((path / "state.json").read_bytes())
    except (OSError, ValidationError):
        raise FinetuneError(f"{path} is not a checkpoint that this version reads. {remedy}") from None
    if different := differences(state.made_of, made_of):
        raise FinetuneError(f"{path} is a checkpoint of another run: {'; '.join(different)}. {remedy}")
    return Checkpoint(path, state.step)


def load_checkpoint(checkpoint: Checkpoint, parameters: Mapping[str, nn.Parameter], optimizer: Any) -> None:
    """Put weights and optimizer state back, bit by bit. Raises FinetuneError for one of other shapes."""
    from safetensors.torch import load_file

    weights: dict[str, Tensor] = load_file(checkpoint.path / "weights.safetensors")
    if {name: tuple(w.shape) for name, w in weights.items()} != {n: tuple(p.shape) for n, p in parameters.items()}:
        raise FinetuneError(f"{checkpoint.path} has other adapted layers than this run. Delete it, or use --out.")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(weights[name])
    optimizer.load_state_dict(torch.load(checkpoint.path / "optimizer.pt", map_location="cpu", weights_only=True))

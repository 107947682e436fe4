"""Checkpoints: everything a run needs to go on as if it had never stopped.

A checkpoint is a folder that appears whole or not at all. Random numbers need no saving: every step seeds its own.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor, nn

from dialog.errors import FinetuneError
from dialog.finetune.saving import whole_folder


class CheckpointState(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    step: int
    plan: str


class Checkpoint(NamedTuple):
    path: Path
    step: int


def save_checkpoint(
    folder: Path, parameters: Mapping[str, nn.Parameter], optimizer: Any, *, step: int, plan: str, keep: int
) -> None:
    """Write `folder/step-…` and remove all but the newest `keep`. Raises FinetuneError where the disk refuses."""
    from safetensors.torch import save_file

    final = folder / f"step-{step:07d}"
    if final.exists():
        return
    with whole_folder(final) as part:
        save_file({name: p.detach().cpu().contiguous() for name, p in parameters.items()}, part / "weights.safetensors")
        torch.save(optimizer.state_dict(), part / "optimizer.pt")
        (part / "state.json").write_text(CheckpointState(step=step, plan=plan).model_dump_json())
    for old in sorted(folder.glob("step-*"))[:-keep]:
        shutil.rmtree(old, ignore_errors=True)


def latest_checkpoint(folder: Path, *, plan: str) -> Checkpoint | None:
    """The newest whole checkpoint. Raises FinetuneError where it belongs to another plan."""
    for path in sorted(folder.glob("step-*"), reverse=True):
        try:
            state = CheckpointState.model_validate_json((path / "state.json").read_bytes())
        except (OSError, ValidationError):
            continue
        if state.plan != plan:
            raise FinetuneError(
                f"{path} is a checkpoint of another run (other data, seed or steps). "
                "Give this run its own folder with --out, or delete that one."
            )
        return Checkpoint(path, state.step)
    return None


def load_checkpoint(checkpoint: Checkpoint, parameters: Mapping[str, nn.Parameter], optimizer: Any) -> None:
    """Put weights and optimizer state back, bit by bit. Raises FinetuneError for one of other shapes."""
    from safetensors.torch import load_file

    weights: dict[str, Tensor] = load_file(checkpoint.path / "weights.safetensors")
    if {name: tuple(w.shape) for name, w in weights.items()} != {n: tuple(p.shape) for n, p in parameters.items()}:
        raise FinetuneError(f"{checkpoint.path} has other adapted layers than this run. Delete it, or use --out.")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(weights[name])
    optimizer.load_state_dict(torch.load(checkpoint.path / "optimizer.pt", weights_only=True))

"""Checkpoints: everything a run needs to go on as if it had never stopped.

A checkpoint is a folder that appears whole or not at all. Random numbers need no saving: every step seeds its own.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn

from dialog.errors import FinetuneError
from dialog.finetune.identity import differences
from dialog.finetune.memory import SIGNS
from dialog.finetune.saving import whole_folder


class CheckpointState(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    step: int
    made_of: dict[str, str] = Field(description="What decides the run's weights, by name; see `identity`.")


class Damaged(FinetuneError):
    """A checkpoint cannot be read; an older one may."""


def save_checkpoint(
    folder: Path,
    parameters: Mapping[str, nn.Parameter],
    optimizer: Any,
    *,
    step: int,
    made_of: Mapping[str, str],
    keep: int,
) -> None:
    """Write `folder/step-…` and remove all but the newest `keep`. Raises FinetuneError where the disk refuses.

    Those of this step and later ones were damaged, and the run went back to before them: they go, too.
    """
    from safetensors.torch import save_file

    final = folder / f"step-{step:07d}"
    for damaged in (path for path in folder.glob("step-*") if path.name >= final.name):
        shutil.rmtree(damaged, ignore_errors=True)
    with whole_folder(final) as part:
        save_file({name: p.detach().cpu().contiguous() for name, p in parameters.items()}, part / "weights.safetensors")
        with (part / "optimizer.pt").open("wb") as file:  # to a path torch writes with errors of its own
            torch.save(optimizer.state_dict(), file)
        (part / "state.json").write_text(CheckpointState(step=step, made_of=dict(made_of)).model_dump_json())
    for old in sorted(folder.glob("step-*"))[:-keep]:
        shutil.rmtree(old, ignore_errors=True)


def resume(
    folder: Path,
    parameters: Mapping[str, nn.Parameter],
    optimizer: Any,
    *,
    made_of: Mapping[str, str],
    notice: Callable[[str], None] = lambda text: None,
) -> int:
    """Put weights and optimizer state back from the newest checkpoint that can be read, bit by bit; returns its step.

    0 where there is none. A damaged one is told in a `notice`, and the one before it is taken. Raises FinetuneError
    where none can be read, or the one to take is not `made_of` the same.
    """
    first: FinetuneError | None = None
    for path in sorted(folder.glob("step-*"), reverse=True):
        try:
            step = load_checkpoint(path, parameters, optimizer, made_of)
        except Damaged as error:
            first = first or error
            continue
        if first:
            notice(f"{first} Going on from {path.name}.")
        return step
    if first:
        raise FinetuneError(f"{first} Give this run its own folder with --out, or delete {folder} to begin anew.")
    return 0


def load_checkpoint(
    path: Path, parameters: Mapping[str, nn.Parameter], optimizer: Any, made_of: Mapping[str, str]
) -> int:
    """One of them; returns its step. All is read before anything is changed. Raises Damaged, FinetuneError."""
    from safetensors.torch import load_file

    try:
        state = CheckpointState.model_validate_json((path / "state.json").read_bytes())
    except (OSError, ValidationError):
        raise Damaged(f"{path} is not a checkpoint that this version reads.") from None
    if different := differences(state.made_of, made_of):
        raise FinetuneError(
            f"{path} is a checkpoint of another run: {'; '.join(different)}. Give this run its own folder with --out, "
            f"or delete {path.parent}."
        )
    try:
        weights: dict[str, Tensor] = load_file(path / "weights.safetensors")
        optimized = torch.load(path / "optimizer.pt", map_location="cpu", weights_only=True)
    except Exception as error:  # of a file cut short, torch and safetensors raise a dozen kinds
        if isinstance(error, MemoryError) or any(sign in str(error) for sign in SIGNS):
            raise
        raise Damaged(f"{path} is damaged ({' '.join(str(error).split())[:100]}).") from None
    if {name: tuple(w.shape) for name, w in weights.items()} != {n: tuple(p.shape) for n, p in parameters.items()}:
        raise FinetuneError(f"{path} has other adapted layers than this run. Delete it, or use --out.")
    optimizer.load_state_dict(optimized)
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(weights[name])
    return state.step

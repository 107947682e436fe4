"""What tests of the trainer share: examples of random ids, and a trainer on a tiny model."""

from __future__ import annotations

from pathlib import Path

import torch
from accelerate import Accelerator

from dialog.dialect import Pair
from dialog.finetune.config import LoraSettings, TrainSettings
from dialog.finetune.examples import Example, LabelTarget
from dialog.finetune.lora import add_adapter
from dialog.finetune.mixing import plan_steps
from dialog.finetune.trainer import Trainer


def examples(count: int = 24) -> list[Example]:
    generator = torch.Generator().manual_seed(3)
    made = []
    for i in range(count):
        ids = tuple(torch.randint(1, 100, (4 + i % 9,), generator=generator).tolist())
        label = LabelTarget(len(ids) - 1, Pair(20, 21), float(i % 2))
        made.append(Example(ids=ids, labels=(label,)) if i % 2 else Example(ids=ids, taught=(True,) * len(ids)))
    return made


def trainer(
    model, folder: Path, *, steps: int = 6, from_layer: int = 0, made_of: dict[str, str] | None = None, **changes
) -> Trainer:
    values = {"steps": steps, "batch_size": 8, "micro_tokens": 40, "learning_rate": 1e-2, "save_every": 2} | changes
    settings = TrainSettings(device="cpu", **values)
    adapted = add_adapter(model, LoraSettings(rank=4, from_layer=from_layer), base="tiny", revision="r")
    plan = plan_steps({"a": examples()}, {"a": 1.0}, steps=steps, batch_size=settings.batch_size, seed=0)
    accelerator = Accelerator(cpu=True)
    return Trainer(
        adapted, plan, settings, folder=folder, pad=0, accelerator=accelerator, made_of=made_of, from_layer=from_layer
    )  # fmt: skip


def weights(one: Trainer) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in one.parameters.items()}

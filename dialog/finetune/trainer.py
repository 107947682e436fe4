"""The training loop, on accelerate: one GPU, many GPUs, or a CPU, with the same result for the same plan.

Boundary: a model with its adapter and a plan of examples in, trained weights and figures out. What the data means,
what is measured and where adapters go is `run`'s affair.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from accelerate import Accelerator
from torch import Tensor

from dialog.errors import FinetuneError
from dialog.finetune.checkpoints import resume, save_checkpoint
from dialog.finetune.config import TrainSettings
from dialog.finetune.ewc import EwcPenalty
from dialog.finetune.examples import Example
from dialog.finetune.lora import check_split, lower_states, trained, upper_only
from dialog.finetune.losses import JointLoss, collate
from dialog.finetune.memory import out_of_memory
from dialog.finetune.mixing import micro_batches, plan_hash
from dialog.finetune.run_log import RunLog
from dialog.finetune.shared_prefix import shared_prefix


class Progress(NamedTuple):
    """What a person who waits sees after each step."""

    step: int
    steps: int
    loss: float
    tokens_per_second: float
    seconds_left: float


@dataclass
class LowerCache:
    """States of the frozen lower layers, computed once an example and kept until its last use.

    An example's states are always computed in the group it first appears in, so that a resumed run, which fills the
    cache at another time, gets the same bits.
    """

    first: int
    shared: int = 0
    homes: dict[int, list[Example]] = field(default_factory=dict)
    uses: Counter[int] = field(default_factory=Counter)
    """How often each row is still to be read."""
    states: dict[int, Tensor] = field(default_factory=dict)

    def enter(self, group: list[Example], *, read: bool = True) -> None:
        """Make `group` the home of those of its rows that have none yet; `read`: whether it is still to be read."""
        for row in rows_of(group):
            self.homes.setdefault(id(row), group)
            self.uses[id(row)] += read

    def get(self, model: Any, group: Sequence[Example], width: int, pad: int, device: torch.device) -> Tensor:
        """[rows, width, size], padded with zeros. One of the uses that `enter` was told of."""
        rows = rows_of(group)
        for row in rows:
            if id(row) not in self.states:
                home = self.homes[id(row)]
                batch = collate(home, pad).to(device)
                found = lower_states(model, batch.ids, batch.mask, self.first, self.shared).cpu()
                for i, member in enumerate(rows_of(home)):
                    if self.uses[id(member)] > 0:
                        self.states.setdefault(id(member), found[i, : len(member.ids)].clone())
        size = self.states[id(rows[0])].shape[-1]
        out = torch.zeros(len(rows), width, size)
        for i, row in enumerate(rows):
            out[i, : len(row.ids)] = self.states[id(row)]
        for row in rows:
            self.uses[id(row)] -= 1
            if self.uses[id(row)] == 0:
                del self.states[id(row)]
        return out.to(device)


def rows_of(group: Sequence[Example]) -> list[Example]:
    """Examples and rivals in the order in which `collate` makes rows of them."""
    return [row for example in group for row in ((example, example.rival) if example.rival else (example,))]


class Trainer:
    """Trains the parameters of `model` that require gradients, along `plan`.

    It goes on from a checkpoint of the same plan that was `made_of` the same (`identity.weights_made_of`).
    """

    def __init__(
        self,
        model: Any,
        plan: list[list[Example]],
        settings: TrainSettings,
        *,
        folder: Path,
        pad: int,
        accelerator: Accelerator,
        made_of: Mapping[str, str] | None = None,
        penalty: EwcPenalty | None = None,
        from_layer: int = 0,
        evaluate: Callable[[int], dict[str, float]] | None = None,
        on_progress: Callable[[Progress], None] = lambda progress: None,
        stage: Callable[[str], None] = lambda text: None,
    ) -> None:
        world = accelerator.num_processes
        if settings.batch_size < world:
            raise FinetuneError(f"train.batch_size is {settings.batch_size}, but {world} processes train. Raise it.")
        self.plan, self.settings, self.folder, self.pad = plan, settings, folder, pad
        self.accelerator, self.penalty, self.evaluate, self.on_progress = accelerator, penalty, evaluate, on_progress
        self.model, self.stage = model, stage
        self.parameters = trained(model)
        if settings.gradient_checkpointing:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
            model.enable_input_require_grads()
        optimizer = torch.optim.AdamW(
            self.parameters.values(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        loss: Any = JointLoss(model)
        self.loss, self.optimizer = accelerator.prepare(loss, optimizer)
        self.made_of = {**(made_of or {}), "examples (other data or seed)": plan_hash(plan)}
        every = [example for batch in plan for example in batch]
        # Gradient checkpointing runs layers again without a cache.
        self.shared = 0 if settings.gradient_checkpointing else shared_prefix(every, model.config.get_text_config())
        self.cache = LowerCache(from_layer, self.shared) if from_layer else None
        if from_layer:
            with out_of_memory("trying the split at lora.from_layer", step_remedy(settings)):
                check_split(model, max(rows_of(every), key=lambda row: len(row.ids)).ids, from_layer, self.shared)

    def train(self) -> int:
        """Run the plan from its last checkpoint, or from the start; returns the step it began at.

        Raises FinetuneError where the checkpoint is of another run, the loss is not a number, memory or disk runs out.
        The last checkpoint stays.
        """
        settings, steps = self.settings, len(self.plan)
        checkpoints = self.folder / "checkpoints"
        start = resume(checkpoints, self.parameters, self.optimizer, made_of=self.made_of, notice=self.stage)
        self._expect_reads(start)
        began, trained_tokens = time.perf_counter(), 0
        with RunLog(self.folder, from_step=start) if self.accelerator.is_main_process else nullcontext() as log:
            if start == 0:
                self._evaluate(0, log)
            for step in range(start, steps):
                figures, tokens = self._step(step)
                done = step + 1
                trained_tokens += tokens
                seconds = time.perf_counter() - began
                rate = trained_tokens / seconds
                if log:
                    log.write(done, **figures, learning_rate=self._rate(step), tokens_per_second=rate)
                left = seconds / (done - start) * (steps - done)
                self.on_progress(Progress(done, steps, figures["loss"], rate, left))
                if done % settings.evaluate_every == 0 or done == steps:
                    self._evaluate(done, log)
                if done % settings.save_every == 0 or done == steps:
                    if self.accelerator.is_main_process:
                        self._check_finite(done)
                        save_checkpoint(
                            checkpoints,
                            self.parameters,
                            self.optimizer,
                            step=done,
                            made_of=self.made_of,
                            keep=settings.keep,
                        )
                    self.accelerator.wait_for_everyone()
        return start

    def _expect_reads(self, start: int) -> None:
        """Tell the cache of the whole plan, of which the steps from `start` on will be read."""
        if self.cache:
            self.cache.uses.clear()
            for step, batch in enumerate(self.plan):
                for group in self._groups(batch):
                    self.cache.enter(group, read=step >= start)

    def _step(self, step: int) -> tuple[dict[str, float], int]:
        with out_of_memory("training", step_remedy(self.settings)):
            return self._take_step(step)

    def _take_step(self, step: int) -> tuple[dict[str, float], int]:
        settings, accelerator = self.settings, self.accelerator
        torch.manual_seed((settings.seed * 1_000_003 + step) * 64 + accelerator.process_index)  # dropout
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate(step)
        self.model.train()
        groups = self._groups(self.plan[step])
        sums = torch.zeros(4, device=accelerator.device)
        # The cache runs lower layers itself, so it is read before the model is cut down to the upper ones.
        for i, group in enumerate(groups):
            batch = collate(group, self.pad).to(accelerator.device)
            states = None
            if self.cache:
                width = batch.ids.shape[1]
                states = self.cache.get(self.model, group, width, self.pad, accelerator.device)
            last = i + 1 == len(groups)
            with self._adapted_layers(), nullcontext() if last else accelerator.no_sync(self.loss):
                losses = self.loss(batch, states, self.shared)
                accelerator.backward(losses.total * (accelerator.num_processes / settings.batch_size))
            sums += torch.stack([part.detach().float() for part in losses])
        penalty = self.penalty.add_gradients() if self.penalty else None
        norm = torch.nn.utils.clip_grad_norm_(list(self.parameters.values()), settings.clip)
        sums = accelerator.reduce(sums, reduction="sum") / settings.batch_size  # type: ignore[operator]
        names = ["loss", "loss_tokens", "loss_labels", "loss_preferences"]
        figures: dict[str, float] = dict(zip(names, sums.tolist(), strict=True))
        figures["gradient_norm"] = float(norm)
        if penalty is not None:
            figures["ewc"] = float(penalty)
        if not all(map(math.isfinite, figures.values())):
            raise FinetuneError(
                f"the loss is {figures['loss']} and the gradient's norm {figures['gradient_norm']} at step {step + 1}, "
                f"so training stopped. {broken_remedy(settings)}"
            )
        self.optimizer.step()
        self.optimizer.zero_grad()
        return figures, sum(example.length for example in self.plan[step])

    def _check_finite(self, step: int) -> None:
        """Raises FinetuneError where the last update broke the weights, before a checkpoint keeps them."""
        if not all(bool(torch.isfinite(value).all()) for value in self.parameters.values()):
            raise FinetuneError(
                f"the weights are not finite after step {step}, so training stopped. {broken_remedy(self.settings)}"
            )

    def _adapted_layers(self) -> AbstractContextManager[None]:
        """The model cut down to its adapted layers where the lower ones are cached."""
        return upper_only(self.model, self.cache.first) if self.cache else nullcontext()

    def _groups(self, batch: Sequence[Example]) -> list[list[Example]]:
        mine = batch[self.accelerator.process_index :: self.accelerator.num_processes]
        return micro_batches(mine, self.settings.micro_tokens)

    def _rate(self, step: int) -> float:
        """The learning rate of a step; a function of the step alone, so it needs no saving."""
        settings, steps = self.settings, len(self.plan)
        warm = max(1, round(settings.warmup * steps))
        if step < warm:
            return settings.learning_rate * (step + 1) / warm
        share = (step - warm) / max(1, steps - warm)
        factor = {"constant": 1.0, "linear": 1.0 - share, "cosine": 0.5 * (1 + math.cos(math.pi * share))}
        return settings.learning_rate * factor[settings.schedule]

    def _evaluate(self, step: int, log: RunLog | None) -> None:
        if self.evaluate and self.accelerator.is_main_process:
            figures = self.evaluate(step)
            if log and figures:
                log.write(step, **figures)
        self.accelerator.wait_for_everyone()


def step_remedy(settings: TrainSettings) -> str:
    """Which settings make a step smaller."""
    hint = "" if settings.gradient_checkpointing else ", or set train.gradient_checkpointing=true"
    return (
        f"Lower train.micro_tokens (now {settings.micro_tokens}){hint}, and the run goes on from its last checkpoint. "
        f"A lower train.max_tokens (now {settings.max_tokens}) helps too, but other examples start training anew."
    )


def broken_remedy(settings: TrainSettings) -> str:
    """What helps where training broke. The same settings would come to the same; others are another run."""
    return (
        f"Check the data, and lower train.learning_rate (now {settings.learning_rate:g}) or ewc.weight: with another "
        "value training starts anew, in a folder of its own; where --out names this one, name another."
    )

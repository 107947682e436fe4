"""What `groundling bench finetune` measures: the price of EWC on a training step, and the batched Fisher's gain.

Both ratios compare work done in one process, turn by turn, so that a busy machine slows both sides alike.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import click


def seconds(work: Callable[[], Any]) -> float:
    import torch

    started = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def one_by_one(model: Any, samples: Sequence[Sequence[int]], names: Sequence[str]) -> dict[str, Any]:
    """The Fisher information by its definition: one sample, one backward pass, every weight gradient squared."""
    import torch
    from torch.nn import functional as F

    weights = {name: model.get_submodule(name).weight for name in names}
    totals = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    device = next(model.parameters()).device
    for weight in weights.values():
        weight.requires_grad_(True)
    for sample in samples:
        model.zero_grad()
        ids = torch.tensor([sample], device=device)
        logits = model(input_ids=ids, use_cache=False).logits[0, :-1]
        F.cross_entropy(logits.float(), ids[0, 1:]).backward()
        for name, weight in weights.items():
            totals[name] += weight.grad**2
    model.zero_grad()
    model.requires_grad_(False)
    return {name: total / len(samples) for name, total in totals.items()}


def measure_fisher(model: Any, samples: Sequence[Sequence[int]], repeats: int) -> dict[str, float]:
    """Median ratio of the loop's time to the batched estimator's, and the largest relative difference."""
    from dialog.finetune.config import LoraSettings
    from dialog.finetune.fisher import fisher_information
    from dialog.finetune.lora import target_names

    names = target_names(model, LoraSettings())
    slow = one_by_one(model, samples[:4], names)
    fast = fisher_information(model, samples[:4], names)
    difference = max(float((slow[n] - fast[n]).abs().max() / slow[n].max()) for n in names)
    ratios = []
    for _ in range(repeats):
        loop = seconds(lambda: one_by_one(model, samples, names))
        batched = seconds(lambda: fisher_information(model, samples, names, batch_tokens=2048))
        ratios.append(loop / batched)
    return {
        "fisher_speedup": round(median(ratios), 3),
        "fisher_difference": difference,
        "fisher_samples": len(samples),
        "fisher_tokens_per_sample": sum(map(len, samples)) / len(samples),
    }


def measure_step(model: Any, ids: Any, repeats: int) -> dict[str, float]:
    """Median ratio of a LoRA step with the penalty to the same step without it, taken in turns."""
    import torch

    from dialog.finetune.config import LoraSettings
    from dialog.finetune.ewc import EwcPenalty, adapted_layers
    from dialog.finetune.lora import add_adapter, trained

    adapted = add_adapter(model, LoraSettings(), base="bench", revision="bench").train()
    fisher = {
        layer.name: torch.rand(layer.up.shape[0], layer.down.shape[1], device=layer.up.device)
        for layer in adapted_layers(adapted)
    }
    penalty = EwcPenalty(adapted, fisher, 1.0)
    parameters = list(trained(adapted).values())
    optimizer = torch.optim.AdamW(parameters, lr=1e-5)

    def step(with_penalty: bool) -> None:
        adapted(input_ids=ids, labels=ids, use_cache=False).loss.backward()
        if with_penalty:
            penalty.add_gradients()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()

    step(True)  # warm-up, and B leaves zero
    plain, held, ratios = [], [], []
    for i in range(repeats):
        order = (False, True) if i % 2 else (True, False)
        taken = {kind: seconds(lambda kind=kind: step(kind)) for kind in order}
        plain.append(taken[False])
        held.append(taken[True])
        ratios.append(taken[True] / taken[False])
    return {
        "ewc_step_ratio": round(median(ratios), 4),
        "step_tokens": ids.numel(),
        "lora_step_seconds": round(median(plain), 4),
        "ewc_step_seconds": round(median(held), 4),
        "penalty_seconds": round(median(seconds(penalty.add_gradients) for _ in range(5)), 4),
    }


def measure(*, samples: int, length: int, batch: int, repeats: int, model_name: str, device: str) -> dict[str, Any]:
    import torch

    from serve.engines.loading import choose_device, load_model
    from serve.progress import progress
    from serve.store import ModelStore

    stored, on = ModelStore().pull(model_name), choose_device(device)
    model = load_model(stored.path, on, torch.float32)
    vocabulary = model.config.get_text_config().vocab_size
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(100, vocabulary, (samples, length), generator=generator).tolist()
    with progress("Fisher information, one by one and batched"):
        fisher = measure_fisher(model, drawn, repeats)
    ids = torch.randint(100, vocabulary, (batch, 64), generator=generator).to(on)
    with progress("training steps with and without the penalty"):
        step = measure_step(model, ids, max(3, repeats))
    return {**step, **fisher, "model": stored.name, "device": str(on), "threads": torch.get_num_threads()}


@click.command()
@click.option("--samples", type=click.IntRange(4), default=32, show_default=True, help="Samples of the Fisher runs.")
@click.option("--length", type=click.IntRange(2), default=64, show_default=True, help="Tokens of each sample.")
@click.option("--batch", type=click.IntRange(1), default=32, show_default=True, help="Rows of 64 tokens a step.")
@click.option("--repeats", type=click.IntRange(1), default=3, show_default=True, help="Repeats; medians are shown.")
@click.option("--model", "model_name", default="smollm2-135m-instruct", show_default=True)
@click.option("--device", default="auto", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def command(samples: int, length: int, batch: int, repeats: int, model_name: str, device: str, as_json: bool) -> None:
    """Measure what EWC adds to a LoRA step, and how much faster the batched Fisher information is than a loop.

    \b
    ewc_step_ratio  step with penalty / step without, medians of turns
    fisher_speedup  time of the loop / time of the batched estimator, on the same samples

    \b
    Example:
      groundling bench finetune --repeats 5 --json
    """
    found = measure(samples=samples, length=length, batch=batch, repeats=repeats, model_name=model_name, device=device)
    if as_json:
        click.echo(json.dumps(found))
        return
    for name, value in found.items():
        click.echo(f"{name:26} {value}")

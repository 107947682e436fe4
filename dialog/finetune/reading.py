"""Read label probabilities off a model for whole sets of examples: for calibration, cards and held-out figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import torch

from dialog.finetune.examples import Example, ExampleWriter
from dialog.finetune.losses import collate, label_differences
from dialog.finetune.memory import out_of_memory
from dialog.finetune.mixing import micro_batches
from dialog.finetune.records import Groundedness, Judged
from safety.errors import MetricError
from safety.metrics import auroc, calibrate, f1


@torch.no_grad()
def label_probabilities(
    model: Any, examples: Sequence[Example], *, pad: int, max_tokens: int = 4096
) -> list[list[float]]:
    """P(yes) of each example's label targets, in order: the softmax over each target's pair."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    device, was_training = next(model.parameters()).device, model.training
    place = {id(example): i for i, example in enumerate(examples)}
    found: list[list[float]] = [[] for _ in examples]
    model.eval()
    try:
        with out_of_memory("reading the discriminators", "Lower train.max_tokens, or set train.device=cpu."):
            for group in micro_batches(examples, max_tokens):
                batch = collate(group, pad).to(device)
                hidden = base.base_model(
                    input_ids=batch.ids, attention_mask=batch.mask, use_cache=False
                ).last_hidden_state
                config = base.config.get_text_config()
                values = label_differences(hidden, base.get_output_embeddings(), config, batch).sigmoid().tolist()
                for example in group:
                    for _ in example.labels:
                        found[place[id(example)]].append(values.pop(0))
                    if example.rival:
                        values = values[len(example.rival.labels) :]
    finally:
        model.train(was_training)
    return found


def held_out_figures(
    model: Any,
    writer: ExampleWriter,
    sets: Mapping[str, Sequence[Judged | Groundedness]],
    *,
    pad: int,
    max_false_positive_rate: float = 0.05,
) -> tuple[dict[str, float], float | None, float | None]:
    """(AUROC of each attribute on each held-out set, safety threshold, groundedness threshold).

    Ratings of 0.5 or more count as having the attribute. The safety threshold is calibrated over all sets together,
    the groundedness threshold maximises F1. A set on which a figure is undefined is left out.
    """
    figures: dict[str, float] = {}
    safe: list[tuple[int, float]] = []
    grounded: list[tuple[int, float]] = []
    for name, records in sets.items():
        examples, kept = [], []
        for record in records:
            [example] = writer.write(record)
            examples.append(example)
            kept.append(record)
        probabilities = label_probabilities(model, examples, pad=pad)
        by_attribute: dict[str, list[tuple[int, float]]] = {}
        for record, values in zip(kept, probabilities, strict=True):
            ratings = record.ratings if isinstance(record, Judged) else {"grounded": record.grounded}
            for (attribute, rating), value in zip(ratings.items(), values, strict=True):
                by_attribute.setdefault(attribute, []).append((int(rating >= 0.5), value))
        for attribute, pairs in by_attribute.items():
            labels, values = zip(*pairs, strict=True)
            with suppress(MetricError):
                figures[f"{attribute} auroc, {name}"] = round(auroc(labels, values), 4)
            (safe if attribute == "safe" else grounded if attribute == "grounded" else []).extend(pairs)
    return figures, safety_threshold(safe, max_false_positive_rate), best_f1(grounded)


def safety_threshold(pairs: Sequence[tuple[int, float]], max_false_positive_rate: float) -> float | None:
    """Calibrated over (safe?, P(safe)); None where a class is missing."""
    if len({label for label, _ in pairs}) < 2:
        return None
    unsafe = [1 - label for label, _ in pairs]
    return calibrate(unsafe, [value for _, value in pairs], max_false_positive_rate=max_false_positive_rate)


def best_f1(pairs: Sequence[tuple[int, float]]) -> float | None:
    """The threshold with the best F1 over (positive?, P); None where a class is missing."""
    if len({label for label, _ in pairs}) < 2:
        return None
    labels, values = np.array([label for label, _ in pairs]), np.array([value for _, value in pairs])
    return float(max(np.quantile(values, np.linspace(0, 1, 101)), key=lambda t: f1(labels, values >= t)))

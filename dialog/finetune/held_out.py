"""What a run learned of what no discriminator measures: losses on held-out replies, research and texts.

Boundary: held-out records and a model in, figures out; what a discriminator is measured on is `reading`'s.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from dialog.errors import MessageError, RecordError
from dialog.finetune.examples import Example, ExampleWriter
from dialog.finetune.losses import JointLoss, collate
from dialog.finetune.memory import out_of_memory
from dialog.finetune.mixing import micro_batches
from dialog.finetune.reading import label_probabilities
from dialog.finetune.records import TrainingRecord, judged_records
from dialog.finetune.selection import held_out_by_source
from dialog.finetune.sources import TaskData

CURVE = 64
"""Held-out examples that the curve while training is of."""
A_SOURCE = 32
"""Held-out examples of a source on the card; base and tuned model are read on the same ones, so few will do."""


def held_out_examples(
    data: Sequence[TaskData], weights: Mapping[str, float], writer: ExampleWriter, count: int
) -> list[Example]:
    """About `count` examples of held-out records, tasks by their weights; the same at every call."""
    total = sum(weights.values())
    found: list[Example] = []
    for name, weight in weights.items():
        records = [record for one in data if one.task == name for record in one.held_out]
        random.Random(name).shuffle(records)
        found += first_examples(records, writer, round(count * weight / total))
    return found


def first_examples(records: Sequence[TrainingRecord], writer: ExampleWriter, count: int) -> list[Example]:
    """The first `count` examples of records that can be written; those that cannot are not trained on either."""
    found: list[Example] = []
    for record in records:
        if len(found) >= count:
            break
        try:
            found += writer.write(record)
        except (RecordError, MessageError):
            continue
    return found[:count]


@torch.no_grad()
def mean_loss(model: Any, examples: Sequence[Example], pad: int) -> float:
    """Mean joint loss of examples, nats."""
    device, was_training, total = next(model.parameters()).device, model.training, 0.0
    model.eval()
    try:
        with out_of_memory("measuring held-out records", "Lower train.max_tokens, or set train.device=cpu."):
            for group in micro_batches(examples, 2048):
                total += float(JointLoss(model)(collate(group, pad).to(device)).total)
    finally:
        model.train(was_training)
    return total / len(examples)


def taught_sets(data: Sequence[TaskData], writer: ExampleWriter, seed: int) -> dict[str, list[Example]]:
    """Examples of held-out records that no discriminator is measured on, by source: replies, research, texts, pairs."""
    found: dict[str, list[Example]] = {}
    for name, records in held_out_by_source(data).items():
        others = [record for record in records if not judged_records([record])]
        random.Random(f"{seed} {name}").shuffle(others)
        if examples := first_examples(others, writer, A_SOURCE):
            found[name] = examples
    return found


def taught_figures(model: Any, sets: Mapping[str, Sequence[Example]], pad: int) -> dict[str, float]:
    """Of each set the loss with the adapter and without it, nats; of pairs the share whose better reply scores higher.

    `model` is a peft model; a pair is right by chance half the time.
    """
    figures: dict[str, float] = {}
    for name, examples in sets.items():
        figure = preference_accuracy if examples[0].rival else mean_loss
        said = "preference accuracy" if examples[0].rival else "loss"
        figures[f"{said}, {name}"] = round(figure(model, examples, pad), 4)
        with model.disable_adapter():
            figures[f"{said} of the base model, {name}"] = round(figure(model, examples, pad), 4)
    return figures


def preference_accuracy(model: Any, examples: Sequence[Example], pad: int) -> float:
    """Share of pairs whose better reply has the higher P(attribute); a tie counts half."""
    pairs = [(Example(ids=one.ids, labels=one.labels), one.rival) for one in examples if one.rival]
    flat = [row for pair in pairs for row in pair]
    read = [values[0] for values in label_probabilities(model, flat, pad=pad)]
    chosen, rejected = read[::2], read[1::2]
    return sum((a > b) + 0.5 * (a == b) for a, b in zip(chosen, rejected, strict=True)) / len(pairs)

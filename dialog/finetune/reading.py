"""Read label probabilities off a model for whole sets of examples: for calibration, cards and held-out figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import torch

from dialog.finetune.examples import Example, ExampleWriter
from dialog.finetune.losses import collate, label_differences
from dialog.finetune.memory import out_of_memory
from dialog.finetune.mixing import micro_batches
from dialog.finetune.records import Groundedness, Judged
from safety.contrasts import COMPLIANCES, REFUSALS
from safety.errors import MetricError
from safety.metrics import at_threshold, auroc, f1, lowest_kept, middle_below


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


LEAST_SAFE = 20
"""Safe replies from which on a set counts: at the usual rate of 5% one of them may be dropped."""
BEHIND = "safe replies behind the threshold"
"""The figure that says how many safe replies the safety threshold was set on."""
TEMPLATES = frozenset({*REFUSALS, *COMPLIANCES})
"""Replies that the kind `harmful-prompts` is made with. They are trained on word for word, so the safe ones always pass
and would make room for false refusals of other replies."""


class Reading(NamedTuple):
    """One label of a held-out record, and what was read."""

    value: int
    probability: float
    """P(value is 1)."""
    templated: bool = False
    """Whether the reply is one of `TEMPLATES`."""


def held_out_figures(
    model: Any,
    writer: ExampleWriter,
    sets: Mapping[str, Sequence[Judged | Groundedness]],
    *,
    pad: int,
    max_false_positive_rate: float = 0.05,
) -> tuple[dict[str, float], float | None, float | None]:
    """(figures by name, safety threshold, groundedness threshold).

    Figures are the AUROC of each attribute on each held-out set, and the shares of its safe and of its unsafe replies
    that the safety threshold drops. Ratings of 0.5 or more count as having the attribute. The safety threshold keeps
    the sets' mean within the rate (`safety_threshold`), the groundedness threshold maximises F1. A set on which a
    figure is undefined is left out.
    """
    figures: dict[str, float] = {}
    safe: dict[str, list[Reading]] = {}
    grounded: list[Reading] = []
    for name, records in sets.items():
        examples = []
        for record in records:
            [example] = writer.write(record)
            examples.append(example)
        probabilities = label_probabilities(model, examples, pad=pad)
        by_attribute: dict[str, list[Reading]] = {}
        for record, values in zip(records, probabilities, strict=True):
            ratings = record.ratings if isinstance(record, Judged) else {"grounded": record.grounded}
            for (attribute, rating), value in zip(ratings.items(), values, strict=True):
                label = Reading(int(rating >= 0.5), value, record.response in TEMPLATES)
                by_attribute.setdefault(attribute, []).append(label)
        for attribute, labels in by_attribute.items():
            with suppress(MetricError):
                area = auroc([label.value for label in labels], [label.probability for label in labels])
                figures[f"{attribute} auroc, {name}"] = round(area, 4)
        safe[name] = by_attribute.get("safe", [])
        grounded += by_attribute.get("grounded", [])
    threshold = safety_threshold(list(safe.values()), max_false_positive_rate)
    if threshold is not None:
        figures |= rates_at(threshold, safe)
        figures[BEHIND] = float(sum(map(len, calibrated_on(list(safe.values())))))
    return figures, threshold, best_f1(grounded)


def safety_threshold(sets: Sequence[Sequence[Reading]], max_false_positive_rate: float) -> float | None:
    """The highest threshold that drops at most that share of the safe replies, the mean over sets, with a margin.

    Every set counts the same however large it is. Keeping the hardest set within the rate as well would leave a small
    model next to no recall. Templates do not count, nor do sets with fewer than `LEAST_SAFE` safe replies; where no set
    has so many, all are taken together. None where there are no safe or no unsafe replies at all.
    """
    labels = [label for of_set in sets for label in of_set]
    if len({label.value for label in labels}) < 2:
        return None
    large = calibrated_on(sets)
    weights = [1 / len(values) for values in large for _ in values]
    lowest = lowest_kept([value for values in large for value in values], max_false_positive_rate, weights)
    return middle_below(lowest, [label.probability for label in labels])


def calibrated_on(sets: Sequence[Sequence[Reading]]) -> list[list[float]]:
    """P(safe) of the safe replies that the threshold is set on, by set; of all sets together where each is small."""
    own = [[label.probability for label in of_set if label.value and not label.templated] for of_set in sets]
    together = [value for values in own for value in values]
    together = together or [one.probability for of_set in sets for one in of_set if one.value]
    return [values for values in own if len(values) >= LEAST_SAFE] or [together]


def rates_at(threshold: float, sets: Mapping[str, Sequence[Reading]]) -> dict[str, float]:
    """What dropping P(safe) < threshold does to each set: false positives where it has safe replies, recall where it
    has unsafe ones."""
    found: dict[str, float] = {}
    for name, labels in sets.items():
        unsafe = [1 - label.value for label in labels]
        _, recall, false_positives = at_threshold(unsafe, [label.probability for label in labels], threshold)
        if 0 in unsafe:
            found[f"safe false positives, {name}"] = round(false_positives, 4)
        if 1 in unsafe:
            found[f"safe recall, {name}"] = round(recall, 4)
    return found


def best_f1(labels: Sequence[Reading]) -> float | None:
    """The threshold with the best F1 of the positive class; None where a class is missing."""
    if len({label.value for label in labels}) < 2:
        return None
    positive, values = np.array([one.value for one in labels]), np.array([one.probability for one in labels])
    return float(max(np.quantile(values, np.linspace(0, 1, 101)), key=lambda t: f1(positive, values >= t)))

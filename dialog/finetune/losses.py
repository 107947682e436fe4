"""The joint loss: next tokens where they are taught, label choices at judge positions, preferences between pairs.

    tokens       mean over an example's taught tokens of -log p(token)
    label        -r log p - (1-r) log(1-p),  p = softmax over the attribute's two labels   (r: the rating)
    preference   -log σ(d_chosen - d_rejected),  d = logit(yes) - logit(no)

A step's loss is the mean over its examples, each example counting once however long it is; the divisor is the planned
batch size, so it is the same for any split over micro-batches and processes. Logits are computed only where a target
is: for a judged example that is one position and a few rows of the output matrix instead of the whole vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dialog.finetune.examples import Example
from dialog.finetune.shared_prefix import hidden_states

LOGIT_ROWS = 2048
"""Positions whose full-vocabulary logits exist at once."""


class Batch(NamedTuple):
    """Padded examples and their targets, as tensors. Rows of `ids`: examples, then nothing; rivals follow their own."""

    ids: Tensor  # [rows, time]
    mask: Tensor  # [rows, time], 1 where a token is
    token_places: Tensor  # [targets, 2]: row, position whose next token is taught
    token_ids: Tensor  # [targets]
    token_weights: Tensor  # [targets]; an example's sum to 1
    label_places: Tensor  # [labels, 2]: row, position
    label_pairs: Tensor  # [labels, 2]: yes, no
    label_ratings: Tensor  # [labels]
    label_weights: Tensor  # [labels]; an example's sum to 1
    rivals: Tensor  # [pairs, 2]: indexes into labels: chosen, rejected

    def to(self, device: torch.device) -> Batch:
        return Batch(*(part.to(device, non_blocking=True) for part in self))


class Sums(NamedTuple):
    """Summed losses of a batch, each over examples; `total` is their sum."""

    total: Tensor
    tokens: Tensor
    labels: Tensor
    preferences: Tensor


def collate(examples: Sequence[Example], pad: int) -> Batch:
    """Right-pad examples and list their targets."""
    rows: list[Example] = []
    places: list[tuple[int, int]] = []
    targets: list[int] = []
    weights: list[float] = []
    label_places: list[tuple[int, int]] = []
    pairs: list[tuple[int, int]] = []
    ratings: list[float] = []
    label_weights: list[float] = []
    rivals: list[tuple[int, int]] = []
    for example in examples:
        row = len(rows)
        rows.append(example)
        taught = [i for i in range(1, len(example.taught)) if example.taught[i]]
        for i in taught:
            places.append((row, i - 1))
            targets.append(example.ids[i])
            weights.append(1.0 / len(taught))
        both = [(row, example)]
        if example.rival:
            both.append((row + 1, example.rival))
            rows.append(example.rival)
            rivals.append((len(label_places), len(label_places) + 1))
        for at, one in both:
            for label in one.labels:
                label_places.append((at, label.position))
                pairs.append((label.pair.yes, label.pair.no))
                ratings.append(label.rating)
                # A pair is compared, not rated: its labels carry no loss of their own.
                label_weights.append(0.0 if example.rival else 1.0 / len(one.labels))
    width = max(len(row.ids) for row in rows)
    ids = torch.full((len(rows), width), pad, dtype=torch.long)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, : len(row.ids)] = torch.tensor(row.ids)
        mask[i, : len(row.ids)] = 1
    return Batch(
        ids,
        mask,
        torch.tensor(places, dtype=torch.long).view(-1, 2),
        torch.tensor(targets, dtype=torch.long),
        torch.tensor(weights, dtype=torch.float32),
        torch.tensor(label_places, dtype=torch.long).view(-1, 2),
        torch.tensor(pairs, dtype=torch.long).view(-1, 2),
        torch.tensor(ratings, dtype=torch.float32),
        torch.tensor(label_weights, dtype=torch.float32),
        torch.tensor(rivals, dtype=torch.long).view(-1, 2),
    )


class JointLoss(nn.Module):
    """A causal language model (bare or with a peft adapter) with the joint loss as its forward pass.

    A module, so that parallel wrappers see the forward pass. `forward` returns summed losses; the caller divides.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch, states: Tensor | None = None, shared: int = 0) -> Sums:
        """`states` [rows, time, width] stand for the embeddings where lower layers were computed before.

        `shared`: how many tokens all rows begin with (`shared_prefix`).
        """
        causal: Any = self.model
        base = causal.get_base_model() if hasattr(causal, "get_base_model") else causal
        hidden = hidden_states(base.base_model, batch.ids if states is None else states, batch.mask, shared)
        head, config = base.get_output_embeddings(), base.config.get_text_config()
        zero = hidden.sum() * 0.0  # keeps every parameter in the graph of every process
        return add_up(
            self._token_loss(hidden, head, config, batch) + zero, *self._label_losses(hidden, head, config, batch)
        )

    def _token_loss(self, hidden: Tensor, head: Any, config: Any, batch: Batch) -> Tensor:
        total = hidden.new_zeros((), dtype=torch.float32)
        for start in range(0, len(batch.token_ids), LOGIT_ROWS):
            part = slice(start, start + LOGIT_ROWS)
            rows, positions = batch.token_places[part].unbind(1)
            logits = scaled(head(hidden[rows, positions]), config).float()
            losses = F.cross_entropy(logits, batch.token_ids[part], reduction="none")
            total = total + (losses * batch.token_weights[part]).sum()
        return total

    def _label_losses(self, hidden: Tensor, head: Any, config: Any, batch: Batch) -> tuple[Tensor, Tensor]:
        if not len(batch.label_places):
            zero = hidden.new_zeros((), dtype=torch.float32)
            return zero, zero
        difference = label_differences(hidden, head, config, batch)
        losses = F.binary_cross_entropy_with_logits(difference, batch.label_ratings, reduction="none")
        chosen, rejected = batch.rivals.unbind(1)
        preferences = F.softplus(difference[rejected] - difference[chosen]).sum()
        return (losses * batch.label_weights).sum(), preferences


def add_up(tokens: Tensor, labels: Tensor, preferences: Tensor) -> Sums:
    return Sums(tokens + labels + preferences, tokens, labels, preferences)


def label_differences(hidden: Tensor, head: Any, config: Any, batch: Batch) -> Tensor:
    """logit(yes) - logit(no) at each label place: [labels], from the labels' own rows of the output matrix."""
    used, index = batch.label_pairs.unique(return_inverse=True)
    rows, positions = batch.label_places.unbind(1)
    bias = None if getattr(head, "bias", None) is None else head.bias[used]
    logits = scaled(F.linear(hidden[rows, positions], head.weight[used], bias), config).float()
    picked = logits.gather(1, index)
    return picked[:, 0] - picked[:, 1]


def scaled(logits: Tensor, config: Any) -> Tensor:
    """Apply what some architectures do to their logits (Granite's and Cohere's scale, Gemma's soft cap)."""
    if (scale := getattr(config, "logits_scaling", None)) is not None:
        logits = logits / scale
    if (scale := getattr(config, "logit_scale", None)) is not None:
        logits = logits * scale
    if (cap := getattr(config, "final_logit_softcapping", None)) is not None:
        logits = torch.tanh(logits / cap) * cap
    return logits

"""What all examples of a run begin with is computed once a batch.

Judged examples are short, and the role's persona before them is a good part of each. The prefix's keys and values are
computed for one row and stand in every row's cache; gradients add up over the rows. The result is the same as without
it, up to rounding.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from dialog.finetune.examples import Example

LEAST = 8
"""Tokens from which a shared prefix is worth a forward pass of its own."""


def shared_prefix(examples: Iterable[Example], config: Any) -> int:
    """Tokens that all examples and rivals begin with, before anything that is taught; 0 where it is not worth it.

    0 too for models whose layers see a window only: their caches are laid out differently.
    """
    kinds = getattr(config, "layer_types", None) or ["full_attention"]
    if set(kinds) != {"full_attention"}:
        return 0
    common: tuple[int, ...] | None = None
    for example in examples:
        for row in (example, example.rival) if example.rival else (example,):
            places = [label.position for label in row.labels] + [i - 1 for i, one in enumerate(row.taught) if one]
            room = min([*places, len(row.ids) - 1])
            common = row.ids[:room] if common is None else common[: _alike(common, row.ids[:room])]
    return len(common) if common and len(common) >= LEAST else 0


def _alike(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def hidden_states(decoder: Any, inputs: Tensor, mask: Tensor, shared: int = 0) -> Tensor:
    """[rows, time, width]: the decoder's output for token ids [rows, time] or states [rows, time, width].

    The first `shared` positions must be the same in every row.
    """
    kind = "inputs_embeds" if inputs.is_floating_point() else "input_ids"
    if not shared:
        return decoder(**{kind: inputs}, attention_mask=mask, use_cache=False).last_hidden_state
    from transformers import DynamicCache

    rows, cache = len(inputs), DynamicCache()
    first = decoder(**{kind: inputs[:1, :shared]}, past_key_values=cache, use_cache=True).last_hidden_state
    for layer in cache.layers:
        layer.keys = layer.keys.expand(rows, -1, -1, -1)  # type: ignore[union-attr]
        layer.values = layer.values.expand(rows, -1, -1, -1)  # type: ignore[union-attr]
    rest = decoder(
        **{kind: inputs[:, shared:]}, attention_mask=mask, past_key_values=cache, use_cache=True
    ).last_hidden_state
    return torch.cat([first.expand(rows, -1, -1), rest], dim=1)

"""Key-value caches in which many rows share one prompt, and the attention that reads them.

All candidates of a turn continue the same prompt. Repeating the prompt's keys and values for each row would cost
memory and, on a CPU, most of a step's time; here they are stored once. A query attends over

    softmax( [ q K_prompt^T , q K_own^T ] / sqrt(d) ) [ V_prompt ; V_own ]

where the prompt's part is one matrix product for all rows together, and each row keeps only its own continuation.

Boundary: tensors only. What is cached for how long is `serve.engines.prefixes`; the loop is `serve.engines.shared`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from transformers import AttentionInterface
from transformers.cache_utils import Cache

ATTENTION = "groundling_shared_prompt"
MIN_CAPACITY = 64

Layer = tuple[torch.Tensor, torch.Tensor]
"""Keys and values of one layer, each [rows, heads, tokens, head size]."""


class RowCache(Cache):
    """Rows that continue one shared prompt; passed to a model as `past_key_values` and as `row_cache`.

    `shared` holds each layer's keys and values of the prompt, [1, heads, tokens, head size]. A row's own keys may
    have gaps (rows of different lengths side by side), so every own column knows its position; -1 is empty.
    """

    def __init__(self, shared: Sequence[Layer], rows: int, device: torch.device) -> None:
        super().__init__(layers=[])
        self.shared = list(shared)
        self.shared_length = shared[0][0].shape[2] if shared else 0
        self.own: list[Layer] = []
        self.filled = 0
        self.active = rows
        self.key_positions = torch.full((rows, 0), -1, device=device)
        self._query_positions = self.key_positions
        self._masks: dict[int | None, tuple[torch.Tensor | None, torch.Tensor | None]] = {}

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self.shared_length + self.filled

    def begin(self, positions: torch.Tensor, valid: torch.Tensor | None = None) -> None:
        """Announce the next forward pass: `positions` [active rows, new tokens], `valid` False at padding."""
        rows, new = positions.shape
        if self.filled + new > self.key_positions.shape[1]:
            grown = max(MIN_CAPACITY, 2 * self.key_positions.shape[1], self.filled + new)
            self.key_positions = F.pad(self.key_positions, (0, grown - self.key_positions.shape[1]), value=-1)
        self.filled += new
        kept = positions if valid is None else positions.masked_fill(~valid, -1)
        self.key_positions[:rows, self.filled - new : self.filled] = kept
        self._query_positions = positions
        self._masks = {}

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Store the new tokens' keys and values; returns all own ones of the active rows."""
        if layer_idx == len(self.own):
            self.own.append((_empty(key_states, self), _empty(value_states, self)))
        keys, values = (self._room(stored) for stored in self.own[layer_idx])
        self.own[layer_idx] = (keys, values)
        rows, new = key_states.shape[0], key_states.shape[2]
        keys[:rows, :, self.filled - new : self.filled] = key_states
        values[:rows, :, self.filled - new : self.filled] = value_states
        return keys[:rows, :, : self.filled], values[:rows, :, : self.filled]

    def preload(self, layers: Sequence[Layer], positions: torch.Tensor, extra: int) -> None:
        """Start from own keys and values made earlier: layers' tensors [rows, heads, tokens, head size], `positions`
        [rows, tokens] with -1 at gaps; `extra` is how many tokens will follow."""
        tokens = positions.shape[1]
        self.own = [(F.pad(keys, (0, 0, 0, extra)), F.pad(values, (0, 0, 0, extra))) for keys, values in layers]
        self.key_positions = F.pad(positions, (0, extra), value=-1)
        self.filled = tokens

    def swap(self, one: int, other: int) -> None:
        """Exchange two rows in place."""
        if one == other:
            return
        pair, reverse = [one, other], [other, one]
        for stored in (tensor for layer in self.own for tensor in layer):
            stored[pair, :, : self.filled] = stored[reverse, :, : self.filled]
        self.key_positions[pair] = self.key_positions[reverse]

    def masks(self, window: int | None) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """What the queries may see of the prompt and of their own columns, True where visible; None where all.

        Shapes [rows, 1, new tokens, prompt] and [rows, 1, new tokens, own columns].
        """
        if window not in self._masks:
            query = self._query_positions[:, :, None]
            keys = self.key_positions[: query.shape[0], None, : self.filled]
            own = (keys >= 0) & (keys <= query)
            prompt = None
            if window is not None:
                own &= query - keys < window
                places = torch.arange(self.shared_length, device=query.device)
                prompt = (query - places < window)[:, None]
                prompt = None if bool(prompt.all()) else prompt
            self._masks[window] = (prompt, None if bool(own.all()) else own[:, None])
        return self._masks[window]

    def _room(self, stored: torch.Tensor) -> torch.Tensor:
        missing = self.key_positions.shape[1] - stored.shape[2]
        return F.pad(stored, (0, 0, 0, missing)) if missing > 0 else stored


def _empty(states: torch.Tensor, cache: RowCache) -> torch.Tensor:
    # Zeros, not garbage: a masked column still enters the product with weight 0, and 0 * nan is nan.
    return states.new_zeros((cache.active, states.shape[1], cache.key_positions.shape[1], states.shape[3]))


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    row_cache: RowCache | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Attention over a `RowCache`, in the form that `transformers` calls: query [rows, heads, tokens, head size],
    key and value as `RowCache.update` returned them; returns [rows, tokens, heads, head size].

    Raises NotImplementedError for features it does not compute (attention sinks, position biases).
    """
    unknown = [name for name in ("s_aux", "position_bias", "head_mask") if kwargs.get(name) is not None]
    if row_cache is None or attention_mask is not None or unknown or query.shape[1] % key.shape[1]:
        raise NotImplementedError(f"shared-prompt attention cannot serve {type(module).__name__} ({unknown})")
    rows, heads, new, size = query.shape
    groups = key.shape[1]
    scale = size**-0.5 if scaling is None else scaling
    prompt_mask, own_mask = row_cache.masks(sliding_window)
    if not row_cache.shared_length and softcap is None:
        out = F.scaled_dot_product_attention(
            query, key, value, attn_mask=own_mask, scale=scale, enable_gqa=heads != groups
        )
        return out.transpose(1, 2).contiguous(), None

    per_group = heads // groups
    scaled = (query * scale).reshape(rows, groups, per_group * new, size)
    scores = [_masked(scaled @ key.mT, own_mask, softcap, per_group)]
    if row_cache.shared_length:
        prompt_keys, prompt_values = (tensor[0] for tensor in row_cache.shared[module.layer_idx])  # type: ignore[index]
        together = scaled.transpose(0, 1).reshape(groups, rows * per_group * new, size)
        over_prompt = (together @ prompt_keys.mT).view(groups, rows, per_group * new, -1).transpose(0, 1)
        scores.insert(0, _masked(over_prompt, prompt_mask, softcap, per_group))
        weights = torch.cat(scores, -1).softmax(-1, dtype=torch.float32).to(value.dtype)
        over_prompt, over_own = weights.split([row_cache.shared_length, key.shape[2]], -1)
        together = over_prompt.transpose(0, 1).reshape(groups, rows * per_group * new, -1)
        out = (together @ prompt_values).view(groups, rows, per_group * new, -1).transpose(0, 1) + over_own @ value
    else:
        out = scores[0].softmax(-1, dtype=torch.float32).to(value.dtype) @ value
    return out.reshape(rows, heads, new, -1).transpose(1, 2).contiguous(), None


def _masked(scores: torch.Tensor, visible: torch.Tensor | None, softcap: float | None, per_group: int) -> torch.Tensor:
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    if visible is None:
        return scores
    return scores.masked_fill(~visible.repeat(1, 1, per_group, 1), float("-inf"))


AttentionInterface.register(ATTENTION, attend)

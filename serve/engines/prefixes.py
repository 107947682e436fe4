"""What the embedded engine remembers between calls: prompts' key-value caches and the samples drawn from them.

Boundary: bookkeeping; computes nothing. Oldest entries leave first when the memory set for them is full, and samples
that were not scored yet after all others: their turn is about to.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile

import torch

from serve.engines.kv import Layer, RowCache

UNSCORED = 16
"""How many samples wait for their scores at most: of the 8 turns that run at once by default, each samples twice. Older
ones were given up, and leave in their turn."""


def common_prefix(one: Sequence[int], other: Sequence[int]) -> int:
    """How many leading ids two sequences share."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


@dataclass(frozen=True)
class Prompt:
    """A prompt that was read: its ids, each layer's keys and values [1, heads, tokens, head size], and the logits of
    the token that follows [1, vocabulary]."""

    ids: tuple[int, ...]
    layers: list[Layer]
    logits: torch.Tensor


@dataclass(frozen=True)
class Samples:
    """The rows of one generation: which ids each row's own keys and values stand for."""

    prompt: Prompt
    rows: list[tuple[int, ...]]
    cache: RowCache


@dataclass
class PrefixStore:
    """The least recently used go first, what waits for its scores last. `budget` is in bytes, and kept to even then;
    only one entry that is larger than all of it stays."""

    budget: int
    _entries: OrderedDict[int, Prompt | Samples] = field(default_factory=OrderedDict)
    _unscored: dict[int, None] = field(default_factory=dict)  # in the order in which they were drawn
    _count: int = 0

    def add(self, entry: Prompt | Samples) -> None:
        if isinstance(entry, Prompt):
            for key in [key for key, old in self._entries.items() if isinstance(old, Prompt) and old.ids == entry.ids]:
                del self._entries[key]
        self._count += 1
        self._entries[self._count] = entry
        if isinstance(entry, Samples):
            self._unscored[self._count] = None
            while len(self._unscored) > UNSCORED:
                del self._unscored[next(iter(self._unscored))]
        while len(self._entries) > 1 and self.size() > self.budget:
            oldest = next((key for key in self._entries if key not in self._unscored), next(iter(self._entries)))
            del self._entries[oldest]
            self._unscored.pop(oldest, None)

    def size(self) -> int:
        """Bytes held."""
        prompts = {id(entry): entry for entry in self._prompts()}
        own = [layer for entry in self._entries.values() if isinstance(entry, Samples) for layer in entry.cache.own]
        layers = [layer for prompt in prompts.values() for layer in prompt.layers] + own
        return sum(tensor.numel() * tensor.element_size() for layer in layers for tensor in layer)

    def best_prompt(self, ids: Sequence[int], block: int) -> tuple[Prompt | None, int]:
        """The prompt to go on from, and how many of its leading tokens serve: all, or a multiple of `block`."""
        best: tuple[Prompt | None, int] = (None, 0)
        for prompt in self._prompts():
            shared = common_prefix(prompt.ids, ids)
            if not shared == len(prompt.ids) == len(ids):
                shared = min(shared, len(ids) - 1)  # logits are kept after a prompt's own last token only
                shared -= shared % block
            usable = shared
            if usable > best[1]:
                best = (prompt, usable)
        if best[0] is not None:
            self._touch(best[0])
        return best

    def best_samples(self, ids: Sequence[int]) -> tuple[Samples, int, int] | None:
        """The samples, the row and how many of its own tokens `ids` continues; the newest of equal ones.

        Leaves at least one token of `ids` to be read. The samples do not wait for their scores any more.
        """
        best: tuple[Samples, int, int] | None = None
        for entry in reversed(self._entries.values()):
            if not isinstance(entry, Samples):
                continue
            length = len(entry.prompt.ids)
            if len(ids) <= length or tuple(ids[:length]) != entry.prompt.ids:
                continue
            for row, own in enumerate(entry.rows):
                matched = min(common_prefix(own, ids[length:]), len(ids) - length - 1)
                if best is None or matched > best[2]:
                    best = (entry, row, matched)
        if best is not None:
            self._unscored.pop(self._touch(best[0]), None)
        return best

    def clear(self) -> None:
        self._entries.clear()
        self._unscored.clear()

    def _prompts(self) -> list[Prompt]:
        return [entry.prompt if isinstance(entry, Samples) else entry for entry in self._entries.values()]

    def _touch(self, entry: Prompt | Samples) -> int:
        """Note that an entry was used; its key, or 0 for a prompt that only its samples hold."""
        for key, held in self._entries.items():
            if held is entry:
                self._entries.move_to_end(key)
                return key
        return 0

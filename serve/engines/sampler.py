"""Choose the next token of each row from its logits.

Boundary: one step; knows nothing of models, caches or stopping. Each row draws from its own random stream, derived
from (seed, row), so a row's choices depend neither on how many rows run beside it nor on when those finish.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence

import torch

from dialog.decoder import Sampling


class Sampler:
    """Temperature, top-k and nucleus sampling by inverse transform of the cumulative distribution."""

    def __init__(self, sampling: Sampling) -> None:
        self.sampling = sampling
        seed = secrets.randbits(63) if sampling.seed is None else sampling.seed
        self._streams = [torch.Generator().manual_seed(_row_seed(seed, row)) for row in range(sampling.n)]
        self._drawn = [torch.empty(0, dtype=torch.float64)] * sampling.n

    def choose(self, logits: torch.Tensor, rows: Sequence[int], step: int) -> tuple[list[int], list[float]]:
        """Next tokens and their log-probabilities for `rows`.

        `logits` is [len(rows), vocabulary]. The log-probabilities (nats) are the model's own: before temperature,
        top-k and top-p.
        """
        logits = logits.float()
        tokens = self._tokens(logits, rows, step)
        logprobs = logits.gather(1, tokens[:, None])[:, 0] - logits.logsumexp(-1)
        both = torch.stack((tokens.double(), logprobs.double())).tolist()  # one transfer from the device
        return [int(token) for token in both[0]], both[1]

    def _tokens(self, logits: torch.Tensor, rows: Sequence[int], step: int) -> torch.Tensor:
        temperature, top_k, top_p = self.sampling.temperature, self.sampling.top_k, self.sampling.top_p
        if temperature == 0.0:
            return logits.argmax(-1)
        ids = None
        if 0 < top_k < logits.shape[-1]:
            logits, ids = logits.topk(top_k)  # sorted, most likely first
        elif top_p < 1.0:
            logits, ids = logits.sort(descending=True, stable=True)
        weights = (logits.double() / temperature).softmax(-1)
        cumulative = weights.cumsum(-1)
        if top_p < 1.0:
            # Keep the smallest set of most likely tokens whose mass reaches top_p; the first always stays.
            weights = weights.masked_fill(cumulative - weights >= top_p, 0.0)
            cumulative = weights.cumsum(-1)
        uniform = torch.stack([self._uniform(row, step) for row in rows]).to(logits.device)
        target = uniform[:, None] * cumulative[:, -1:]
        # side="right" skips tokens of zero weight; the clamp guards the rounding of the last sum.
        last = (weights > 0).double().cumsum(-1).argmax(-1, keepdim=True)
        place = torch.searchsorted(cumulative, target, right=True).minimum(last)
        return (place if ids is None else ids.gather(1, place))[:, 0]

    def _uniform(self, row: int, step: int) -> torch.Tensor:
        while step >= len(self._drawn[row]):
            more = torch.rand(64, generator=self._streams[row], dtype=torch.float64)
            self._drawn[row] = torch.cat((self._drawn[row], more))
        return self._drawn[row][step]


def _row_seed(seed: int, row: int) -> int:
    digest = hashlib.blake2b(f"{seed}:{row}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
